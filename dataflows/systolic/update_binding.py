"""From an update to commands that hardware carries out: which words of DRAM each block loads and stores.

Gradients lie where WU has stored them, and copies where FF and BP load them: the plans of these products say where.
Masters and states are the update's own; they lie in the order of its blocks.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from dataflows.systolic.core_updates import RUN, SLOTS, Copy, CoreUpdate, UpdatePlan, WeightBlock
from dataflows.systolic.target import DRAM, SORE
from dataflows.systolic.walking import walks_through
from rtl.core.bound import (
    GRADIENT,
    MASTERS,
    Bound,
    BoundCopies,
    BoundLoad,
    BoundMove,
    BoundStore,
    BoundUpdate,
    Content,
    Segment,
)
from rtl.core.raw import SIDE
from rtl.core.runs import Sorting
from rtl.core.storing import Source
from rtl.core.updating import Updating
from rtl.core.walk import Stride, Walk
from simulator.program import Command, in_order
from simulator.schedule import BindsCommands
from workloads.errors import UserError
from workloads.op import Phase

Indices = NDArray[np.int64]


class Moved(NamedTuple):
    """Words of DRAM: of which block, in which region, which one there, and where each lies on chip in a slot."""

    block: Indices
    region: Indices
    word: Indices
    places: Indices
    regions: Sequence[Hashable]

    def of(self, block: int) -> "Moved":
        """Those of a block, in the order in which they lie in DRAM; `block` is sorted."""
        inside = slice(*np.searchsorted(self.block, [block, block + 1]))
        return Moved(self.block[inside], self.region[inside], self.word[inside], self.places[inside], self.regions)

    def segments(self, address: int, bank: int, source: Source) -> Iterator[Segment]:
        """Words that follow each other; the slot begins at an address, and at a bank."""
        if not len(self.word):
            return
        apart = (np.diff(self.region) != 0) | (np.diff(self.word) != 1)
        borders = [0, *(np.flatnonzero(apart) + 1).tolist(), len(self.word)]
        places = self.places + np.array([address, bank])
        for start, end in pairwise(borders):
            region = self.regions[int(self.region[start])]
            yield Segment(region, int(self.word[start]), walks_through(places[start:end]), source)


class Masters(NamedTuple):
    """What lies in a word of the masters' region: the field, and (words, 2) rows and columns of the weight; a negative
    row is padding."""

    field: Indices
    rows: Indices
    cols: Indices


def bound_update(plan: UpdatePlan) -> Iterator[tuple[Command, Bound]]:
    """As `UpdatePlan.bound`."""
    return UpdateBinder(plan.update, plan.products).bound()


def masters_of(plan: UpdatePlan) -> Masters:
    """As `UpdatePlan.masters`."""
    return UpdateBinder(plan.update, plan.products).masters()


@final
@dataclass(frozen=True)
class UpdateBinder:
    """Binds one update. products: the plans around it, by phase."""

    update: CoreUpdate
    products: Mapping[Phase, Sequence[BindsCommands]]

    def bound(self) -> Iterator[tuple[Command, Bound]]:
        """The commands of the update's program, in order."""
        blocks = list(self.update.blocks())
        done = dict.fromkeys((self._load, self._work, self._sort, self._store), 0)
        for command in in_order(self.update.program().body):
            does: Callable[[int, WeightBlock], Bound]
            if command.engine == DRAM:
                does = self._load if command.fills else self._store
            else:
                does = self._sort if command.engine == SORE else self._work
            number, done[does] = done[does], done[does] + 1
            yield command, does(number, blocks[number])

    def masters(self) -> Masters:
        """The words of the masters' region, in their order."""
        fields, rows, cols = list[Indices](), list[Indices](), list[Indices]()
        for block in self.update.blocks():
            column = np.arange(block.columns * SIDE).reshape(block.columns, 1, SIDE)
            shape = (block.columns, len(block.inputs), SIDE)
            there = np.broadcast_to(column < len(block.outputs), shape).reshape(-1, 2)
            row = np.broadcast_to(self._rows(block)[:, None], shape).reshape(-1, 2)
            found = np.broadcast_to(column + block.outputs.start, shape).reshape(-1, 2)
            for field in range(self.update.fields):
                fields.append(np.full(len(row), field))
                rows.append(np.where(there, row, -1))
                cols.append(np.where(there, found, 0))
        return Masters(np.concatenate(fields), np.concatenate(rows), np.concatenate(cols))

    def _rows(self, block: WeightBlock) -> Indices:
        """Rows of the weight that a block has: those of all products lie behind each other."""
        weight = self.update.weight
        return np.array(block.inputs) + (block.number * weight.taps + block.tap) * weight.inputs

    # blocks

    def _blocks(self, number: int, tap: Indices, inputs: Indices, outputs: Indices) -> Indices:
        """The blocks that elements of a weight belong to."""
        weight, (along, across) = self.update.weight, self.update.side
        wide, long = -(-weight.outputs // across), -(-weight.inputs // along)
        return ((number * weight.taps + tap) * wide + outputs // across) * long + inputs // along

    # moves

    def _load(self, number: int, block: WeightBlock) -> BoundMove:
        at = self._slot(number)
        segments = [self._masters(number, block, at)]
        segments += self._gradients.of(number).segments(at, 2 * self.update.fields, Source.MASTERS)
        return BoundMove(False, tuple(segments))

    def _store(self, number: int, block: WeightBlock) -> BoundMove:
        segments = [self._masters(number, block, self._slot(number))]
        base = self._copies_slot(number)
        for copy, moved in zip(self.update.copies, self._copies, strict=True):
            source = Source.COPIES if copy.is_sparse else Source.DENSE
            segments += moved.of(number).segments(base, 0, source)
            base += self.update.addresses(copy, len(block.inputs), len(block.outputs))
        return BoundMove(True, tuple(segments))

    def _masters(self, number: int, block: WeightBlock, at: int) -> Segment:
        loops = (Stride(self.update.fields, bank=2), Stride(block.rows, 1), Stride(2, bank=1))
        return Segment((Phase.UP.value, MASTERS), self._starts[number], (Walk(at, 0, loops),))

    @cached_property
    def _starts(self) -> Sequence[int]:
        """Where the masters of each block begin."""
        words = [self.update.master_words(block) for block in self.update.blocks()]
        return [0, *np.cumsum(words[:-1]).tolist()]

    @cached_property
    def _gradients(self) -> Moved:
        update, weight = self.update, self.update.weight
        if not self.products.get(Phase.WU):
            return self._row_gradients()
        contents = _contents(self.products[Phase.WU], "output")
        blocks, region, word, places = (list[Indices]() for _ in range(4))
        for number, content in enumerate(contents):
            there = content.rows[:, 0] >= 0
            tap, inputs = np.divmod(content.rows[there, 0], weight.inputs)
            outputs = content.cols[there, 0]
            blocks.append(self._blocks(content.number, tap, inputs, outputs))
            along, across = inputs % update.side[0], outputs % update.side[1]
            length = np.minimum(update.side[0], weight.inputs - inputs + along)
            places.append(np.stack([across // SIDE * length + along, across % SIDE // 2], axis=1))
            region.append(np.full(len(inputs), number))
            word.append(np.flatnonzero(there))
        return _moved(blocks, region, word, places, [(Phase.WU.value, content.region) for content in contents])

    def _row_gradients(self) -> Moved:
        """Those of parameters that no product has, as the host lays them out: a row."""
        word = np.arange(-(-self.update.weight.outputs // 2))
        blocks = self._blocks(0, np.zeros_like(word), np.zeros_like(word), 2 * word)
        across = 2 * word % self.update.side[1]
        places = np.stack([across // SIDE, across % SIDE // 2], axis=1)
        return _moved([blocks], [np.zeros_like(word)], [word], [places], [(Phase.UP.value, GRADIENT)])

    @cached_property
    def _copies(self) -> Sequence[Moved]:
        return [self._copy(copy) for copy in self.update.copies]

    def _copy(self, copy: Copy) -> Moved:
        """Where the words of a copy lie: a word is neighbours of one kept weight, or of one element."""
        plans, weight, cols = self.products[copy.phase], self.update.weight, self.update.words.banks.cols
        if len(plans) != 1:
            raise UserError(f"core: {copy.phase.value} of this weight is {len(plans)} products; its copy is for one")
        inputs, outputs = weight.inputs, weight.outputs
        long, _ = copy.sides(inputs, outputs)
        length, breadth = copy.sides(*self.update.side)
        contents = [*_contents(plans, "packed"), *_contents(plans, "right")]
        blocks, region, word, places = (list[Indices]() for _ in range(4))
        for number, content in enumerate(contents):
            there = content.rows[:, 0] >= 0
            tap, kept = np.divmod(content.rows[there, 0], copy.kept(long))
            across = content.cols[there, 0]
            group, of_group = np.divmod(kept, copy.n)
            along = group * copy.m + (0 if copy.is_sparse else of_group)
            channels = (along, across) if copy.phase is Phase.FF else (across, along)
            blocks.append(self._blocks(content.number, tap, *channels))
            start = along // length * length
            inside = kept - start // copy.m * copy.n
            most = np.minimum(length, long - start)
            rows = most // copy.m * copy.n + np.minimum(copy.n, most % copy.m)
            column = across % breadth
            places.append(np.stack([column // cols * rows + inside, column % cols], axis=1))
            region.append(np.full(len(kept), number))
            word.append(np.flatnonzero(there))
        return _moved(blocks, region, word, places, [(copy.phase.value, content.region) for content in contents])

    # engines

    def _work(self, number: int, block: WeightBlock) -> BoundUpdate:
        at, rest = self._slot(number), len(block.outputs) % SIDE
        rows, columns, gives = len(block.inputs), block.columns, bool(self.update.copies)
        work = Updating(at, at, self._narrow(number), rows, columns, rest or SIDE, fresh=number == 0, gives=gives)
        return BoundUpdate(work)

    def _sort(self, number: int, block: WeightBlock) -> BoundCopies:
        runs, walks, base = list[Sorting](), list[Walk](), self._copies_slot(number)
        for copy in self.update.copies:
            runs += self._runs(copy, block, self._narrow(number))
            length, across = copy.sides(len(block.inputs), len(block.outputs))
            walks += self._walks(base, copy.kept(length), -(-across // SIDE))
            base += self.update.addresses(copy, len(block.inputs), len(block.outputs))
        return BoundCopies(tuple(runs), tuple(walks))

    def _runs(self, copy: Copy, block: WeightBlock, raw: int) -> Iterator[Sorting]:
        """The words of the raw memory for a copy: of every four columns those of all rows, or the other way round."""
        inputs, outputs = len(block.inputs), len(block.outputs)
        tall = -(-inputs // SIDE)  # blocks of four rows
        length, across = copy.sides(inputs, outputs)
        size = copy.m if copy.is_sparse else RUN
        of = Sorting(raw, copy.most, size, full=length // size, tail=length % size, late=self.update.late)
        is_turned = copy.phase is Phase.BP
        whole = 0 if is_turned or inputs % SIDE else across // SIDE
        if whole:
            yield replace(of, segments=whole)
        for at in range(whole, -(-across // SIDE)):
            columns = min(SIDE, across - at * SIDE)
            start = raw + (at * SIDE if is_turned else at * tall * SIDE)
            yield replace(of, raw=start, turned=is_turned, step=tall if is_turned else 1, columns=columns)

    def _walks(self, base: int, kept: int, fours: int) -> Iterator[Walk]:
        """Where what is kept of every four columns goes, turn after turn of the array's columns."""
        a_turn = self.update.words.banks.cols // SIDE
        turns, rest = divmod(fours, a_turn)
        for first, count, width in ((0, turns, a_turn), (turns, 1, rest)):
            if count and width:
                loops = (Stride(count, kept), Stride(width, bank=SIDE), Stride(kept, 1))
                yield Walk(base + first * kept, 0, loops)

    # slots: those of a memory lie behind each other

    @cached_property
    def _largest(self) -> WeightBlock:
        weight, (inputs, outputs) = self.update.weight, self.update.side
        return WeightBlock(0, 0, range(min(inputs, weight.inputs)), range(min(outputs, weight.outputs)))

    def _slot(self, number: int) -> int:
        return number % SLOTS * self._largest.rows

    def _narrow(self, number: int) -> int:
        size = self._largest.columns * -(-len(self._largest.inputs) // SIDE) * SIDE
        return number % SLOTS * size if self.update.copies else 0

    def _copies_slot(self, number: int) -> int:
        block = self._largest
        sizes = (self.update.addresses(copy, len(block.inputs), len(block.outputs)) for copy in self.update.copies)
        return number % SLOTS * sum(sizes)


def _contents(plans: Sequence[BindsCommands], tensor: str) -> list[Content]:
    """The regions of a tensor that some plans load or store, each once."""
    found = dict[Hashable, Content]()
    for plan in plans:
        for _, what in plan.bound():
            if isinstance(what, BoundLoad | BoundStore) and what.content.tensor == tensor:
                found.setdefault(what.content.region, what.content)
    return list(found.values())


def _moved(
    blocks: list[Indices], region: list[Indices], word: list[Indices], places: list[Indices], of: Sequence[Hashable]
) -> Moved:
    """All of them by block, and in it as they lie in DRAM."""
    block, regions, words = (np.concatenate(each) for each in (blocks, region, word))
    order = np.lexsort((words, regions, block))
    return Moved(block[order], regions[order], words[order], np.concatenate(places)[order], of)
