"""The queues of the core from bound commands, and the words of DRAM: what a host does before it lets the core begin."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, final

import numpy as np
from amaranth.lib.data import StructLayout
from numpy.typing import NDArray

from rtl.core.array import packed_bits
from rtl.core.bound import (
    Bound,
    BoundCopies,
    BoundLoad,
    BoundMove,
    BoundRun,
    BoundSort,
    BoundStore,
    BoundTurn,
    BoundUpdate,
    CoreMemory,
)
from rtl.core.core import ARRAY, DRAM, ENGINES, SORE, TRANSPOSER, WUVE, CoreLayout
from rtl.core.memories import DENSE, SPARSE
from rtl.core.runs import Sorting
from rtl.core.storing import STORE_WORD, Source
from rtl.core.walk import LOOPS, Walk
from workloads.errors import UserError

WORD_BYTES = 8
QUEUES = (*ENGINES, "load_walks", "store_walks", "sort_walks", "turn_walks", "store_words", "constants", "ops")


class Controlled(NamedTuple):
    """The part of a command that control sees: a bit for each buffer; ticks are the simulator's."""

    engine: str
    takes: int
    fills: int
    frees: int
    last: bool
    ticks: int
    stores: bool


class Addresses(Protocol):
    """Where regions of DRAM begin, as `Regions` says it."""

    def address(self, region: Hashable, words: int | None = None) -> int: ...


@final
@dataclass
class Regions:
    """Where regions of DRAM begin. Not frozen: it gives out addresses. Raises UserError when the DRAM is full."""

    capacity_bytes: int
    used: int = 0
    of: dict[Hashable, int] = field(default_factory=dict)

    def address(self, region: Hashable, words: int | None = None) -> int:
        """Where a region of so many words begins, the same each time; None for one that is known."""
        if region not in self.of:
            if words is None:
                raise UserError(f"core: nobody has said how large the region {region} is")
            self.of[region], self.used = self.used, self.used + words * WORD_BYTES
            if self.used > self.capacity_bytes:
                raise UserError(f"core: the operands need more than the {self.capacity_bytes:,} bytes of the DRAM")
        return self.of[region]


@final
@dataclass
class Feed:
    """The words of every queue, as numbers. Not frozen: it is filled op by op.

    order: queues in the order in which a slow host gives them their words: an op before its commands, and before the
    word of a command what it needs in other queues.
    """

    layout: CoreLayout
    regions: Addresses
    words: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in QUEUES})
    order: list[str] = field(default_factory=list)

    def op(self, slots: Sequence[int], commands: Iterable[tuple[Controlled, Bound]]) -> None:
        """Append an op: the slots of its buffers, and its commands in order."""
        active, buffers = 0, self.layout.control.buffers
        self.order.append("ops")
        for command, bound in commands:
            active |= 1 << ENGINES.index(command.engine)
            self._command(command, bound)
        bits = self.layout.control.slot_bits
        told = sum(count << bits * number for number, count in enumerate(slots))
        self.words["ops"].append(told | active << bits * buffers)

    def _command(self, command: Controlled, bound: Bound) -> None:
        control = {"takes": command.takes, "fills": command.fills, "last": int(command.last)}
        shared: dict[str, object] = {"control": control, "frees": command.frees}
        if isinstance(bound, BoundRun):
            self._put(ARRAY, {**shared, "stores": int(command.stores)}, self.layout.shape.bits(bound, command.ticks))
        elif isinstance(bound, BoundTurn):
            self._walks("turn_walks", bound.walks)
            does = {"raw": bound.raw, "beats": bound.words}
            self._put(TRANSPOSER, shared, packed_bits(self.layout.turning, does))
        elif isinstance(bound, BoundSort):
            self._sort(shared, bound)
        elif isinstance(bound, BoundMove):
            self._move(command, shared, bound)
        elif isinstance(bound, BoundUpdate):
            updates, work = self.layout.updates, bound.work
            if updates is None:
                raise UserError("core: this core has no update engine")
            self._put(WUVE, {**shared, "stores": int(command.stores)}, work.bits(updates))
        elif isinstance(bound, BoundCopies):
            self._walks("sort_walks", bound.walks)
            for number, part in enumerate(bound.runs, 1):
                told = {"stores": int(command.stores), "more": int(number < len(bound.runs))}
                self._put(SORE, {**shared, **told}, part.bits(self.layout.sorting))
        else:
            self._transfer(command, shared, bound)

    def _transfer(self, command: Controlled, shared: dict[str, object], bound: BoundLoad | BoundStore) -> None:
        content, store = bound.content, isinstance(bound, BoundStore)
        does: dict[str, object] = {
            "store": int(store),
            "address": self.regions.address(content.region, content.words),
            "beats": content.words - 1,
            "memory": 0 if isinstance(bound, BoundStore) else int(bound.memory),
            "per": DENSE if isinstance(bound, BoundLoad) and bound.dense else SPARSE,
            "tag": command.frees if store else command.fills,
            "joins": 0,
        }
        self._walks("store_walks" if store else "load_walks", bound.walks)
        if isinstance(bound, BoundStore):
            self._store_word(Source.NARROW if bound.narrow else Source.SUMS, False)
        self._put(DRAM, {**shared, "more": 0}, packed_bits(self.layout.dma.command, does))

    def _store_word(self, source: Source, more: bool) -> None:
        self._add("store_words", packed_bits(STORE_WORD, {"source": int(source), "more": int(more)}))

    def _move(self, command: Controlled, shared: dict[str, object], bound: BoundMove) -> None:
        """A word of the queue for each segment; only the last one fills or frees a slot."""
        tag = command.frees if bound.store else command.fills
        for number, segment in enumerate(bound.segments, 1):
            more = number < len(bound.segments)
            does: dict[str, object] = {
                "store": int(bound.store),
                "address": self.regions.address(segment.region) + WORD_BYTES * segment.first,
                "beats": segment.words - 1,
                "memory": 0 if bound.store else int(CoreMemory.UPDATE),
                "per": SPARSE,
                "tag": 0 if more else tag,
                "joins": int(number > 1),
            }
            self._walks("store_walks" if bound.store else "load_walks", segment.walks)
            if bound.store:
                self._store_word(segment.source, more)
            self._put(DRAM, {**shared, "more": int(more)}, packed_bits(self.layout.dma.command, does))

    def _sort(self, shared: dict[str, object], bound: BoundSort) -> None:
        self._walks("sort_walks", bound.walks)
        layout, raw = self.layout.sorting, bound.raw
        for number, (count, size) in enumerate(bound.groups, 1):
            part = Sorting(raw, bound.keep, size, full=count, blocks=bound.blocks, pad=bound.pad)
            does = packed_bits(layout, part.fields(layout))
            self._put(SORE, {**shared, "stores": 0, "more": int(number < len(bound.groups))}, does)
            raw += count * size * bound.blocks

    def _walks(self, queue: str, walks: Sequence[Walk]) -> None:
        for number, walk in enumerate(walks, 1):
            self._add(queue, walk_bits(self.layout, walk, number == len(walks)))

    def _put(self, engine: int, fields: Mapping[str, object], does: int) -> None:
        layout = self.layout.words[engine]
        self._add(ENGINES[engine], packed_bits(layout, {**fields, "does": does}))

    def _add(self, queue: str, word: int) -> None:
        self.words[queue].append(word)
        self.order.append(queue)


