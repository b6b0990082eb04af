"""Cores that go where there is no simulator: sizes, and the products of a small step as a host would write them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rtl.core.bound import Bound, BoundLoad, BoundStore
from rtl.core.content import words_of
from rtl.core.core import ENGINES
from rtl.core.feeding import WORD_BYTES, Feed, Regions, words_bits
from rtl.core.program import CoreAsked, CoreDesign, CoreProgram
from rtl.core.pushing import pushes
from rtl.formats import Bits
from rtl.parameters import DEEPEST
from simulator.arch.machine import Machine, load_machine
from simulator.hil.core import SUM_BYTES, CoreMachine, ThroughCore, Values, golden, through_core
from simulator.hil.core_words import CoreOp, controlled
from simulator.hil.strata import strata_of
from simulator.library import simulate
from workloads.errors import UserError
from workloads.pattern import PatternKind, parse_pattern
from workloads.work import Work

# rows x cols x inner, with what makes the step of each other engines and another dataflow do the work
STEPS: tuple[tuple[str, dict[str, bool], dict[str, str]], ...] = (
    ("6x12x10", {"schedule.pregenerate": False}, {}),
    ("5x9x14", {}, {"dataflow": "weight-stationary"}),
)
DEEPEST_WINDOW = 32  # as the machine's limits have it
CAPACITY = 1 << 32  # bytes of DRAM


def core_design(asked: CoreAsked) -> CoreDesign:
    """A core, and the products of FF, BP and WU of steps of small layers on it.

    Raises UserError for a core that there cannot be.
    """
    core = CoreMachine(core_machine(asked).spec, asked.optimizer)
    programs, used = list[CoreProgram](), 0
    for gemm, more, options in STEPS:
        machine = core_machine(asked, more)
        schedule = simulate(machine, asked.pattern, Work(gemms=(gemm,)), options=options, dense=False).schedule
        for product in through_core(schedule, strata_of(schedule), None):
            program, used = core_program(core, product, used, asked.queue)
            programs.append(program)
    return CoreDesign(core.layout, tuple(programs))


def core_machine(asked: CoreAsked, more: Mapping[str, object] | None = None) -> Machine:
    """The machine that a core is, with `more` settings. Raises UserError for one that there cannot be."""
    pattern = parse_pattern(asked.pattern, "--pattern")
    if pattern.kind is not PatternKind.NM or not 4 <= pattern.m <= DEEPEST_WINDOW:
        raise UserError(f"--pattern {asked.pattern}: a core has n:m with m from 4 to {DEEPEST_WINDOW}")
    largest = pattern.m
    given = {
        "array.rows": asked.rows,
        "array.cols": asked.cols,
        "array.window_max": largest,
        "array.group_max": asked.depth or min(DEEPEST, largest),
        "array.accumulators": asked.accumulators,
        "array.multiplier_latency_cycles": asked.multiplier_latency,
        "array.adder_latency_cycles": asked.adder_latency,
        "memory.west_kib": asked.west_kib,
        "memory.north_kib": asked.north_kib,
        "memory.output_kib": asked.output_kib,
        "core.raw_kib": asked.raw_kib,
        "memory.wuve_kib": asked.wuve_kib,
        "core.format": asked.form,
        **(more or {}),
    }
    return load_machine("core", [f"{name}={value}" for name, value in given.items() if value is not None])


def core_program(core: CoreMachine, product: ThroughCore, begins: int, depth: int) -> tuple[CoreProgram, int]:
    """A product whose words lie in DRAM from byte `begins` on, drawn operands; and where they end.

    depth: words of a queue.
    """
    layout, part = core.layout, product.stratum.part
    operands, bound = product.operands(Values(None, {}), core.form), list(product.plan.bound())
    op = CoreOp(product.program, layout.control, ENGINES)
    regions = Regions(CAPACITY, begins)
    feed = Feed(layout, regions)
    feed.op([buffer.slots for buffer in product.program.buffers], controlled(op, bound))
    memory = np.zeros((regions.used - begins) // WORD_BYTES, np.uint64)
    bits = layout.shape.array.weight_bits
    for _, what in bound:
        if isinstance(what, BoundLoad) and what.content.tensor != "sums":
            at = (regions.address(what.content.region) - begins) // WORD_BYTES
            words = words_of(what.content, operands[what.content.number], what.dense)
            memory[at : at + what.content.words] = words_bits(what, words, bits)
    final = 2 if any(isinstance(what, BoundStore) and what.narrow for _, what in bound) else SUM_BYTES
    wanted = [golden(each, core.form, final) for each in operands]
    title = f"{product.stratum.op.layer} {product.stratum.op.phase.value}, {part.rows} x {part.cols}, {part.dataflow}"
    results = np.concatenate([*_results((what for _, what in bound), feed, wanted)])
    return CoreProgram(title, tuple(pushes(feed.words, feed.order, depth)), memory, results), regions.used


def _results(bound: Iterable[Bound], feed: Feed, wanted: Sequence[Bits]) -> Iterator[NDArray[np.uint64]]:
    """(words, 3) of every store of results: address, the bits that are some result's, and these."""
    for what in bound:
        if not isinstance(what, BoundStore) or what.content.tensor != "output":
            continue
        content, bits = what.content, 64 // what.content.rows.shape[1]
        there = content.rows >= 0
        values = np.where(there, wanted[content.number][content.rows.clip(0), content.cols], 0).astype(np.uint64)
        masks = np.where(there, (1 << bits) - 1, 0).astype(np.uint64)
        shifts = (np.arange(values.shape[1]) * bits).astype(np.uint64)
        address = feed.regions.address(content.region) + WORD_BYTES * np.arange(content.words)
        mask, value = (np.bitwise_or.reduce(each << shifts, axis=1) for each in (masks, values))
        yield np.stack([address.astype(np.uint64), mask, value], axis=1)
