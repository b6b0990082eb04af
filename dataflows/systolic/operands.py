"""The two operands of a product on a machine: their blocks, and how these come on chip."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

from dataflows.systolic.banks import Shape
from dataflows.systolic.lowering import Product
from dataflows.systolic.target import SORE, TRANSPOSER, Share, Target, share
from rtl.timing import sorted_latency
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

    `inline`: weights come dense and are made sparse on the way, instead of packed. `staging_slots` are in front of the
    transposer or SORE.
    """

    target: Target
    product: Product
    inline: bool
    staging_slots: int = 2

    @cached_property
    def is_turned(self) -> bool:
        """Whether both operands go through the transposer."""
        return self.product.transposed and self.target.arch.transposer is not None

    def left_bytes(self, rows: int, inner: int) -> int:
        return self.product.left_elements(rows, inner) * self.target.operand_bytes

    def right_bytes(self, cols: int, part: Share) -> int:
        """Bytes of a block of the right operand on chip: `packed_bytes`, whose bits an element are worked out once."""
        return -(-cols * part.kept * self._kept_bits // 8)

    def selects(self, macs: int) -> tuple[Action, ...]:
        """The operands that indices pick out of m for a number of multiply-accumulates; none without indices."""
        return (Action("select", self.product.right, macs),) if self.product.pattern.index_bits else ()

    def moved_bytes(self, left_passes: int, right_passes: int) -> int:
        """A floor of the bytes of one product that are brought and taken away.

        `left_passes` and `right_passes` say how often each operand comes on chip as a whole.
        """
        product = self.product
        left = self.left_bytes(product.rows, product.inner) * left_passes
        right = self.right_bytes(product.cols, share(product.reduction)) * right_passes
        if self.inline and not self.is_turned:
            right = product.cols * product.inner * self.target.operand_bytes * self._passes * right_passes
        return left + right + product.rows * product.cols * product.final_bytes

    def moved_ticks(self, left_passes: int, right_passes: int) -> int:
        """A floor of the time that DRAM and what stands behind it take for that, over all `count` products."""
        product, target = self.product, self.target
        moved, behind = self.moved_bytes(left_passes, right_passes), 0
        if self.is_turned:
            behind = target.least_turn_ticks(moved - product.rows * product.cols * product.final_bytes)
        elif self.inline:
            behind = self._sort_ticks(product.cols, share(product.reduction)) * right_passes
        return product.count * max(behind, target.channel.least_ticks(moved))

    def store_ticks(self, outputs: int) -> int:
        """Ticks that a store of so many finished results occupies DRAM."""
        on_chip = outputs * self.target.arch.format.accumulator_bytes
        return self.target.move_ticks(on_chip, outputs * self.product.final_bytes)

    def store(self, outputs: int, *buffers: str) -> Command:
        """So many finished results out of the output memory into DRAM."""
        on_chip = outputs * self.target.arch.format.accumulator_bytes
        return self.target.store(self.product.output, buffers, on_chip, outputs * self.product.final_bytes)

    def first_ticks(self, loads: Sequence[Load]) -> int:
        """A floor of the time until all of these are on chip, in whatever order they come; without any, the latency."""
        if not loads:
            return self.target.channel.latency_ticks
        together = sum(load.dram for load in loads) + min(load.after for load in loads)
        return self.target.channel.latency_ticks + max(together, max(load.dram + load.after for load in loads))

    def left_load(self, rows: int, inner: int) -> Load:
        """What `load_left` takes."""
        dram = self.target.load_ticks(self.left_bytes(rows, inner))
        if not self.is_turned:
            return Load(dram, 0, 0)
        shape = self.product.left_shape(rows, inner)
        return Load(dram, self.target.turn_ticks(shape.lines, shape.length), self._turn_latency)

    def right_load(self, cols: int, part: Share) -> Load:
        """What `load_right` takes."""
        if self.inline and not self.is_turned:
            dense = cols * part.elements * self.target.operand_bytes
            dram = self.target.load_ticks(dense * self._passes)
            return Load(dram, self._sort_ticks(cols, part), sorted_latency(self.product.reduction.n))
        dram = self.target.load_ticks(self.right_bytes(cols, part))
        if not self.is_turned:
            return Load(dram, 0, 0)
        return Load(dram, self.target.turn_ticks(cols, part.elements), self._turn_latency)

    def load_left(self, rows: int, inner: int) -> tuple[Command, ...]:
        size = self.left_bytes(rows, inner)
        if not self.is_turned:
            return (self.target.load(self.product.left, "west", "west", size),)
        load = self.target.load(self.product.left, "west", "west.raw", size)
        return load, self._turn(self.product.left_shape(rows, inner), "west")

    def load_right(self, cols: int, part: Share) -> tuple[Command, ...]:
        packed = self.right_bytes(cols, part)
        if self.is_turned:
            load = self.target.load(self.product.right, "north", "north.raw", packed)
            return load, self._turn(Shape(cols, part.elements, False), "north")
        if not self.inline:
            return (self.target.load(self.product.right, "north", "north", packed),)
        dense = cols * part.elements * self.target.operand_bytes
        load = self.target.load(self.product.right, "north", "north.raw", dense * self._passes)
        return load._replace(cause=Stall.SORE if self._passes > 1 else Stall.MEMORY), self._sort(cols, part)

    def room(self, west: Held, north: Held, output_bytes: int) -> bool:
        """Whether slots of these sizes, and the staging in front of them, fit the machine's memories."""
        capacities, slots = self.target.capacities, self.staging_slots
        west_bytes, north_bytes = west.slots * west.slot_bytes, north.slots * north.slot_bytes
        if self.is_turned:
            west_bytes += slots * west.loaded_bytes
            north_bytes += slots * north.loaded_bytes
        elif self.inline:
            north_bytes += slots * self._dense_bytes(north.loaded_bytes)
        used = (("west", west_bytes), ("north", north_bytes), ("output", output_bytes))
        return all(size <= capacities.get(memory, size) for memory, size in used)

    def _dense_bytes(self, packed_bytes: int) -> int:
        reduction = self.product.reduction
        return -(-packed_bytes * reduction.m // reduction.n)

    def buffers(self, west: Held, north: Held) -> tuple[Buffer, ...]:
        """Both operands' buffers, and those in front of the transposer and of SORE, for the largest blocks loaded."""
        slots, loaded = self.staging_slots, north.loaded_bytes
        held = (
            Buffer("west", west.slots, "west", west.slot_bytes),
            Buffer("north", north.slots, "north", north.slot_bytes),
        )
        if self.is_turned:
            raw = Buffer("west.raw", slots, "west", west.loaded_bytes), Buffer("north.raw", slots, "north", loaded)
            return (*held, *raw)
        return (*held, Buffer("north.raw", slots, "north", self._dense_bytes(loaded))) if self.inline else held

    def renamed(self, product: Product) -> "Operands":
        """The same of a product alike but for its tensors and, where packed, the direction of its groups."""
        names = product.left, product.right, product.output, product.across_outputs
        return replace(self, product=self.product.renamed(*names))

    def inlined(self) -> "Operands":
        return Operands(self.target, self.product, True)

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
        return -(-weights * self._kept_bits // 8)

    @property
    def _turn_latency(self) -> int:
        """A block is turned when the last of its lines is in, and then leaves line by line."""
        spec = self.target.arch.transposer
        return 0 if spec is None else spec.side

    def _turn(self, shape: Shape, memory: str) -> Command:
        ticks = self.target.turn_ticks(shape.lines, shape.length)
        tensor = self.product.left if memory == "west" else self.product.right
        raw, actions = (f"{memory}.raw",), (Action("transposer.element", tensor, shape.lines * shape.length),)
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

    def _sort(self, cols: int, part: Share) -> Command:
        actions = (Action("sore.element", "weight", cols * part.groups * self.product.reduction.m),)
        raw = ("north.raw",)
        ticks, latency = self._sort_ticks(cols, part), sorted_latency(self.product.reduction.n)
        return Command(
            SORE, ticks, Stall.SORE, takes=raw, frees=raw, fills=("north",), latency=latency, actions=actions
        )

    def _sort_ticks(self, cols: int, part: Share) -> int:
        spec = self.target.arch.sore
        assert spec is not None
        return -(-cols * part.groups // spec.lanes) * self.product.reduction.m * spec.cycles_per_element


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
