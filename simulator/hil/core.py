"""`--hil core`: whole products of a step through the core's hardware, from DRAM to DRAM.

The host lays the operands out in DRAM and the core does the rest: it loads them, turns or sorts them where the schedule
says so, multiplies, and stores the results. These are held against the golden sums, and the cycles of every product
against the simulator's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl.core.array import CoreShape
from rtl.core.bound import Bound, BoundLoad, BoundStore
from rtl.core.compiled import CarriesOut, CoreRan, compiled_core
from rtl.core.content import Matrices, words_of
from rtl.core.core import ARRAY, ENGINES, CoreLayout, Fault
from rtl.core.feeding import Feed, Regions, values_of, words_bits
from rtl.core.raw import SIDE
from rtl.formats import Bits, FloatFormat, encode, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.golden.units import narrow
from rtl.lanes import STATE
from rtl.parameters import make_parameters
from rtl.run import REASONS, Error
from simulator.hil.core_words import CoreOp, controlled
from simulator.hil.operands import Block, Donors, block_of, masked
from simulator.hil.outcome import CONFIRMED, DIFFERS, UNCONFIRMED, Outcome
from simulator.hil.strata import Stratum
from simulator.kernel.events import ExactRun
from simulator.machines.systolic import SystolicArch
from simulator.program import Command, Program
from simulator.schedule import BindsCommands, ScheduledOp
from workloads.errors import UserError
from workloads.op import Orders
from workloads.pattern import Pattern, PatternKind

DMA_STAGES = 1  # cycles of a load's latency that are the core's own
SUM_BYTES = 4
DRAWN = "drawn"  # in place of the layer that values are from
Waits = dict[str, tuple[int, int]]  # by buffer: cycles in hardware, and in the simulator


@final
@dataclass(frozen=True)
class CoreMachine:
    """A machine that the core can be. Raises UserError for another one, when its layout is asked for.

    optimizer: of its update engine; none where it does products alone. made: the hardware of a layout.
    """

    arch: object
    optimizer: str = ""
    made: Callable[[CoreLayout], CarriesOut] = compiled_core

    @cached_property
    def spec(self) -> SystolicArch:
        if not isinstance(self.arch, SystolicArch) or self.arch.core is None:
            raise UserError("core: this machine is no core; take core, or a machine file that extends it")
        return self.arch

    @cached_property
    def layout(self) -> CoreLayout:
        """Sizes of the hardware."""
        arch = self.spec
        array, memory, core = arch.array, arch.memory, arch.core
        assert core is not None
        p = make_parameters(
            Pattern(PatternKind.NM, 1, array.window_max),
            array.rows,
            array.cols,
            core.format,
            depth=array.group_max,
            accumulators=array.accumulators,
            west_link=core.word_bytes // arch.format.operand_bytes,
            multiplier_latency=array.multiplier_latency_cycles,
            adder_latency=array.adder_latency_cycles,
        )
        west, north, output, raw = (
            int(1024 * (kib or 0)) for kib in (memory.west_kib, memory.north_kib, memory.output_kib, core.raw_kib)
        )
        word = core.word_bytes
        depths = west // (word * p.rows), 8 * north // (p.weight_bits * p.cols), output // (SUM_BYTES * p.cols)
        lanes, shape = arch.sore.lanes if arch.sore else 4, CoreShape(p, *depths, raw // word)
        if not self.optimizer:
            return CoreLayout(shape, lanes)
        if arch.wuve is None or arch.sore is None:
            raise UserError("core: this machine has no wuve or no sore, so it updates nothing")
        if p.cols % SIDE:
            raise UserError(f"core: array.cols is {p.cols}; a core that updates has columns in fours")
        # a row of four weights and states, with gradients as they come and without as they leave
        row = lanes * SUM_BYTES * (2 * len(STATE[self.optimizer]) + 3)
        return CoreLayout(replace(shape, updates=int(1024 * memory.wuve_kib) // row), lanes, optimizer=self.optimizer)

    @cached_property
    def hardware(self) -> CarriesOut:
        """The core; unless it is on a board, compiled where it is not in the cache."""
        return self.made(self.layout)

    @property
    def form(self) -> FloatFormat:
        """The format of operands."""
        form = self.layout.shape.array.operand
        assert isinstance(form, FloatFormat)
        return form

    def carry_out(
        self, program: Program, bound: Sequence[tuple[Command, Bound]], operands: Sequence[Matrices], paced: bool = True
    ) -> tuple[Feed, NDArray[np.uint64], CoreRan]:
        """One program on the core, power-up included. Returns what it was fed, DRAM afterwards, and what happened.

        paced: the DRAM is the machine's; otherwise the fastest there is, and stores wait for its answers.
        """
        layout, dram = self.layout, self.spec.dram
        assert dram is not None
        op = CoreOp(program, layout.control, ENGINES)
        regions = Regions(min(1 << 32, int(dram.capacity_gib * (1 << 30))))
        feed = Feed(layout, regions)
        feed.op([buffer.slots for buffer in program.buffers], controlled(op, bound))
        memory = np.zeros(regions.used // 8 + 1, np.uint64)
        for _, what in bound:
            if isinstance(what, BoundLoad) and what.content.tensor != "sums":
                at = feed.regions.address(what.content.region) // 8
                words = words_of(what.content, operands[what.content.number], what.dense)
                bits = words_bits(what, words, layout.shape.array.weight_bits)
                memory[at : at + what.content.words] = bits
        pace = self.pace if paced else (8, 1, 1)
        fed = self.hardware.fed(feed)
        return feed, memory, self.hardware.run(fed, memory, pace, self.patience(program), not paced)

    @cached_property
    def pace(self) -> tuple[int, int, int]:
        """Bytes that the DRAM moves in so many cycles, and its latency behind the core's own registers."""
        channel = self.spec.dram_channel()
        assert channel.bytes_per_tick is not None
        return (*channel.bytes_per_tick.as_integer_ratio(), channel.latency_ticks - DMA_STAGES)

    def patience(self, program: Program) -> int:
        """Cycles in which something begins: no wait is longer than the commands of all engines one after the other, and
        the way of a load."""
        commands = sum(command.ticks * count for command, count in program.commands())
        return commands + 4 * self.spec.dram_channel().latency_ticks


