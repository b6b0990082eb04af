"""A run on a fabric as one of anything: cycles of its pipelines by what they went into, and actions.

A pipeline issues an instruction in a cycle, or none of its threads has one ready: then the cycle is shared out among
what the threads wait for.
"""

from dataclasses import replace

import numpy as np

from dataflows.spgemm.kernel import Tally
from simulator.fabric.outcome import FabricTiming, Spent
from simulator.fabric.program import Instruction
from simulator.fabric.rates import TICKS
from simulator.machines.piuma import FabricArch
from simulator.program import Stall
from simulator.timing import Timing

STALLS = {
    Spent.LATENCY: Stall.LATENCY,
    Spent.SCRATCHPAD: Stall.SCRATCHPAD,
    Spent.ATOMIC: Stall.ATOMIC,
    Spent.MEMORY: Stall.MEMORY,
    Spent.NETWORK: Stall.NETWORK,
    Spent.DMA: Stall.DMA,
    Spent.SERIAL: Stall.SERIAL,
    Spent.IDLE: Stall.IDLE,
}
CHIPS = (1, 2, 4, 8, 16)  # what a product is also looked at on


def cycles_of(timing: FabricTiming) -> int:
    return -(-timing.ticks // TICKS)


def timing_of(found: FabricTiming, times: float, arch: FabricArch, detail: object = None) -> Timing:
    """A run on a fabric as a run of anything, `times` as long: for a block that stands for a whole op."""
    cycles = round(cycles_of(found) * times)
    stalls = pipeline_cycles(found, cycles, arch)
    amounts = {key: round(amount * times) for key, amount in _actions(found).items()}
    actions = {key: amount for key, amount in amounts.items() if amount}
    return Timing(cycles, cycles - sum(stalls.values()), stalls, actions, found.events, detail)


def pipeline_cycles(timing: FabricTiming, cycles: int, arch: FabricArch) -> dict[Stall, int]:
    """Cycles in which the average multi-threaded pipeline issues nothing, by cause; the rest of `cycles` it issues."""
    pipelines = arch.cores * arch.pipeline.mtps
    share = min(1.0, sum(timing.instructions) * TICKS / max(1, timing.ticks * pipelines))
    waits = np.array([timing.spent[each] for each in STALLS], dtype=float)
    if not waits.sum():
        return {}
    whole = waits * ((1 - share) * cycles / waits.sum())
    return {stall: int(each) for stall, each in zip(STALLS.values(), whole, strict=True)}


def _actions(timing: FabricTiming) -> dict[tuple[str, str], int]:
    """Bytes of memory by tensor, bytes the DMA engines moved, instructions by class, accesses of the scratchpad."""
    amounts = dict(timing.traffic)
    for each in Instruction:
        amounts["instruction", each.name.lower()] = timing.instructions[each]
    amounts["instruction", "serial"] = timing.serial_instructions
    amounts["dma.byte", ""] = timing.moves
    return amounts


def fabric_card(timing: FabricTiming, tally: Tally, arch: FabricArch) -> dict[str, object]:
    """What the rows do not show: resources used, loads, probes, occupancy, the load of cores over time."""
    cycles = max(1, cycles_of(timing))
    return {
        "threads": timing.threads,
        "thread_time": {each.value: timing.spent[each] / max(1, timing.ticks * timing.threads) for each in Spent},
        "used": {name: round(share, 6) for name, share in timing.used.items()},
        "loads_in_flight": arch.pipeline.loads_in_flight,
        "load_time": timing.load_ticks / max(1, timing.ticks * timing.threads),
        "chips": on_chips(timing, arch),
        "instructions_per_cycle": round(sum(timing.instructions) / cycles, 6),
        "events": timing.events,
        "multiplies": tally.multiplies,
        "claims": tally.claims,
        "stored": tally.stored,
        "windows": tally.windows,
        "split_rows": tally.split_rows,
        "probe_lengths": np.trim_zeros(tally.lengths, "b").tolist(),
        "steps": tally.steps,
        "occupancy": _spread(tally.occupancy),
        "timeline": timeline(timing),
    }


def on_chips(timing: FabricTiming, arch: FabricArch) -> list[dict[str, float]]:
    """The run's work on other numbers of chips; the first row is its own.

    A load takes `load_cycles`, and the run as long as it did where `at_work` of the `threads` have work on average:
    those that had it here, and as many more (fewer) as longer (shorter) loads keep waiting. Windows and serial parts,
    which there are more of on more chips, stay as they were.
    """
    ticks, cycles = max(1, timing.ticks), arch.dram_latency_cycles
    at_work = timing.threads - timing.spent[Spent.IDLE] / ticks
    loads = timing.load_ticks / ticks / max(1, cycles - 1)  # that threads wait for, a cycle
    return [
        {
            "chips": other.chips,
            "load_cycles": other.dram_latency_cycles,
            "threads": other.cores * other.threads_per_core,
            "at_work": round(at_work + loads * (other.dram_latency_cycles - cycles), 6),
        }
        for other in (arch, *(replace(arch, chips=chips) for chips in CHIPS if chips != arch.chips))
    ]


def _spread(shares: list[float]) -> dict[str, float]:
    if not shares:
        return {}
    return {"least": min(shares), "mean": sum(shares) / len(shares), "most": max(shares)}


def timeline(timing: FabricTiming, bins: int = 60) -> dict[str, object]:
    """The run in equal parts: of each, the share of threads at work on each core, instructions and bytes a cycle."""
    width = max(1.0, timing.ticks / bins)
    cores = 1 + max((record.core for record in timing.records), default=0)
    working, issued, moved = np.zeros((cores, bins)), np.zeros(bins), np.zeros(bins)
    for record in timing.records:
        length = max(1, record.end - record.start)
        for place in range(int(record.start // width), min(bins, int(record.end // width) + 1)):
            inside = max(0.0, min(record.end, (place + 1) * width) - max(record.start, place * width)) / length
            working[record.core, place] += inside * record.working
            issued[place] += inside * record.instructions
            moved[place] += inside * record.size_bytes
    threads = timing.threads / cores
    return {
        "bin_cycles": width / TICKS,
        "working": np.round(working / (width * threads), 4).tolist(),
        "instructions_per_cycle": np.round(issued / (width / TICKS), 4).tolist(),
        "bytes_per_cycle": np.round(moved / (width / TICKS), 4).tolist(),
    }
