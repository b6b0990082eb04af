"""Addresses of an op's DRAM transfers, for DRAM simulators: to check the assumed efficiency outside.

Formats: Ramulator 2's LoadStoreTrace (`LD 0x40` or `ST 0x40` a line) and DRAMsim3's trace (`0x40 READ 12` a line, with
the memory clock's cycle from which on a request may be issued). A request is a burst; every burst of a transfer may be
issued when the transfer starts, so that how fast they go is the DRAM simulator's to say. Where tensors lie and how they
are laid out is assumed: one region a tensor, in the order in which the schedule moves it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from simulator.folder import TRACE_FILES
from simulator.kernel.starts import Gap, starts
from simulator.program import Program
from simulator.result import Result
from simulator.schedule import ScheduledOp
from workloads.errors import UserError, unknown_name
from workloads.files.writing import new_folder

MOST_REQUESTS = 200_000
REGION_BYTES = 1 << 32  # of address space a tensor
READ, WRITE = "dram.read", "dram.write"
DDR_BYTES_PER_CLOCK = 16  # a 64-bit channel moves 8 bytes at both edges of its clock


@dataclass(frozen=True)
class Request:
    address: int
    is_write: bool
    tick: int


def show(result: Result, folder: Path, op: str = "", force: bool = False) -> str:
    """Write ramulator2.trace, dramsim3.trace and trace.json, which says what they hold; the sentence to be printed.

    `op` is LAYER/PHASE, or empty for the op that moves most. `force`: in place of an older trace. Raises UserError for
    an unknown op, for a machine without DRAM whose addresses are known, and where nothing can be written.
    """
    if not result.schedule:
        raise UserError(f"--dram-trace {folder}: a stored result has no programs; run its card's job again")
    burst, channel = (_number(result, f"dram.{name}") for name in ("burst_bytes", "channel_bandwidth_gb_s"))
    if not burst or not channel or not any(_programs(each) for each in result.schedule):
        raise UserError(f"--dram-trace {folder}: {result.card.arch} has no DRAM channel whose addresses are known")
    named = (result.op_columns[name] for name in ("layer", "phase"))
    names = [f"{layer}/{phase}" for layer, phase in zip(*named, strict=True)]
    totals = [_bursts(each, int(burst)) for each in result.schedule]
    if not any(totals):
        raise UserError(f"--dram-trace {folder}: no op of this step moves anything to or from DRAM")
    if op and op not in names:
        raise unknown_name("op", op, set(names), "--dram-op")
    number = names.index(op) if op else totals.index(max(totals))
    requests = list(_requests(result.schedule[number], int(burst)))
    memory_mhz = channel * 1000 / DDR_BYTES_PER_CLOCK
    efficiency = result.card.numbers.get("dram.efficiency")
    about = {
        "op": names[number],
        "command": result.card.command,
        "requests_written": len(requests),
        "requests_of_the_op": totals[number],
        "sampled": len(requests) < totals[number],
        "sampling": "the first requests of the op; rounds of a loop that repeat earlier ones are left out",
        "burst_bytes": int(burst),
        "memory_clock_mhz": memory_mhz,
        "layout": "assumed: a region of 4 GiB a tensor, addresses in the order in which the schedule moves them",
        "efficiency_to_check": None if efficiency is None else asdict(efficiency),
    }
    with new_folder(folder, TRACE_FILES.__contains__, force, f"--dram-trace {folder}") as partial:
        _write(partial, requests, memory_mhz / result.card.clock_mhz, about)
    return f"DRAM trace of {names[number]}: {folder} ({len(requests):,} of its {totals[number]:,} requests, sampled)"


def _number(result: Result, path: str) -> float | None:
    """A number of the machine; None where it has none by that path."""
    number = result.card.numbers.get(path)
    return float(number.value) if number and isinstance(number.value, int | float) else None


def _programs(op: ScheduledOp) -> list[Program]:
    return [each for each in op.programs if isinstance(each, Program)]


def _bursts(op: ScheduledOp, burst_bytes: int) -> int:
    moved = (amount for program in _programs(op) for (kind, _), amount in program.actions().items()
             if kind in (READ, WRITE))  # fmt: skip
    return sum(moved) // burst_bytes


def _requests(op: ScheduledOp, burst_bytes: int) -> Iterator[Request]:
    """The first requests, program after program, in the order in which transfers start."""
    written, begin, regions, cursors = 0, 0, dict[str, int](), dict[str, int]()
    for program in _programs(op):
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


def _write(folder: Path, requests: Sequence[Request], memory_cycles: float, about: Mapping[str, object]) -> None:
    ramulator = (f"{'ST' if each.is_write else 'LD'} {each.address:#x}\n" for each in requests)
    dramsim = (
        f"{each.address:#x} {'WRITE' if each.is_write else 'READ'} {int(each.tick * memory_cycles)}\n"
        for each in requests
    )
    texts = ("".join(ramulator), "".join(dramsim), json.dumps(about, indent=1) + "\n")
    for name, text in zip(TRACE_FILES, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