def results_of(
    bound: Sequence[tuple[object, Bound]], feed: Feed, memory: NDArray[np.uint64], shape: tuple[int, int], count: int
) -> list[Bits]:
    """The results that the stores left in DRAM, a matrix a product."""
    found = [np.zeros(shape, np.uint32) for _ in range(count)]
    for _, what in bound:
        if isinstance(what, BoundStore) and what.content.tensor == "output":
            content, at = what.content, feed.regions.address(what.content.region) // 8
            values, there = values_of(what, memory[at : at + content.words]), what.content.rows >= 0
            found[content.number][content.rows[there], content.cols[there]] = values[there]
    return found


def golden(product: Matrices, form: FloatFormat, final_bytes: int) -> Bits:
    """The product in the array's order of additions, rounded to operands where results are."""
    sums = sparse_product(product.left, product.packed, form)
    return sums if final_bytes == SUM_BYTES else narrow(sums, form).astype(np.uint32)


@final
@dataclass(frozen=True)
class Values:
    """Where operands come from: sampled blocks, None where they are drawn, and the orders of permuted channels."""

    donors: Donors | None
    orders: Mapping[str, Orders]


@final
@dataclass(frozen=True)
class ThroughCore:
    """A product of a step that goes through the core: which one, its plan and its program."""

    stratum: Stratum
    plan: BindsCommands
    program: Program

    def operands(self, values: Values, form: FloatFormat) -> list[Matrices]:
        """Operands from the layer's sampled blocks, or drawn; the mask is that of magnitudes, as SORE makes it."""
        part, found = self.stratum.part, list[Matrices]()
        starts = np.concatenate([np.full(group.kept, group.start) for group in groups_of(part.reduction)])
        for number in range(part.count):
            block = self._drawn(number) if values.donors is None else self._sampled(values.donors, number)
            block = self._ordered(block, values.orders, number)
            left, right = encode(block.left, form), encode(block.right, form)
            found.append(Matrices(left, right, pack(right, block.mask, part.reduction), starts))
        return found

    def _sampled(self, donors: Donors, number: int) -> Block:
        part, sample = self.stratum.part, donors.for_layer(self.stratum.op.layer)
        rows, cols = np.arange(part.rows) + number * part.rows, np.arange(part.cols) + number * part.cols
        return block_of(self.stratum, sample, part.reduction, rows, cols)

    def _ordered(self, block: Block, orders: Mapping[str, Orders], number: int) -> Block:
        """With output channels in the order in which the weight's groups hold, in both operands alike.

        The host lays them out in this order, so that the core sees groups that follow each other.
        """
        name = self.stratum.op.right.permutation
        if name is None or name not in orders:
            return block
        order = np.array(orders[name][number % len(orders[name])], np.int64)
        inner = np.arange(block.left.shape[1])
        places = inner // len(order) * len(order) + order[inner % len(order)]
        right = block.right[places]
        return Block(block.left[:, places], right, masked(right, self.stratum.part.reduction))

    def _drawn(self, number: int) -> Block:
        """Values of a normal distribution, those of an op always the same."""
        part, op = self.stratum.part, self.stratum.op
        inner = part.reduction.segments * part.reduction.length
        rng = np.random.default_rng([self.stratum.op_index, self.stratum.part_index, number])
        left, right = (
            rng.standard_normal(shape).astype(np.float16) for shape in ((part.rows, inner), (inner, part.cols))
        )
        mask = masked(right, part.reduction) if op.right.pattern.is_grouped else np.ones(right.shape, np.bool_)
        return Block(left, right, mask)


