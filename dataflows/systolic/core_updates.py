"""The weight update on the core: blocks of a weight through the update engine, and its copies through the SORE lanes.

A block has whole groups of every copy that is made of it, so that both directions come out of one pass: with 2:8 in FF
and BP it has a multiple of 8 input and of 8 output channels of one kernel position. Its rows are input channels, in
blocks of four output channels, as the rows of the update engine are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING, NamedTuple, final

from dataflows import systolic
from dataflows.systolic.elementwise import lane_of
from dataflows.systolic.target import SORE, Target, cut, repeat
from dataflows.systolic.words import Words
from rtl.timing import CORE_SIDE as SIDE
from rtl.timing import CORE_SORTED, STORE_LEAD, sorted_latency
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores
from simulator.schedule import BindsCommands
from workloads.errors import UserError
from workloads.op import MatrixOp, Optimizer, Phase, VectorOp

if TYPE_CHECKING:
    from dataflows.systolic.update_binding import Masters
    from rtl.core.bound import Bound

SLOTS = 2
VALUE_BYTES = 4  # of a weight, a state, a gradient
RUN = 4  # values of a dense copy that the SORE lanes take at once: a core's array.group_max is 4 or more


class Weight(NamedTuple):
    """`products` weights of taps x inputs x outputs; what belongs to no product is a row of outputs."""

    taps: int
    inputs: int
    outputs: int
    products: int = 1


@final
@dataclass(frozen=True)
class Copy:
    """What FF or BP of a layer multiply by: n of every m along the reduction, all of it where m is 1.

    lanes: weights in a word of DRAM, which are neighbours along the other side.
    """

    phase: Phase
    n: int
    m: int
    lanes: int

    @property
    def is_sparse(self) -> bool:
        return self.m > 1

    @property
    def most(self) -> int:
        """Values that are kept of a group, at most."""
        return self.n if self.is_sparse else RUN

    def kept(self, length: int) -> int:
        """Values that are kept of so many along the reduction."""
        return length // self.m * self.n + min(self.n, length % self.m)

    def sides(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Of a block: its length along the reduction, and across."""
        return (inputs, outputs) if self.phase is Phase.FF else (outputs, inputs)


