"""The two operands of a product on a machine: their blocks, and how these come on chip."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

from dataflows.systolic.depths import at_depth
from dataflows.systolic.lowering import Product
from dataflows.systolic.target import SORE, TRANSPOSER, Share, Target, share
from rtl.timing import CORE_SORTED, CORE_TURNED, sorted_latency
from simulator.program import Action, Buffer, Command, Stall


class Held(NamedTuple):
    """Slots of one operand on chip, and what comes from DRAM for one of them."""

    slots: int
    slot_bytes: int
    loaded_bytes: int


class Load(NamedTuple):
    """Ticks that a load occupies DRAM, and then what stands behind it, the transposer or SORE; `latency` is theirs."""

    dram: int
    behind: int
    latency: int

    @property
    def after(self) -> int:
        """Ticks from the load's arrival on."""
        return self.behind + self.latency


@dataclass(frozen=True)
class Operands:
    """The two operands of a product on a target: sizes of their blocks and how these come on chip.

    `inline`: weights come dense and are made sparse on the way, instead of packed. `folded`: all groups take as much
    room, also shorter ones (weight stationary). `staging_slots` are in front of the transposer or SORE.
    """

    target: Target
    product: Product
    inline: bool
    folded: bool = False
    staging_slots: int = 2

    @cached_property
    def is_turned(self) -> bool:
        """Whether operands go through the transposer."""
        return self.product.transposed and self.target.arch.transposer is not None

    @cached_property
    def turns_right(self) -> bool:
        """Whether the right one does too: all but the core's, whose words are of neighbouring columns anyway."""
        return self.is_turned and self.target.words is None

    def left_bytes(self, rows: int, part: Share) -> int:
        """Bytes that a block of the left operand has in DRAM."""
        words = self.target.words
        if words is None:
            return self.product.left_elements(rows, part.elements) * self.target.operand_bytes
        return words.size * (words.turned(rows) if self.is_turned else rows) * self._line_words(part)

    def right_bytes(self, cols: int, part: Share) -> int:
        """Bytes of a packed block of the right operand: `packed_bytes`, whose bits an element are worked out once."""
        words = self.target.words
        if words is None:
            return -(-cols * part.kept * self._kept_bits // 8)
        kept = part.groups * self.product.reduction.n if self.folded else part.kept
        return words.size * kept * words.across(cols, words.weights(self.product.pattern.is_grouped))

    def dense_bytes(self, cols: int, part: Share) -> int:
        """Bytes of such a block before it is made sparse."""
        words = self.target.words
        if words is None:
            return cols * part.elements * self.target.operand_bytes
        return words.size * part.elements * words.across(cols, words.lanes)

    def results_bytes(self, rows: int, cols: int, each: int) -> int:
        """Bytes that results of so many bytes each have in DRAM."""
        words = self.target.words
        return rows * cols * each if words is None else words.size * rows * words.across(cols, words.size // each)

    def _line_words(self, part: Share) -> int:
        """Words of the west memory that a line's groups take."""
        (_, length, _, m), word = self.product.reduction, self.target.banks.word
        tail = length % m
        shorter = (part.groups * m - part.elements) // (m - tail) if tail and not self.folded else 0
        return (part.groups - shorter) * -(-m // word) + shorter * -(-tail // word)

    def selects(self, macs: int) -> tuple[Action, ...]:
        """The operands that indices pick out of m for a number of multiply-accumulates; none without indices."""
        return (Action("select", self.product.right, macs),) if self.product.pattern.index_bits else ()

    def moved_bytes(self, left_passes: int, right_passes: int) -> int:
        """A floor of the bytes of one product that are brought and taken away.

        `left_passes` and `right_passes` say how often each operand comes on chip as a whole.
        """
        product = self.product
        left = self.left_bytes(product.rows, share(product.reduction)) * left_passes
        right = self.right_bytes(product.cols, share(product.reduction)) * right_passes
        if self.inline and not self.is_turned:
            right = self.dense_bytes(product.cols, share(product.reduction)) * self._passes * right_passes
        return left + right + product.rows * product.cols * product.final_bytes

    def moved_ticks(self, left_passes: int, right_passes: int) -> int:
        """A floor of the time that DRAM and what stands behind it take for that, over all `count` products."""
        product, target = self.product, self.target
        moved, behind = self.moved_bytes(left_passes, right_passes), 0
        if self.turns_right:
            behind = target.least_turn_ticks(moved - product.rows * product.cols * product.final_bytes)
        elif self.is_turned:
            behind = self.left_load(product.rows, share(product.reduction)).behind * left_passes
        elif self.inline:
            behind = self._sort_ticks(product.cols, share(product.reduction)) * right_passes
        return product.count * max(behind, target.channel.least_ticks(moved))

    def store_ticks(self, rows: int, cols: int) -> int:
        """Ticks that a store of so many finished results occupies DRAM."""
        on_chip = rows * cols * self.target.arch.format.accumulator_bytes
        return self.target.move_ticks(on_chip, self.results_bytes(rows, cols, self.product.final_bytes))

    def store(self, rows: int, cols: int, *buffers: str) -> Command:
        """So many finished results out of the output memory into DRAM."""
        on_chip = rows * cols * self.target.arch.format.accumulator_bytes
        moved = self.results_bytes(rows, cols, self.product.final_bytes)
        return self.target.store(self.product.output, buffers, on_chip, moved)

    def first_ticks(self, loads: Sequence[Load]) -> int:
        """A floor of the time until all of these are on chip, in whatever order they come; without any, the latency."""
        if not loads:
            return self.target.channel.latency_ticks
        together = sum(load.dram for load in loads) + min(load.after for load in loads)
        return self.target.channel.latency_ticks + max(together, max(load.dram + load.after for load in loads))

    def left_load(self, rows: int, part: Share) -> Load:
        """What `load_left` takes."""
        dram = self.target.load_ticks(self.left_bytes(rows, part))
        return Load(dram, self._turn_ticks(rows, part), self._turn_latency) if self.is_turned else Load(dram, 0, 0)

    def right_load(self, cols: int, part: Share) -> Load:
        """What `load_right` takes."""
        if self.inline and not self.is_turned:
            dram = self.target.load_ticks(self.dense_bytes(cols, part) * self._passes)
            return Load(dram, self._sort_ticks(cols, part), self._sort_latency)
        dram = self.target.load_ticks(self.right_bytes(cols, part))
        if not self.turns_right:
            return Load(dram, 0, 0)
        return Load(dram, self.target.turn_ticks(cols, part.elements), self._turn_latency)

    def load_left(self, rows: int, part: Share) -> tuple[Command, ...]:
        size = self.left_bytes(rows, part)
        if not self.is_turned:
            return (self.target.load(self.product.left, "west", "west", size),)
        load = self.target.load(self.product.left, "west", "west.raw", size)
        shape = self.product.left_shape(rows, part.elements)
        turn = self._turn(self._turn_ticks(rows, part), shape.lines * shape.length, self.product.left, "west")
        return load, turn

    def load_right(self, cols: int, part: Share) -> tuple[Command, ...]:
        packed, product = self.right_bytes(cols, part), self.product
        if self.turns_right:
            load = self.target.load(product.right, "north", "north.raw", packed)
            ticks = self.target.turn_ticks(cols, part.elements)
            return load, self._turn(ticks, cols * part.elements, product.right, "north")
        if not self.inline or self.is_turned:
            return (self.target.load(product.right, "north", "north", packed),)
        load = self.target.load(product.right, "north", "north.raw", self.dense_bytes(cols, part) * self._passes)
        return load._replace(cause=Stall.SORE if self._passes > 1 else Stall.MEMORY), self._sort(cols, part)

    def room(self, west: Held, north: Held, output_bytes: int) -> bool:
        """Whether slots of these sizes, and the staging in front of them, fit the machine's memories."""
        capacities, slots = self.target.capacities, self.staging_slots
        used = {
            "west": west.slots * west.slot_bytes,
            "north": north.slots * north.slot_bytes,
            "output": output_bytes,
            "raw": 0,
        }
        for operand, held in (("west", west), ("north", north)):
            if f"{operand}.raw" in self._staged:
                used[self._staging(operand)] += slots * held.loaded_bytes
        return all(size <= capacities.get(memory, size) for memory, size in used.items())

    def loaded(self, cols: int, part: Share) -> int:
        """Bytes that come from DRAM for a block of the right operand."""
        packed = self.right_bytes(cols, part)
        if not self.inline or self.is_turned:
            return packed
        reduction = self.product.reduction
        return -(-packed * reduction.m // reduction.n) if self.target.words is None else self.dense_bytes(cols, part)

    def buffers(self, west: Held, north: Held) -> tuple[Buffer, ...]:
        """Both operands' buffers, and those in front of the transposer and of SORE, for the largest blocks loaded."""
        held = (
            Buffer("west", west.slots, "west", west.slot_bytes),
            Buffer("north", north.slots, "north", north.slot_bytes),
        )
        loaded = {"west.raw": west.loaded_bytes, "north.raw": north.loaded_bytes}
        raw = (
            Buffer(name, self.staging_slots, self._staging(name.removesuffix(".raw")), loaded[name])
            for name in self._staged
        )
        return (*held, *raw)

    @cached_property
    def _staged(self) -> tuple[str, ...]:
        """The buffers in front of the transposer or SORE."""
        if self.is_turned:
            return ("west.raw", "north.raw") if self.turns_right else ("west.raw",)
        return ("north.raw",) if self.inline else ()

    def _staging(self, operand: str) -> str:
        """The memory in which an operand waits to be turned or sorted."""
        return operand if self.target.words is None else "raw"

    def renamed(self, product: Product) -> "Operands":
        """The same of a product alike but for its tensors and, where packed, the direction of its groups."""
        names = product.left, product.right, product.output, product.across_outputs
        return replace(self, product=self.product.renamed(*names))

    def at_depth(self, depth: int) -> "Operands":
        """The same of dense work in groups of that depth. Plans of one product ask for the same few again and again."""
        if depth == self.product.reduction.n:
            return self
        found = self._at_depths.get(depth)
        if found is None:
            found = self._at_depths[depth] = replace(self, product=at_depth(self.product, depth))
        return found

    @cached_property
    def _at_depths(self) -> dict[int, "Operands"]:
        return {}

    def with_inline(self, inline: bool) -> "Operands":
        """The same with weights packed, or made sparse on the way in."""
        return self if inline == self.inline else replace(self, inline=inline)

    def inlined(self) -> "Operands":
        return replace(self, inline=True, staging_slots=2)

    @property
    def stagings(self) -> tuple["Operands", ...]:
        """The same with two staging slots and with one, where there is staging at all."""
        return (self, *self._tighter)

    @cached_property
    def _tighter(self) -> tuple["Operands", ...]:
        return (replace(self, staging_slots=1),) if self.is_turned or self.inline else ()

    @cached_property
    def _kept_bits(self) -> int:
        return 8 * self.target.operand_bytes + self.product.pattern.index_bits

    @property
    def _passes(self) -> int:
        """Times SORE reads weights: groups across output channels need a tile buffer or a second pass."""
        spec = self.target.arch.sore
        return 2 if spec is not None and self.product.across_outputs and not spec.tile_buffer else 1

    def west_room(self, elements: int) -> int:
        """Bytes of so many operands in the banks."""
        return elements * self.target.operand_bytes

    def north_room(self, weights: int) -> int:
        """Bytes of so many weights with their indices in the banks."""
        words = self.target.words
        bits = self._kept_bits if words is None else words.operand_bits + words.index_bits
        return -(-weights * bits // 8)

    @property
    def _turn_latency(self) -> int:
        """A block is turned when the last of its lines is in, and then leaves line by line."""
        spec = self.target.arch.transposer
        return 0 if spec is None else spec.side + (0 if self.target.words is None else CORE_TURNED)

    def _turn_ticks(self, rows: int, part: Share) -> int:
        """Cycles in which the transposer takes in a block of the left operand; the core's takes a word a cycle."""
        if (words := self.target.words) is not None:
            return self.left_bytes(rows, part) // words.size
        shape = self.product.left_shape(rows, part.elements)
        return self.target.turn_ticks(shape.lines, shape.length)

    def _turn(self, ticks: int, elements: int, tensor: str, memory: str) -> Command:
        raw, actions = (f"{memory}.raw",), (Action("transposer.element", tensor, elements),)
        return Command(
            TRANSPOSER,
            ticks,
            Stall.TRANSPOSE,
            takes=raw,
            frees=raw,
            fills=(memory,),
            latency=self._turn_latency,
            actions=actions,
        )

    @property
    def _sort_latency(self) -> int:
        return sorted_latency(self.product.reduction.n) + (0 if self.target.words is None else CORE_SORTED)

    def _sort(self, cols: int, part: Share) -> Command:
        actions = (Action("sore.element", "weight", cols * part.groups * self.product.reduction.m),)
        raw, ticks = ("north.raw",), self._sort_ticks(cols, part)
        return Command(
            SORE,
            ticks,
            Stall.SORE,
            takes=raw,
            frees=raw,
            fills=("north",),
            latency=self._sort_latency,
            actions=actions,
        )

    def _sort_ticks(self, cols: int, part: Share) -> int:
        """Cycles in which SORE takes in a block of weights.

        The core's lanes stand beside each other, each on a column, and are done with a group when its last element has
        come and, weight stationary, all of its places are written, of which a short group has more than elements.
        """
        spec, (_, length, n, m), words = self.target.arch.sore, self.product.reduction, self.target.words
        assert spec is not None
        if words is None:
            return -(-cols * part.groups // spec.lanes) * m * spec.cycles_per_element
        tail = length % m
        shorter = (part.groups * m - part.elements) // (m - tail) if tail else 0
        idle = shorter * max(0, n - tail) if self.folded else 0
        return (part.elements + idle) * words.across(cols, words.lanes)


@dataclass(frozen=True)
class OnOperands(ABC):
    """What the plans of all dataflows have in common."""

    operands: Operands

    @property
    def product(self) -> Product:
        return self.operands.product

    @abstractmethod
    def fits(self) -> bool:
        """Whether the buffers fit the machine."""

    def renamed(self, product: Product) -> Self:
        """The same of a product alike but for its tensors and, where packed, the direction of its groups."""
        return replace(self, operands=self.operands.renamed(product))

    def inlined(self) -> Self | None:
        """The same with weights made sparse on the way in; None where that does not fit."""
        plans = (replace(self, operands=operands) for operands in self.operands.inlined().stagings)
        return next((plan for plan in plans if plan.fits()), None)