def through_core(schedule: Sequence[ScheduledOp], strata: Sequence[Stratum], ops: str | None) -> list[ThroughCore]:
    """The products of a schedule whose layer, or layer and phase, fit a glob. Raises UserError where none does."""
    found = []
    for stratum in strata:
        scheduled = schedule[stratum.op_index]
        names = stratum.op.layer, f"{stratum.op.layer}/{stratum.op.phase}"
        if ops is None or any(fnmatchcase(name, ops) for name in names):
            plan, program = scheduled.plans[stratum.part_index], scheduled.programs[stratum.part_index]
            assert isinstance(program, Program)
            found.append(ThroughCore(stratum, plan, program))
    if not found:
        layers = ", ".join(dict.fromkeys(stratum.op.layer for stratum in strata))
        raise UserError(f"--hil-ops '{ops}': no product has such a layer, or LAYER/PHASE; layers are {layers}")
    return found


def run_products(
    machine: CoreMachine,
    products: Sequence[ThroughCore],
    values: Values,
    show: Callable[[Sequence[Outcome]], None],
) -> tuple[list[Outcome], list[Waits]]:
    """Every product's outcome, a row of the `hil` table each, and the waits of its array by buffer."""
    outcomes, waits = list[Outcome](), list[Waits]()
    for number, product in enumerate(products):
        outcome, waited = _run(machine, product, values, number)
        outcomes.append(outcome)
        waits.append(waited)
        show(outcomes)
    return outcomes, waits


def _run(machine: CoreMachine, product: ThroughCore, values: Values, number: int) -> tuple[Outcome, Waits]:
    operands, bound = product.operands(values, machine.form), list(product.plan.bound())
    exact = ExactRun(product.program)
    model, part = exact.run(), product.stratum.part
    feed, memory, ran = machine.carry_out(product.program, bound, operands)
    outcome = _place(product, values.donors, operands, number, len(bound), model)
    if ran.cycles < 0:
        return replace(outcome, difference=stopped(ran, product.program)), {}
    cycles = int(ran.ends[-1]) - ran.first + 1
    final = 2 if any(isinstance(what, BoundStore) and what.narrow for _, what in bound) else SUM_BYTES
    found = results_of(bound, feed, memory, (part.rows, part.cols), part.count)
    wanted = [golden(each, machine.form, final) for each in operands]
    said = [f"{cycles} cycles, the simulator {model}"] if cycles != model else []
    said += [f"the DRAM's model saw {count} {name}" for name, count in ran.faulty.items()]
    wrong = sum(int(np.bitwise_count(mine ^ right).sum()) for mine, right in zip(found, wanted, strict=True))
    if wrong:
        said.append(_first(bound, feed, found, wanted))
    waited = waits_of(product.program, ran, exact.lacked)
    other = [name for name, (hardware, simulated) in waited.items() if hardware != simulated]
    said += [f"the array waits for {' and '.join(other)} in other cycles"] if other else []
    outcome = replace(
        outcome,
        status=DIFFERS if said else CONFIRMED,
        difference="; ".join(said),
        bits=8 * final * sum(each.size for each in wanted),
        wrong_bits=wrong,
        hardware_cycles=cycles,
        waiting_cycles=sum(hardware for hardware, _ in waited.values()),
    )
    return outcome, waited


