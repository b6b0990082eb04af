"""How a block of an operand lies in a slot of its memory, and the walks that bring it there.

The array reads every slot from an address on, one word or weight after the other, in all banks alike. So a slot holds
what a run takes in the order in which it takes it, run after run; `rtl/tiles` has the same order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import numpy as np

from dataflows.systolic.words import Words
from rtl.core.bound import Places
from rtl.core.walk import Stride, Walk
from rtl.formats import Group, groups_of
from rtl.timing import Reduction


class Part(NamedTuple):
    """Groups of a reduction, from the first one to before the last."""

    start: int
    stop: int


class Laid(NamedTuple):
    """Walks through a slot that begins at address 0; (words, values), where each value comes from (`Content`)."""

    walks: tuple[Walk, ...]
    rows: Places
    cols: Places


class Alike(NamedTuple):
    """Groups of one size that follow each other, the first of them with how much stands before it."""

    number: int
    first: Group
    words: int
    kept: int


@dataclass(frozen=True)
class Slots:
    """Slots for a product. rows, cols: of the array. work: the reduction, in groups of the plan's depth."""

    words: Words
    work: Reduction
    is_sparse: bool

    @cached_property
    def groups(self) -> list[Group]:
        return groups_of(self.work)

    @property
    def _rows(self) -> int:
        return self.words.banks.rows

    @property
    def _cols(self) -> int:
        return self.words.banks.cols

    @property
    def _word(self) -> int:
        return self.words.banks.word

    def alike(self, part: Part) -> Iterator[Alike]:
        """The groups of a part, those of a size together."""
        words = kept = 0
        for size, same in groupby(self.groups[part.start : part.stop], key=lambda group: group.size):
            members = list(same)
            yield Alike(len(members), members[0], words, kept)
            words += len(members) * -(-size // self._word)
            kept += len(members) * members[0].kept

    def line_words(self, part: Part) -> int:
        """Words of a line of the left operand, output stationary."""
        return sum(-(-group.size // self._word) for group in self.groups[part.start : part.stop])

    def kept(self, part: Part) -> int:
        """Weights of a column, output stationary."""
        return sum(group.kept for group in self.groups[part.start : part.stop])

    # output stationary: [tile][group][turn][word], row r of a turn in bank r

    def streamed_left(self, lines: range, tile: int, part: Part, turned: bool) -> Laid:
        """Lines in tiles of `tile`; with `turned`, as the transposer gives them."""
        out, base = list[Laid](), 0
        for start in range(lines.start, lines.stop, tile):
            inside = range(start, min(start + tile, lines.stop))
            out.append(self._streamed_tile(inside, base, part, turned))
            base += -(-len(inside) // self._rows) * self.line_words(part)
        return _joined(out)

    def _streamed_tile(self, lines: range, base: int, part: Part, turned: bool) -> Laid:
        whole, rest = divmod(len(lines), self._rows)
        turns, walks = whole + bool(rest), list[Walk]()
        for each in self.alike(part):
            words = -(-each.first.size // self._word)
            group, at = Stride(each.number, address=turns * words), base + turns * each.words
            if whole:
                loops = (group, Stride(whole, words), Stride(words, 1), Stride(self._rows, bank=1))
                walks.append(Walk(at, 0, loops))
            if rest:
                banks = self.words.turned(rest) if turned else rest
                walks.append(Walk(at + whole * words, 0, (group, Stride(words, 1), Stride(banks, bank=1))))
        sizes = [-(-group.size // self._word) for group in self.groups[part.start : part.stop]]
        lengths = [turns * size for size in sizes]
        of_group = np.repeat(np.arange(part.start, part.stop), lengths)
        inside = np.arange(sum(lengths)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        turn, word = np.divmod(inside, np.repeat(sizes, lengths))
        places = _places(walks)
        address = places[:, 0] - base
        line = turn[address] * self._rows + places[:, 1]
        return Laid(tuple(walks), *self._operands(lines, line, of_group[address], word[address]))

    # weight stationary: [fold][position][word], group g of a fold in bank g

    def folded_left(self, lines: range, part: Part, turned: bool) -> Laid:
        """Positions over the folds of a part."""
        words, room = -(-self.work.m // self._word), self.words.turned(len(lines)) if turned else len(lines)
        whole, rest = divmod(part.stop - part.start, self._rows)
        walks = []
        for folds, banks, base in ((whole, self._rows, 0), (int(rest > 0), rest, whole * room * words)):
            if not folds:
                continue
            outer = Stride(folds, room * words)
            positions: tuple[Stride, ...] = (Stride(room, words),)
            inner: tuple[Stride, ...] = (Stride(words, 1), Stride(banks, bank=1))
            if turned:
                side = self.words.side
                positions, inner = (Stride(room // side, side * words),), (*inner, Stride(side, words))
            walks.append(Walk(base, 0, (outer, *positions, *inner)))
        places = _places(walks)
        fold, inside = np.divmod(places[:, 0], room * words)
        position, word = np.divmod(inside, words)
        group = part.start + fold * self._rows + places[:, 1]
        return Laid(tuple(walks), *self._operands(lines, position, group, word))

    def _operands(self, lines: range, line: Places, group: Places, word: Places) -> tuple[Places, Places]:
        """(line, element) of every operand of a word; padding beyond the lines and beyond the group."""
        starts, sizes = (np.array([getattr(each, name) for each in self.groups]) for name in ("start", "size"))
        inside = word[:, None] * self._word + np.arange(self._word)
        there = (inside < sizes[group][:, None]) & (line < len(lines))[:, None]
        rows = np.where(there, lines.start + line[:, None], -1)
        return rows, np.where(there, starts[group][:, None] + inside, 0)

    # weights: [tile][kept weight][turn] or [tile][group][weight], column c of a turn in bank c

    def streamed_right(self, columns: range, tile: int, part: Part) -> Laid:
        """Columns in tiles of `tile`, output stationary."""
        lanes, out, base = self.words.weights(self.is_sparse), list[Laid](), 0
        first = self.groups[part.start].first
        for start in range(columns.start, columns.stop, tile):
            inside = range(start, min(start + tile, columns.stop))
            whole, rest = divmod(len(inside), self._cols)
            turns, walks = whole + bool(rest), list[Walk]()
            for each in self.alike(part):
                kept, at = each.first.kept, base + turns * each.kept
                outer = (Stride(each.number, turns * kept), Stride(kept, turns))
                for offset, count, cols in ((0, whole, self._cols), (whole, int(rest > 0), rest)):
                    if count:
                        loops = (*outer, Stride(count, 1), Stride(-(-cols // lanes), bank=lanes))
                        walks.append(Walk(at + offset, 0, loops))
            places = _places(walks)
            weight, turn = np.divmod(places[:, 0] - base, turns)
            column = turn[:, None] * self._cols + places[:, 1][:, None] + np.arange(lanes)
            there = column < np.minimum((turn[:, None] + 1) * self._cols, len(inside))
            rows = np.where(there, first + weight[:, None], -1)
            out.append(Laid(tuple(walks), rows, np.where(there, inside.start + column, 0)))
            base += turns * self.kept(part)
        return _joined(out)

    def folded_right(self, columns: range, part: Part) -> Laid:
        """Columns in tiles of the array's, weight stationary: as many weights of every group, padding where it keeps
        fewer."""
        lanes, n, out = self.words.weights(self.is_sparse), self.work.n, list[Laid]()
        count = part.stop - part.start
        for number, start in enumerate(range(columns.start, columns.stop, self._cols)):
            inside, base = range(start, min(start + self._cols, columns.stop)), number * self.fold_weights(part)
            beats = Stride(-(-len(inside) // lanes), bank=lanes)
            walk = Walk(base, 0, (Stride(count, n), Stride(n, 1), Stride(1), beats))
            places = walk.places()
            group, weight = np.divmod(places[:, 0] - base, n)
            firsts, kept, sizes = (
                np.array([getattr(each, name) for each in self.groups[part.start : part.stop]])[group]
                for name in ("first", "kept", "size")
            )
            column = places[:, 1][:, None] + np.arange(lanes)
            padding = -1 - np.minimum(sizes, self.work.m - 1)
            row = np.where(weight < kept, firsts + weight, padding)[:, None]
            there = column < len(inside)
            out.append(Laid((walk,), np.where(there, row, -1), np.where(there, inside.start + column, 0)))
        return _joined(out)

    def fold_weights(self, part: Part) -> int:
        """Weights of a column's folds, weight stationary."""
        return -(-(part.stop - part.start) // self._rows) * self._rows * self.work.n

    def sorted_right(self, columns: range, tile: int, part: Part, folded: bool) -> tuple[Laid, Laid]:
        """The same block dense, as it goes through SORE's lanes: what is in front of them, and walks behind them.

        Group after group, in each every tile's turns, in each blocks of as many columns as there are lanes.
        """
        lanes, room = self.words.lanes, self.fold_weights(part) if folded else self.kept(part)
        units, base = list[tuple[int, int, int, int, range]](), 0  # address, turns, stride of a weight, columns
        for start in range(columns.start, columns.stop, tile):
            inside = range(start, min(start + tile, columns.stop))
            whole, rest = divmod(len(inside), self._cols)
            turns = whole + bool(rest)
            if whole:
                units.append((base, whole, turns, self._cols, inside[: whole * self._cols]))
            if rest:
                units.append((base + whole, 1, turns, rest, inside[whole * self._cols :]))
            base += turns * room
        walks, rows, cols = list[Walk](), list[Places](), list[Places]()
        before = 0  # weights that the groups before take in a column of a turn
        for each in self.alike(part):
            kept = self.work.n if folded else each.first.kept
            count, groups = (each.number, 1) if len(units) == 1 else (1, each.number)
            for number in range(groups):
                for address, turns, stride, width, _ in units:
                    at = address + (before + number * kept) * stride
                    blocks = Stride(-(-width // lanes), bank=lanes)
                    loops = (Stride(count, kept * stride), Stride(turns, 1), blocks, Stride(kept, stride))
                    walks.append(Walk(at, 0, loops))
            before += each.number * kept
            for number in range(each.number):
                start = each.first.start + number * each.first.size
                for *_, width, inside in units:
                    blocks_of = np.arange(-(-width // lanes))[:, None, None] * lanes + np.arange(lanes)
                    column = np.arange(len(inside) // width)[:, None, None, None] * width + blocks_of
                    there = np.broadcast_to(blocks_of < width, column.shape)
                    there, column = (
                        np.repeat(value, each.first.size, axis=2).reshape(-1, lanes) for value in (there, column)
                    )
                    element = start + np.tile(np.arange(each.first.size), len(there) // each.first.size)[:, None]
                    rows.append(np.where(there, element, -1))
                    cols.append(np.where(there, inside.start + column, 0))
        raw = Laid((), np.concatenate(rows), np.concatenate(cols))
        return raw, Laid(tuple(walks), np.empty((0, lanes), np.int64), np.empty((0, lanes), np.int64))

    # sums: [turn][row], column c of a turn in bank c

    def results(self, rows: range, columns: range, each: int) -> Laid:
        """Sums of a tile that leave in results of so many bytes each."""
        lanes, count = self.words.size // each, len(rows)
        whole, rest = divmod(len(columns), self._cols)
        walks = []
        for turns, cols, base in ((whole, self._cols, 0), (int(rest > 0), rest, whole * count)):
            if turns:
                loops = (Stride(turns, count), Stride(count, 1), Stride(-(-cols // lanes), bank=lanes))
                walks.append(Walk(base, 0, loops))
        places = _places(walks)
        turn, row = np.divmod(places[:, 0], count)
        inside = places[:, 1][:, None] + np.arange(lanes)
        column = turn[:, None] * self._cols + inside
        there = (inside < self._cols) & (column < len(columns))
        found = np.where(there, rows.start + row[:, None], -1)
        return Laid(tuple(walks), found, np.where(there, columns.start + column, 0))


def raw_words(laid: Laid, side: int) -> Laid:
    """The words of a block before the transposer, which turns `side` words at once."""
    rows, cols = (
        part.reshape(-1, side, part.shape[1])[:, :, :side].transpose(0, 2, 1).reshape(-1, side)
        for part in (laid.rows, laid.cols)
    )
    return Laid((), rows, cols)


def moved(walks: Sequence[Walk], by: int) -> tuple[Walk, ...]:
    """The same walks in a slot that begins at address `by`."""
    return tuple(Walk(walk.address + by, walk.bank, walk.loops) for walk in walks)


def _places(walks: Sequence[Walk]) -> Places:
    return np.concatenate([walk.places() for walk in walks])


def _joined(laid: Sequence[Laid]) -> Laid:
    walks = tuple(walk for each in laid for walk in each.walks)
    return Laid(walks, np.concatenate([each.rows for each in laid]), np.concatenate([each.cols for each in laid]))
