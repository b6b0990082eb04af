"""What every program is made of: the machine it is written for, its transfers, blocks, and loads ahead of work."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Generic, NamedTuple, TypeVar

from dataflows.systolic.banks import Banks
from dataflows.systolic.words import Words
from rtl.timing import (
    Array,
    Reduction,
    TileCycles,
    output_stationary_ends,
    output_stationary_stream,
    transposed,
    weight_stationary_fold,
)
from simulator.machines.systolic import SystolicArch
from simulator.program import Action, Buffer, Channel, Command, Loop, Node, Stall

ARRAY, DRAM, SORE, TRANSPOSER = "array", "dram", "sore", "transposer"
Part = TypeVar("Part")


class Run(NamedTuple):
    """`count` blocks of `size` elements in a row."""

    size: int
    count: int  # type: ignore[assignment]  # tuples have a method of this name


@lru_cache(maxsize=4096)
def cut(total: int, size: int) -> tuple[Run, ...]:
    """Whole blocks of `size` and the rest."""
    whole, rest = divmod(total, size)
    return tuple(Run(part, count) for part, count in ((size, whole), (rest, 1)) if part and count)


@lru_cache(maxsize=4096)
def pieces(reduction: Reduction, most: int) -> tuple[tuple[Reduction, int], ...]:
    """The reduction in pieces of at most about `most` elements, each with how often it comes.

    Whole kernel positions where there are several and one is small enough, otherwise runs of whole groups; the pieces
    keep the order of the reduction, and the first is the largest.
    """
    segments, length, n, m = reduction.segments, reduction.length, reduction.n, reduction.m
    if segments > 1 and length <= most:
        return tuple((Reduction(run.size, length, n, m), run.count) for run in cut(segments, most // length))
    a_segment = tuple((Reduction(1, run.size, n, m), run.count) for run in cut(length, max(1, most // m) * m))
    if len(a_segment) == 1:
        return ((a_segment[0][0], a_segment[0][1] * segments),)
    return a_segment * segments


class Place(NamedTuple, Generic[Part]):
    """Where a part stands among those that add to the same sums: the first starts them, the last finishes them."""

    part: Part
    first: bool
    last: bool


def places(runs: Sequence[tuple[Part, int]]) -> list[tuple[Place[Part], int]]:
    """Parts in order, each with how often it comes, the first and the last one set apart."""
    out = []
    for at, (part, count) in enumerate(runs):
        begins, ends = at == 0, at == len(runs) - 1
        if begins and ends and count == 1:
            out.append((Place(part, True, True), 1))
            continue
        middle = count - begins - ends
        kinds = [(Place(part, True, False), int(begins)), (Place(part, False, False), middle)]
        kinds.append((Place(part, False, True), int(ends)))
        out.extend((place, number) for place, number in kinds if number)
    return out


class Share(NamedTuple):
    """A part of a reduction: its dense elements, those kept of them, and the groups they are in."""

    elements: int
    kept: int
    groups: int


@lru_cache(maxsize=4096)
def share(reduction: Reduction) -> Share:
    """All of a reduction."""
    return Share(reduction.segments * reduction.length, reduction.kept, reduction.groups)


@dataclass(frozen=True)
class Stage:
    """`count` times: `loads` fetch what `work` needs."""

    loads: tuple[Node, ...]
    work: tuple[Node, ...]
    count: int


def prefetched(stages: Sequence[Stage]) -> tuple[Node, ...]:
    """Stages in order, each round's loads written ahead of the work of the round before it (two slots suffice)."""
    out: list[Node] = list(stages[0].loads)
    for stage, after in zip(stages, [*stages[1:], None], strict=True):
        if stage.count > 1:
            out.append(Loop(stage.count - 1, (*stage.loads, *stage.work)))
        out.extend((*after.loads, *stage.work) if after else stage.work)
    return tuple(out)


def in_turn(stages: Sequence[Stage]) -> tuple[Node, ...]:
    """Stages in order, each round's loads right before its work (one slot suffices)."""
    return tuple(Loop(stage.count, (*stage.loads, *stage.work)) for stage in stages)


def repeat(count: int, body: Sequence[Node]) -> tuple[Node, ...]:
    """The body `count` times, without a loop where once is enough."""
    if count < 1 or not body:
        return ()
    return tuple(body) if count == 1 else (Loop(count, tuple(body)),)