def walk_bits(layout: CoreLayout, walk: Walk, last: bool) -> int:
    """A walk as hardware takes it. Raises UserError for what it cannot count to.

    `Walk.bits` says the same of any walk; those here lead only upwards, so that their last place is the furthest.
    """
    shape = layout.shape.walks
    turn, address, bank = shape.turn_bits, shape.address_bits, shape.bank_bits
    out = at = 0
    last_address = walk.address + sum((loop.turns - 1) * loop.address for loop in walk.loops)
    last_bank = walk.bank + sum((loop.turns - 1) * loop.bank for loop in walk.loops)
    if last_address >> address or last_bank >> bank or any((loop.turns - 1) >> turn for loop in walk.loops):
        raise UserError(
            f"core: a walk to address {last_address} of bank {last_bank} is beyond the memories of this core"
        )
    for loop in walk.padded:
        out |= (loop.turns - 1) << at | loop.address << at + turn | loop.bank << at + turn + address
        at += turn + address + bank
    assert len(walk.padded) == LOOPS
    return out | walk.address << at | walk.bank << at + address | int(last) << at + address + bank


def words_bits(load: BoundLoad, values: NDArray[np.integer], weight_bits: int) -> NDArray[np.uint64]:
    """(words,) of DRAM from the values of a load's words (`rtl.core.content`, or sums)."""
    if load.memory is CoreMemory.OUTPUT:
        return _joined(values, 32)
    if load.memory is not CoreMemory.NORTH or load.dense:
        return _joined(values, 16)
    lanes = values.shape[1] // 2
    return _joined(
        values[:, :lanes].astype(np.uint64) | values[:, lanes:].astype(np.uint64) << np.uint64(16), weight_bits
    )


def values_of(store: BoundStore, words: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """(words, values) of what a store wrote."""
    count = 4 if store.narrow else 2
    shifts = (np.arange(count) * (64 // count)).astype(np.uint64)
    return (words[:, None] >> shifts & np.uint64((1 << 64 // count) - 1)).astype(np.uint32)


def _joined(values: NDArray[np.integer], bits: int) -> NDArray[np.uint64]:
    shifts = (np.arange(values.shape[1]) * bits).astype(np.uint64)
    joined: NDArray[np.uint64] = np.bitwise_or.reduce(values.astype(np.uint64) << shifts, axis=1)
    return joined


def columns_of(layout: StructLayout | int, words: Sequence[int]) -> NDArray[np.uint32]:
    """(words, 32-bit parts) of numbers, the lowest part first."""
    bits = layout if isinstance(layout, int) else layout.size
    parts = -(-bits // 32)
    data = b"".join(word.to_bytes(4 * parts, "little") for word in words)
    return np.frombuffer(data, np.uint32).reshape(len(words), parts).copy()