def _place(
    product: ThroughCore, donors: Donors | None, operands: Sequence[Matrices], number: int, pieces: int, model: int
) -> Outcome:
    """A row without a verdict yet. Rows and columns are those of the whole product."""
    stratum, part = product.stratum, product.stratum.part
    inner = part.reduction.segments * part.reduction.length
    values = [each for one in operands for each in (one.left, one.packed.values)]
    return Outcome(
        tile=number,
        op=stratum.op_index,
        layer=stratum.op.layer,
        phase=stratum.op.phase.value,
        dataflow=part.dataflow,
        pattern=str(stratum.op.right.pattern),
        values_from=DRAWN if donors is None else donors.owner[stratum.op.layer],
        rows=part.rows,
        cols=part.cols,
        inner=inner,
        step_rows=part.rows,
        step_cols=part.cols,
        step_inner=inner,
        pieces=pieces,
        operands=sum(each.size for each in values),
        nonzero_operands=sum(int(np.count_nonzero(each & 0x7FFF)) for each in values),
        status=UNCONFIRMED,
        model_cycles=model,
    )


def _first(bound: Sequence[tuple[object, Bound]], feed: Feed, found: Sequence[Bits], wanted: Sequence[Bits]) -> str:
    """The first result that differs in the order of the stores, with its address in DRAM."""
    for _, what in bound:
        if not isinstance(what, BoundStore) or what.content.tensor != "output":
            continue
        content, there = what.content, what.content.rows >= 0
        mine, right = (each[content.number][content.rows.clip(0), content.cols] for each in (found, wanted))
        differing = np.argwhere((mine != right) & there)
        if len(differing):
            word, lane = (int(each) for each in differing[0])
            address = feed.regions.address(content.region) + 8 * word + lane * 8 // content.rows.shape[1]
            place = f"row {content.rows[word, lane]}, column {content.cols[word, lane]}"
            return f"{place}, at {address:#x} in DRAM: {int(mine[word, lane]):#x}, golden {int(right[word, lane]):#x}"
    return "no result differs that a store has written"


def waits_of(program: Program, ran: CoreRan, lacked: Mapping[str, int], lead: int = ARRAY) -> Waits:
    """Cycles in which the lead engine could have begun but for a slot of a buffer, in hardware and in the simulator."""
    hardware = {buffer.name: int(ran.waits[lead][number]) for number, buffer in enumerate(program.buffers)}
    return {name: (count, lacked.get(name, 0)) for name, count in hardware.items()}


def stopped(ran: CoreRan, program: Program) -> str:
    """Why the core stopped, in a sentence."""
    fault = Fault(ran.fault)
    if fault is Fault.REFUSED:
        why = REASONS.get(Error(ran.run_error), "an unknown reason")
        return f"the core refused a run of the array in cycle {ran.stopped_at}: {why}"
    if fault in (Fault.EARLY, Fault.LATE):
        than = "fewer" if fault is Fault.EARLY else "more"
        return f"a run took {than} cycles than its command says, in cycle {ran.stopped_at}"
    if fault in (Fault.READ, Fault.WRITE):
        return f"the DRAM answered a {fault.name.lower()} with an error, in cycle {ran.stopped_at}"
    return (
        f"nothing begins any more in cycle {ran.stopped_at}: {', '.join(_lacking(ran, program)) or 'no engine'} waits"
    )


def _lacking(ran: CoreRan, program: Program) -> Iterator[str]:
    """Who waits for what."""
    buffers = len(program.buffers)
    for number, engine in enumerate(ENGINES):
        mask = ran.lacking >> number * ran.waits.shape[1]
        names = [program.buffers[at].name for at in range(buffers) if mask >> at & 1]
        if names:
            yield f"{engine} for {' and '.join(names)}"
