"""The two operands of a product on a machine: their blocks, and how these come on chip."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

from dataflows.systolic.lowering import Product
from dataflows.systolic.target import SORE, TRANSPOSER, Share, Target, share
from simulator.program import Action, Buffer, Command, Stall


class Held(NamedTuple):
    """Slots of one operand on chip."""

    slots: int
    slot_bytes: int


class Load(NamedTuple):
    """Ticks that a load occupies DRAM, and then what stands behind it: the transposer, or SORE."""

    dram: int
    behind: int


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

    def moved_ticks(self, left_passes: int, right_passes: int) -> int:
        """A floor of the time that DRAM and what stands behind it take to bring operands and take results away.

        `left_passes` and `right_passes` say how often each operand comes on chip as a whole.
        """
        product, target = self.product, self.target
        left = self.left_bytes(product.rows, product.inner) * left_passes
        right = self.right_bytes(product.cols, share(product.reduction)) * right_passes
        behind = target.turn_ticks(left + right) if self.is_turned else 0
        if self.inline and not self.is_turned:
            right = product.cols * product.inner * target.operand_bytes * self._passes * right_passes
            behind = self._sort_ticks(product.cols, share(product.reduction)) * right_passes
        moved = left + right + product.rows * product.cols * product.final_bytes
        return product.count * max(behind, target.channel.least_ticks(moved))

    def first_ticks(self, loads: Sequence[Load]) -> int:
        """A floor of the time until all of these are on chip, in whatever order they come; without any, the latency."""
        if not loads:
            return self.target.channel.latency_ticks
        together = sum(load.dram for load in loads) + min(load.behind for load in loads)
        return self.target.channel.latency_ticks + max(together, max(load.dram + load.behind for load in loads))

    def left_load(self, rows: int, inner: int) -> Load:
        """What `load_left` takes."""
        size = self.left_bytes(rows, inner)
        return Load(self.target.channel.ticks(size), self.target.turn_ticks(size) if self.is_turned else 0)

    def right_load(self, cols: int, part: Share) -> Load:
        """What `load_right` takes."""
        channel = self.target.channel
        if self.inline and not self.is_turned:
            dense = cols * part.elements * self.target.operand_bytes
            return Load(channel.ticks(dense * self._passes), self._sort_ticks(cols, part))
        size = self.right_bytes(cols, part)
        return Load(channel.ticks(size), self.target.turn_ticks(size) if self.is_turned else 0)

    def load_left(self, rows: int, inner: int) -> tuple[Command, ...]:
        size = self.left_bytes(rows, inner)
        if not self.is_turned:
            return (self.target.load(self.product.left, size, "west", "west"),)
        return self.target.load(self.product.left, size, "west", "west.raw"), self._turn(size, "west")

    def load_right(self, cols: int, part: Share) -> tuple[Command, ...]:
        packed = self.right_bytes(cols, part)
        if self.is_turned:
            return self.target.load(self.product.right, packed, "north", "north.raw"), self._turn(packed, "north")
        if not self.inline:
            return (self.target.load(self.product.right, packed, "north", "north"),)
        dense = cols * part.elements * self.target.operand_bytes
        load = self.target.load(self.product.right, dense * self._passes, "north", "north.raw")
        return load._replace(cause=Stall.SORE if self._passes > 1 else Stall.MEMORY), self._sort(cols, part)

    def room(self, west: Held, north: Held, output_bytes: int) -> bool:
        """Whether slots of these sizes, and the staging in front of them, fit the machine's memories."""
        capacities, slots = self.target.capacities, self.staging_slots
        west_bytes, north_bytes = west.slots * west.slot_bytes, north.slots * north.slot_bytes
        if self.is_turned:
            west_bytes += slots * west.slot_bytes
            north_bytes += slots * north.slot_bytes
        elif self.inline:
            north_bytes += slots * self._dense_bytes(north.slot_bytes)
        used = (("west", west_bytes), ("north", north_bytes), ("output", output_bytes))
        return all(size <= capacities.get(memory, size) for memory, size in used)

    def _dense_bytes(self, packed_bytes: int) -> int:
        reduction = self.product.reduction
        return -(-packed_bytes * reduction.m // reduction.n)

    def staging(self, west_bytes: int, north_bytes: int) -> tuple[Buffer, ...]:
        """Buffers in front of the transposer and of SORE, for the largest blocks loaded at once."""
        slots = self.staging_slots
        if self.is_turned:
            return Buffer("west.raw", slots, "west", west_bytes), Buffer("north.raw", slots, "north", north_bytes)
        if self.inline:
            return (Buffer("north.raw", slots, "north", self._dense_bytes(north_bytes)),)
        return ()

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

    def _turn(self, size_bytes: int, memory: str) -> Command:
        elements, ticks = size_bytes // self.target.operand_bytes, self.target.turn_ticks(size_bytes)
        tensor = self.product.left if memory == "west" else self.product.right
        actions = (Action("transposer.element", tensor, elements),)
        raw = (f"{memory}.raw",)
        return Command(TRANSPOSER, ticks, Stall.TRANSPOSE, takes=raw, frees=raw, fills=(memory,), actions=actions)

    def _sort(self, cols: int, part: Share) -> Command:
        actions = (Action("sore.element", "weight", cols * part.groups * self.product.reduction.m),)
        raw = ("north.raw",)
        ticks = self._sort_ticks(cols, part)
        return Command(SORE, ticks, Stall.SORE, takes=raw, frees=raw, fills=("north",), actions=actions)

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
