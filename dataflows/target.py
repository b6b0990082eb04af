"""What a compiler knows of the machine it writes for, and the commands that bring operands and take results away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

from dataflows.blocks import Share, share
from dataflows.lowering import Product
from rtl.timing import (
    Array,
    Reduction,
    TileCycles,
    output_stationary_ends,
    output_stationary_stream,
    weight_stationary_fold,
)
from simulator.arch.systolic import SystolicArch
from simulator.kernel.channel import Channel
from simulator.program import Action, Buffer, Command, Stall

ARRAY, DRAM, SORE, TRANSPOSER = "array", "dram", "sore", "transposer"


@dataclass(frozen=True)
class Target:
    """A systolic machine in the units compilers use: cycles and bytes. A memory of None is unlimited."""

    arch: SystolicArch
    array: Array
    channel: Channel

    @classmethod
    def of(cls, arch: SystolicArch) -> "Target":
        return cls(arch, arch.timing_array(), arch.dram_channel())

    @property
    def operand_bytes(self) -> int:
        return self.arch.format.operand_bytes

    @cached_property
    def fold(self) -> Callable[[int, int, int], TileCycles]:
        """Cycles of a weight-stationary fold of positions, n and m: asked for the same again and again."""
        return lru_cache(maxsize=4096)(partial(weight_stationary_fold, self.array))

    @cached_property
    def stream(self) -> Callable[[Reduction, int, bool], TileCycles]:
        """Cycles of an output-stationary stream of a reduction, interleaved, with weights shared or operands."""
        return lru_cache(maxsize=4096)(partial(output_stationary_stream, self.array))

    @cached_property
    def ends(self) -> Callable[[int], TileCycles]:
        """Cycles around an output-stationary stream, by interleave."""
        return lru_cache(maxsize=4096)(partial(output_stationary_ends, self.array))

    @cached_property
    def capacities(self) -> Mapping[str, int]:
        """Bytes of every memory that is limited."""
        spec = self.arch.memory
        kib = {
            "west": spec.west_kib,
            "north": spec.north_kib,
            "output": spec.output_kib,
            "wuve": spec.wuve_kib,
            "vector": spec.vector_kib,
        }
        return {memory: int(size * 1024) for memory, size in kib.items() if size is not None}

    def capacity_bytes(self, memory: str) -> int | None:
        return self.capacities.get(memory)

    def fits(self, buffers: tuple[Buffer, ...]) -> bool:
        """Whether buffers fit the memories they name."""
        left = dict(self.capacities)
        for buffer in buffers:
            if buffer.memory in left:
                left[buffer.memory] -= buffer.slots * buffer.slot_bytes
                if left[buffer.memory] < 0:
                    return False
        return True

    def turn_ticks(self, size_bytes: int) -> int:
        """Cycles operands take in the transposer."""
        spec = self.arch.transposer
        return 0 if spec is None else -(-(size_bytes // self.operand_bytes) // spec.elements_per_cycle)

    def load(self, tensor: str, size_bytes: int, memory: str, buffer: str, cause: Stall = Stall.MEMORY) -> Command:
        """A DRAM read into a slot of `buffer`."""
        moved = self.channel.transferred(size_bytes)
        actions = (Action("dram.read", tensor, moved), Action(f"{memory}.write", tensor, size_bytes))
        ticks, latency = self.channel.ticks(size_bytes), self.channel.latency_ticks
        return Command(DRAM, ticks, cause, fills=(buffer,), latency=latency, actions=actions)

    def store(
        self, tensor: str, size_bytes: int, on_chip_bytes: int, buffers: tuple[str, ...], memory: str = "output"
    ) -> Command:
        """A DRAM write out of an on-chip memory, which gives back a slot of each of `buffers`."""
        moved = self.channel.transferred(size_bytes)
        actions = (Action("dram.write", tensor, moved), Action(f"{memory}.read", tensor, on_chip_bytes))
        ticks = self.channel.ticks(size_bytes)
        return Command(DRAM, ticks, Stall.MEMORY, takes=buffers, frees=buffers, actions=actions)


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

    def left_bytes(self, rows: int, inner: int) -> int:
        return self.product.left_elements(rows, inner) * self.target.operand_bytes

    def right_bytes(self, cols: int, part: Share) -> int:
        """Bytes of a block of the right operand on chip: kept elements with their indices."""
        return packed_bytes(cols * part.kept, self.target.operand_bytes, self.product.pattern.index_bits)

    def selects(self, macs: int) -> tuple[Action, ...]:
        """The operands that indices pick out of m for a number of multiply-accumulates; none without indices."""
        return (Action("select", self.product.right, macs),) if self.product.pattern.index_bits else ()

    def moved_ticks(self, left_passes: int, right_passes: int, more_bytes: int = 0) -> int:
        """A floor of the time that DRAM and what stands behind it take to bring operands and take results away.

        `left_passes` and `right_passes` say how often each operand comes on chip as a whole; `more_bytes` are those of
        partial sums.
        """
        product, target = self.product, self.target
        left = self.left_bytes(product.rows, product.inner) * left_passes
        right = self.right_bytes(product.cols, share(product.reduction)) * right_passes
        turned = target.turn_ticks(left + right) if self.is_turned else 0
        if self.inline:
            right = product.cols * product.inner * target.operand_bytes * self._passes * right_passes
        moved = left + right + more_bytes + product.rows * product.cols * product.final_bytes
        return product.count * max(turned, target.channel.least_ticks(moved))

    def first_ticks(self, left_bytes: int, right_bytes: int) -> int:
        """A floor of the time until the array can work with blocks that come on chip first; 0 bytes for none."""
        channel = self.target.channel
        first = channel.ticks(left_bytes) + channel.ticks(right_bytes) + channel.latency_ticks
        return first + (self.target.turn_ticks(min(left_bytes, right_bytes)) if self.is_turned else 0)

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

    def room(self, west: "Held", north: "Held", output_bytes: int) -> bool:
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
    def is_turned(self) -> bool:
        return self.product.transposed and self.target.arch.transposer is not None

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
        return Command(SORE, self._sort_ticks(cols, part), Stall.SORE, takes=raw, frees=raw, fills=("north",), actions=actions)

    def _sort_ticks(self, cols: int, part: Share) -> int:
        spec = self.target.arch.sore
        assert spec is not None
        return -(-cols * part.groups // spec.lanes) * self.product.reduction.m * spec.cycles_per_element


def packed_bytes(kept: int, operand_bytes: int, index_bits: int) -> int:
    """Bytes of kept elements with their indices, packed."""
    return -(-kept * (8 * operand_bytes + index_bits) // 8)


def hold(buffer: str) -> Command:
    """From here on the array works with what the buffer's next slot holds."""
    return Command(ARRAY, 0, Stall.ARRAY, takes=(buffer,))


def drop(buffer: str) -> Command:
    """The array is done with the slot it holds."""
    return Command(ARRAY, 0, Stall.ARRAY, frees=(buffer,))
