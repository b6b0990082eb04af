"""Addresses of an op's DRAM transfers, for DRAM simulators: to check the assumed efficiency outside.

Formats: Ramulator 2's LoadStoreTrace (`LD 0x40` or `ST 0x40` a line) and DRAMsim3's trace (`0x40 READ 12` a line, with
the memory clock's cycle from which on a request may be issued). A request is a burst; every burst of a transfer may be
issued when the transfer starts, so that how fast they go is the DRAM simulator's to say. Where tensors lie and how they
are laid out is assumed: one region a tensor, in the order in which the schedule moves it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.kernel.starts import Gap, starts
from simulator.result import Result
from simulator.schedule import ScheduledOp
from workloads.errors import UserError, unknown_name

MOST_REQUESTS = 200_000
REGION_BYTES = 1 << 32  # of address space a tensor
READ, WRITE = "dram.read", "dram.write"
DDR_BYTES_PER_CLOCK = 16  # a 64-bit channel moves 8 bytes at both edges of its clock


@dataclass(frozen=True)
class Request:
    address: int
    is_write: bool
    tick: int


@dataclass(frozen=True)
class Traced:
    """The op, requests written, and requests of the whole op."""

    op: str
    written: int
    total: int


def write_dram_trace(
    schedule: Sequence[ScheduledOp], result: Result, burst_bytes: int, channel_gb_s: float, wanted: str, folder: Path
) -> Traced:
    """Write ramulator2.trace, dramsim3.trace and trace.json, which says what they hold.

    `wanted` is LAYER/PHASE, or empty for the op that moves most. Raises UserError for an unknown op and where nothing
    can be written.
    """
    names = [f"{each.op.layer}/{each.op.phase.value}" for each in schedule]
    totals = [_bursts(each, burst_bytes) for each in schedule]
    if not any(totals):
        raise UserError(f"--dram-trace {folder}: no op of this step moves anything to or from DRAM")
    if wanted and wanted not in names:
        raise unknown_name("op", wanted, set(names), "--dram-op")
    number = names.index(wanted) if wanted else totals.index(max(totals))
    requests = list(_requests(schedule[number], burst_bytes))
    clock_mhz = float(result.card["clock_mhz"])
    memory_mhz = channel_gb_s * 1000 / DDR_BYTES_PER_CLOCK
    about = {
        "op": names[number],
        "command": result.card["command"],
        "requests_written": len(requests),
        "requests_of_the_op": totals[number],
        "sampled": len(requests) < totals[number],
        "sampling": "the first requests of the op; rounds of a loop that repeat earlier ones are left out",
        "burst_bytes": burst_bytes,
        "memory_clock_mhz": memory_mhz,
        "layout": "assumed: a region of 4 GiB a tensor, addresses in the order in which the schedule moves them",
        "efficiency_to_check": result.card["numbers"].get("dram.efficiency"),
    }
    _write(folder, requests, memory_mhz / clock_mhz, about)
    return Traced(names[number], len(requests), totals[number])


def _bursts(op: ScheduledOp, burst_bytes: int) -> int:
    moved = (amount for program in op.programs for (kind, _), amount in program.actions().items()
             if kind in (READ, WRITE))  # fmt: skip
    return sum(moved) // burst_bytes


def _requests(op: ScheduledOp, burst_bytes: int) -> Iterator[Request]:
    """The first requests, program after program, in the order in which transfers start."""
    written, begin, regions, cursors = 0, 0, dict[str, int](), dict[str, int]()
    for program in op.programs:
        last = 0
        for event in starts(program):
            last = max(last, event.end)
            if isinstance(event, Gap):
                continue
            for action in event.command.actions:
                if action.kind not in (READ, WRITE):
                    continue
                base = regions.setdefault(action.tensor, len(regions) * REGION_BYTES)
                for _ in range(action.amount // burst_bytes):
                    if written == MOST_REQUESTS:
                        return
                    offset = cursors.get(action.tensor, 0)
                    cursors[action.tensor] = (offset + burst_bytes) % REGION_BYTES
                    written += 1
                    yield Request(base + offset, action.kind == WRITE, begin + event.tick)
        begin += last


def _write(folder: Path, requests: Sequence[Request], memory_cycles: float, about: dict[str, Any]) -> None:
    ramulator = (f"{'ST' if each.is_write else 'LD'} {each.address:#x}\n" for each in requests)
    dramsim = (
        f"{each.address:#x} {'WRITE' if each.is_write else 'READ'} {int(each.tick * memory_cycles)}\n"
        for each in requests
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ramulator2.trace").write_text("".join(ramulator), encoding="ascii")
        (folder / "dramsim3.trace").write_text("".join(dramsim), encoding="ascii")
        (folder / "trace.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--dram-trace {folder}: cannot be written: {error.strerror or error}") from None