class WeightBlock(NamedTuple):
    """A block of a weight."""

    number: int
    tap: int
    inputs: range
    outputs: range

    @property
    def columns(self) -> int:
        """Blocks of four output channels."""
        return -(-len(self.outputs) // SIDE)

    @property
    def rows(self) -> int:
        """Rows of the update engine."""
        return len(self.inputs) * self.columns


@final
@dataclass(frozen=True)
class CoreUpdate:
    """An update of a weight on a core. Raises UserError where the memories do not hold the smallest block."""

    target: Target
    optimizer: Optimizer
    weight: Weight
    copies: tuple[Copy, ...]

    @property
    def words(self) -> Words:
        words = self.target.words
        assert words is not None  # it is a core
        return words

    @property
    def fields(self) -> int:
        """FP32 values of a weight that are kept: itself and its states."""
        return 1 + self.optimizer.states

    @property
    def late(self) -> int:
        """Values that leave the SORE lanes in the time that each of its runs takes: as many for all, so that what
        follows each other never meets."""
        return max(copy.most for copy in self.copies)

    @cached_property
    def side(self) -> tuple[int, int]:
        """Input and output channels of a block."""
        cols, weight = self.words.banks.cols, self.weight
        of = {phase: [copy for copy in self.copies if copy.phase is phase] for phase in (Phase.FF, Phase.BP)}
        units = (
            lcm(*(copy.m for copy in of[Phase.FF]), *(cols for _ in of[Phase.BP])),
            lcm(SIDE, *(copy.m for copy in of[Phase.BP]), cols if self.copies else 1),
        )
        inputs = _most(units[0], weight.inputs, lambda length: self._fits(length, units[1]))
        outputs = _most(units[1], weight.outputs, lambda length: self._fits(inputs, length))
        if not inputs:
            raise UserError(
                f"core: the memories do not hold a block of {units[0]} x {units[1]} weights with {self.optimizer.value}"
                f" twice; make memory.wuve_kib, memory.north_kib or core.raw_kib larger"
            )
        return inputs, outputs

    def _fits(self, inputs: int, outputs: int) -> bool:
        return self.target.fits(self._buffers(inputs, outputs))

    def _buffers(self, inputs: int, outputs: int) -> tuple[Buffer, ...]:
        block = WeightBlock(0, 0, range(inputs), range(outputs))
        row = SIDE * VALUE_BYTES
        taken, kept = (block.rows * row * fields for fields in (self.fields + 1, self.fields))
        buffers = [Buffer("in", SLOTS, "wuve", taken), Buffer("updated", SLOTS, "wuve", kept)]
        if self.copies:
            words = self.words
            narrow = block.columns * -(-inputs // SIDE) * SIDE * words.size
            bits = (words.operand_bits + words.index_bits) * words.banks.cols
            copies = -(-sum(self.addresses(copy, inputs, outputs) for copy in self.copies) * bits // 8)
            buffers += [Buffer("narrow", SLOTS, "raw", narrow), Buffer("copies", SLOTS, "north", copies)]
        return tuple(buffers)

    def addresses(self, copy: Copy, inputs: int, outputs: int) -> int:
        """Addresses of the north memory that a copy of a block takes."""
        length, across = copy.sides(inputs, outputs)
        return copy.kept(length) * -(-across // self.words.banks.cols)

    def blocks(self) -> Iterator[WeightBlock]:
        """All of them in the order of the program."""
        weight, (inputs, outputs) = self.weight, self.side
        for number in range(weight.products):
            for tap in range(weight.taps):
                for across in _ranges(weight.outputs, outputs):
                    for along in _ranges(weight.inputs, inputs):
                        yield WeightBlock(number, tap, along, across)

    def gradient_words(self, block: WeightBlock) -> int:
        """Words of DRAM with gradients of a block: those of WU come in turns of the array's columns, those of what no
        product uses in a row."""
        outputs = len(block.outputs)
        return len(block.inputs) * (self.words.across(outputs, 2) if self.copies else -(-outputs // 2))

    def master_words(self, block: WeightBlock) -> int:
        """Words of its weights and their states."""
        return 2 * self.fields * block.rows

    def copy_words(self, copy: Copy, block: WeightBlock) -> int:
        """Words of a copy of it."""
        length, across = copy.sides(len(block.inputs), len(block.outputs))
        return copy.kept(length) * self.words.across(across, copy.lanes)

    def program(self) -> Program:
        """Its commands."""
        weight, (inputs, outputs) = self.weight, self.side
        body: list[Node] = []
        for across in cut(weight.outputs, outputs):
            row: list[Node] = []
            for along in cut(weight.inputs, inputs):
                block = WeightBlock(0, 0, range(along.size), range(across.size))
                row.extend(repeat(along.count, self._chunk(block)))
            body.extend(repeat(across.count, row))
        nodes = repeat(weight.products * weight.taps, body)
        buffers = self._buffers(min(inputs, weight.inputs), min(outputs, weight.outputs))
        return Program("wuve", buffers, delay_stores(nodes, "updated"))

    def _chunk(self, block: WeightBlock) -> Sequence[Node]:
        target, size, spec = self.target, self.words.size, self.target.arch.wuve
        assert spec is not None
        masters = size * self.master_words(block)
        read = masters + size * self.gradient_words(block)
        written = masters + size * sum(self.copy_words(copy, block) for copy in self.copies)
        a_row, latency = lane_of(spec, self.optimizer)
        given = ("updated", "narrow") if self.copies else ("updated",)
        elements = len(block.inputs) * len(block.outputs)
        update = Command(
            "wuve",
            block.rows * a_row,
            Stall.WUVE,
            takes=("in",),
            frees=("in",),
            fills=given,
            latency=latency + (0 if self.copies else STORE_LEAD - 1),
            actions=(
                Action(f"wuve.{self.optimizer.value}", "master", elements),
                Action("wuve.read", "master", read),
                Action("wuve.write", "master", written),
            ),
        )
        leaves = ("updated", "copies") if self.copies else ("updated",)
        load = target.load("master", "wuve", "in", read)
        store = target.store("master", leaves, written, written, memory="wuve")
        return (load, update, *self._sorting(block, elements), store)

    def _sorting(self, block: WeightBlock, elements: int) -> tuple[Command, ...]:
        """A row of four neighbours a cycle, for every copy."""
        if not self.copies:
            return ()
        ticks = 0
        for copy in self.copies:
            length, across = copy.sides(len(block.inputs), len(block.outputs))
            ticks += length * -(-across // SIDE)
        latency = sorted_latency(self.late) + CORE_SORTED + STORE_LEAD - 1
        actions = (Action("sore.element", "weight", elements * len(self.copies)),)
        of, made = ("narrow",), ("copies",)
        return (Command(SORE, ticks, Stall.SORE, takes=of, frees=of, fills=made, latency=latency, actions=actions),)


@final
@dataclass(frozen=True)
class UpdatePlan:
    """An update on the core, with the plans of the products that make its gradient and use its copies."""

    update: CoreUpdate
    products: Mapping[Phase, Sequence[BindsCommands]]

    def bound(self) -> "Iterator[tuple[Command, Bound]]":
        """The commands of its program, each with what the core's hardware does for it.

        Raises UserError for a convolution whose input gradient comes in several products.
        """
        return systolic.bound_update(self)

    def masters(self) -> "Masters":
        """The words of the masters' region, in their order."""
        return systolic.masters_of(self)


def core_update(target: Target, op: VectorOp, uses: Sequence[MatrixOp], inline: Sequence[Phase]) -> CoreUpdate | None:
    """The update of a layer's weight, or of parameters that no product uses. inline: the phases whose products make
    their weights sparse themselves. None for a weight that is used in another way.
    """
    words = target.words
    if words is None or op.optimizer is None or target.arch.wuve is None:
        return None
    if not uses:
        return CoreUpdate(target, op.optimizer, Weight(1, 1, op.elements, op.count), ())
    weights, copies = set[Weight](), list[Copy]()
    for use in uses:
        taps = use.segments
        inside = use.inner // taps
        sides = (inside, use.cols) if use.phase is Phase.FF else (use.cols, inside)
        weights.add(Weight(taps, *sides, use.count))
        pattern, is_inline = use.right.pattern, use.phase in inline
        n, m = (1, 1) if is_inline or pattern.is_dense else (pattern.n, pattern.m)
        copies.append(Copy(use.phase, n, m, words.lanes if is_inline else words.weights(m > 1)))
    phases = [copy.phase for copy in copies]
    weight = weights.pop()
    if weights or len(set(phases)) < len(phases) or weight[0] * weight[1] * weight[2] * weight.products != op.elements:
        return None
    return CoreUpdate(target, op.optimizer, weight, tuple(copies))


def _most(unit: int, whole: int, fits: Callable[[int], bool]) -> int:
    """The largest multiple of a unit that fits, no longer than needed; 0 where none does."""
    length = -(-whole // unit) * unit
    while length and not fits(length):
        length -= unit
    return length


def _ranges(total: int, size: int) -> list[range]:
    return [range(start, min(start + size, total)) for start in range(0, total, size)]