@dataclass(frozen=True)
class Target:
    """A systolic machine in the units compilers use: cycles and bytes. A memory of None is unlimited.

    `port`: between the DRAM and an on-chip memory.
    """

    arch: SystolicArch
    array: Array
    channel: Channel
    port: Channel

    @classmethod
    def of(cls, arch: SystolicArch) -> "Target":
        return cls(arch, arch.timing_array(), arch.dram_channel(), arch.dma_port())

    @property
    def of_products(self) -> Hashable:
        """All that the mapping of a product hangs on: machines that are alike in it have the same mappings."""
        arch = self.arch
        sizes = [self.capacities.get(memory) for memory in ("west", "north", "output", "raw")]
        said = (arch.array, arch.format, arch.sore, arch.transposer, arch.core)
        schedule = (arch.schedule.offline, arch.schedule.interleave)
        return (self.array, self.channel, self.port, *sizes, *said, *schedule)

    @cached_property
    def banks(self) -> Banks:
        return Banks.of(self.array)

    @cached_property
    def words(self) -> Words | None:
        """How transfers lie in words; None on a machine whose transfers have no gaps."""
        return Words.of(self.arch, self.banks)

    @cached_property
    def operand_bytes(self) -> int:
        return self.arch.format.operand_bytes

    @cached_property
    def fold(self) -> Callable[[int, int, int], TileCycles]:
        """Cycles of a weight-stationary fold of positions, n and m: asked for the same again and again."""
        return lru_cache(maxsize=4096)(partial(_at_least, weight_stationary_fold, self.array))

    @cached_property
    def stream(self) -> Callable[[Reduction, int, bool], TileCycles]:
        """Cycles of an output-stationary stream of a reduction, interleaved, with weights shared or operands."""
        return lru_cache(maxsize=4096)(partial(_at_least, output_stationary_stream, self.array))

    @cached_property
    def ends(self) -> Callable[[int], TileCycles]:
        """Cycles around an output-stationary stream, by interleave."""
        return lru_cache(maxsize=4096)(partial(_at_least, output_stationary_ends, self.array))

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
            "raw": None if self.arch.core is None else self.arch.core.raw_kib,
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

    def turn_ticks(self, lines: int, length: int) -> int:
        """Cycles in which the transposer takes in lines of operands."""
        spec = self.arch.transposer
        return 0 if spec is None else transposed(lines, length, spec.side, spec.units)

    def least_turn_ticks(self, size_bytes: int) -> int:
        """Cycles below which so many bytes do not go through the transposer, whatever their shape."""
        spec = self.arch.transposer
        return 0 if spec is None else -(-(size_bytes // self.operand_bytes) // (spec.side * spec.units))

    def move_ticks(self, on_chip_bytes: int, *regions: int) -> int:
        """Cycles DRAM is occupied by a transfer: regions that do not lie together, each of so many bytes.

        A region is whole bursts; all of them pass the port of the on-chip memory, where sums are wider than in DRAM.
        """
        return max(sum(map(self.channel.ticks, regions)), self.port.ticks(on_chip_bytes))

    def load_ticks(self, size_bytes: int) -> int:
        """The same for one region that is as large on chip."""
        return max(self.channel.ticks(size_bytes), self.port.ticks(size_bytes))

    def load(self, tensor: str, memory: str, buffer: str, *regions: int, cause: Stall = Stall.MEMORY) -> Command:
        """A DRAM read of regions of so many bytes into a slot of `buffer`."""
        size = sum(regions)
        moved = sum(map(self.channel.transferred, regions))
        actions = (Action("dram.read", tensor, moved), Action(f"{memory}.write", tensor, size))
        ticks, latency = self.move_ticks(size, *regions), self.channel.latency_ticks
        return Command(DRAM, ticks, cause, fills=(buffer,), latency=latency, actions=actions)

    def store(
        self, tensor: str, buffers: tuple[str, ...], on_chip_bytes: int, *regions: int, memory: str = "output"
    ) -> Command:
        """A DRAM write of regions out of an on-chip memory, which gives back a slot of each of `buffers`."""
        moved = sum(map(self.channel.transferred, regions))
        actions = (Action("dram.write", tensor, moved), Action(f"{memory}.read", tensor, on_chip_bytes))
        ticks = self.move_ticks(on_chip_bytes, *regions)
        return Command(DRAM, ticks, Stall.MEMORY, takes=buffers, frees=buffers, actions=actions)


def _at_least(timing: Callable[..., TileCycles], array: Array, *of: int | Reduction) -> TileCycles:
    """Cycles of a run, which is no shorter than the time between the starts of two."""
    cycles = timing(array, *of)
    missing = max(0, array.shortest - cycles.total)
    return cycles._replace(fill_drain=cycles.fill_drain + missing) if missing else cycles


def packed_bytes(kept: int, operand_bytes: int, index_bits: int) -> int:
    """Bytes of kept elements with their indices, packed."""
    return -(-kept * (8 * operand_bytes + index_bits) // 8)


def hold(buffer: str) -> Command:
    """From here on the array works with what the buffer's next slot holds."""
    return Command(ARRAY, 0, Stall.ARRAY, takes=(buffer,))


def drop(buffer: str) -> Command:
    """The array is done with the slot it holds."""
    return Command(ARRAY, 0, Stall.ARRAY, frees=(buffer,))
