"""What a compiler knows of the machine it writes for, and the transfers every program is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

from rtl.timing import (
    Array,
    Reduction,
    TileCycles,
    output_stationary_ends,
    output_stationary_stream,
    weight_stationary_fold,
)
from simulator.machines.systolic import SystolicArch
from simulator.program import Action, Buffer, Channel, Command, Stall

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

    @cached_property
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


def packed_bytes(kept: int, operand_bytes: int, index_bits: int) -> int:
    """Bytes of kept elements with their indices, packed."""
    return -(-kept * (8 * operand_bytes + index_bits) // 8)


def hold(buffer: str) -> Command:
    """From here on the array works with what the buffer's next slot holds."""
    return Command(ARRAY, 0, Stall.ARRAY, takes=(buffer,))


def drop(buffer: str) -> Command:
    """The array is done with the slot it holds."""
    return Command(ARRAY, 0, Stall.ARRAY, frees=(buffer,))
