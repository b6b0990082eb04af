"""Plans carried out by the core in Verilator, beside SimPy and the golden sums."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rtl.core.array import CoreShape
from rtl.core.bound import Bound, Load, Store
from rtl.core.compiled import CompiledCore, Ran
from rtl.core.content import words_of
from rtl.core.core import ENGINES, CoreLayout
from rtl.core.feeding import Controlled, Feed, Regions, values_of, words_bits
from rtl.formats import Bits, operand_format
from rtl.golden.products import sparse_product
from rtl.golden.units import narrow
from rtl.parameters import make_parameters
from simulator.hil.core_words import CoreOp
from simulator.kernel.events import ExactRun
from simulator.machines.systolic import SystolicArch
from simulator.program import Command
from tests.dataflows.core_plans import Case
from workloads.pattern import parse_pattern

DMA_STAGES = 1  # cycles of a load's latency that are the core's own


class Starts:
    """The start of every command that takes cycles, in the order of each engine."""

    def __init__(self) -> None:
        self.of: dict[str, list[int]] = {}

    def command(self, command: Command, start: int, end: int) -> None:
        if end > start:
            self.of.setdefault(command.engine, []).append(start)


@dataclass(frozen=True)
class Compared:
    """A case on the core: differences in starts, cycles of both, wrong values of how many, and what else went wrong."""

    commands: int
    differ: int
    cycles: int
    wanted: int
    wrong: int
    values: int
    ran: Ran


@cache
def core_of(layout: CoreLayout) -> CompiledCore:
    return CompiledCore(layout)


def layout_of(arch: SystolicArch) -> CoreLayout:
    """The core that a machine describes."""
    core, memory, array = arch.core, arch.memory, arch.array
    assert core is not None and arch.sore is not None
    pattern = parse_pattern(f"1:{array.window_max}")
    p = make_parameters(
        pattern, array.rows, array.cols, core.format, depth=array.group_max, accumulators=array.accumulators,
        west_link=4, multiplier_latency=array.multiplier_latency_cycles, adder_latency=array.adder_latency_cycles,
    )  # fmt: skip
    west, north, output = (int(1024 * (size or 0)) for size in (memory.west_kib, memory.north_kib, memory.output_kib))
    shape = CoreShape(
        p, west // (8 * array.rows), 8 * north // (p.weight_bits * array.cols), output // (4 * array.cols),
        int(1024 * core.raw_kib) // 8,
    )  # fmt: skip
    return CoreLayout(shape, arch.sore.lanes)


def controlled(op: CoreOp, bound: Sequence[tuple[Command, Bound]]) -> Iterator[tuple[Controlled, Bound]]:
    """Bound commands with what control sees of them, those without cycles joined to their neighbours."""
    at = dict.fromkeys(op.engines, 0)
    for command, what in bound:
        queue, place = op.queues[command.engine], at[command.engine]
        joined, at[command.engine] = queue[place], place + 1
        masks = (op.mask(each) for each in (joined.takes, joined.fills, joined.frees))
        yield Controlled(command.engine, *masks, place + 1 == len(queue), command.ticks, "out" in joined.fills), what


def compared(case: Case, wait_for_b: bool = False, rate: tuple[int, int, int] | None = None) -> Compared:
    """One case, carried out."""
    layout, program = layout_of(case.arch), case.plan.program()
    op, bound = CoreOp(program, layout.control, ENGINES), list(case.plan.bound())
    feed = Feed(layout, Regions(1 << 28))
    slots = [buffer.slots for buffer in program.buffers]
    feed.op(slots, controlled(op, bound))
    memory = np.zeros(feed.regions.used // 8 + 8, np.uint64)
    for _, what in bound:
        if isinstance(what, Load) and what.content.tensor != "sums":
            content = what.content
            at = feed.regions.of[content.region] // 8
            values = words_of(content, case.operands[content.number], what.dense)
            memory[at : at + content.words] = words_bits(what, values, layout.shape.array.weight_bits)
    starts = Starts()
    wanted = ExactRun(program, starts).run()
    channel = case.arch.dram_channel()
    assert channel.bytes_per_tick is not None
    num, den = channel.bytes_per_tick.as_integer_ratio()
    pace = rate or (num, den, channel.latency_ticks - DMA_STAGES)
    ran = core_of(layout).run(feed, memory, pace, 4 * wanted + 1000, wait_for_b)
    differ = commands = 0
    for engine, seen in zip(ENGINES, ran.starts, strict=True):
        expected = np.array(starts.of.get(engine, []), np.int64)
        commands += len(expected)
        if engine == "dram":
            continue  # it begins as soon as it may, and the memory serves in order
        mine = seen.astype(np.int64) - ran.first
        differ += abs(len(mine) - len(expected)) + int((mine[: len(expected)] - expected[: len(mine)] != 0).sum())
    results = results_of(case, bound, feed, memory)
    wrong = values = 0
    for number, found in results.items():
        right = golden(case, number)
        wrong, values = wrong + int((found != right).sum()), values + right.size
    cycles = int(ran.ends[-1]) - ran.first + 1 if len(ran.ends) else ran.cycles
    return Compared(commands, differ, cycles, wanted, wrong, values, ran)


def results_of(
    case: Case, bound: Sequence[tuple[Command, Bound]], feed: Feed, memory: NDArray[np.uint64]
) -> dict[int, Bits]:
    """What the stores left in DRAM, by product."""
    shape = case.lowered.rows, case.lowered.cols
    found: dict[int, Bits] = {number: np.zeros(shape, np.uint32) for number in range(case.lowered.count)}
    for _, what in bound:
        if isinstance(what, Store) and what.content.tensor == "output":
            content, region = what.content, _region(feed, what)
            words = memory[region : region + content.words]
            there = content.rows >= 0
            found[content.number][content.rows[there], content.cols[there]] = values_of(what, words)[there]
    return found


def _region(feed: Feed, store: Store) -> int:
    region: Hashable = store.content.region
    return feed.regions.of[region] // 8


def golden(case: Case, number: int) -> Bits:
    product, form = case.operands[number], operand_format("fp16")
    sums = sparse_product(product.left, product.packed, form)
    return sums if case.lowered.final_bytes == 4 else narrow(sums, form).astype(np.uint32)
