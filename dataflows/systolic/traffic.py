"""What no run of an output-stationary plan can do without: ticks of every transfer, and waits that nothing hides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from dataflows.systolic.operands import Load, Operands
from dataflows.systolic.target import Run, share
from rtl.timing import Reduction


@dataclass(frozen=True)
class Traffic:
    """Tiles of `rows` by `cols`, each over `parts` of the reduction.

    `kinds`: how much of the left and of the right operand a slot holds. The outer loop is along the rows with
    `rows_outer`; its blocks take turns in `outer_slots`.
    """

    operands: Operands
    rows: Sequence[Run]
    cols: Sequence[Run]
    parts: Sequence[tuple[Reduction, int]]
    kinds: tuple[str, str]
    rows_outer: bool
    outer_slots: int

    def least_cycles(self, array_cycles: int) -> int:
        """A floor of the whole run, where the array alone takes `array_cycles`."""
        product = self.operands.product
        last_store = self.operands.store_ticks(self.rows[-1].size, self.cols[-1].size)
        dram = self._all_left.dram + self._all_right.dram + self._store_ticks()
        behind = self._all_left.behind + self._all_right.behind  # one transposer, or one SORE, serves both
        array = array_cycles + self._waits() + self.operands.target.array.latency + last_store
        return max(array, product.count * max(dram, behind))

    def _store_ticks(self) -> int:
        ticks = self.operands.store_ticks
        return sum(row.count * col.count * ticks(row.size, col.size) for row in self.rows for col in self.cols)

    @cached_property
    def _all_left(self) -> Load:
        """All loads of the left operand for one product."""
        if self.kinds[0] == "whole":
            return self.operands.left_load(self.operands.product.rows, share(self.operands.product.reduction))
        if self.kinds[0] == "block":
            return _sum((row.count, self._left_block(row)) for row in self.rows)
        times = sum(col.count for col in self.cols)
        return _sum(
            (times * row.count * count, self._left_piece(row, part)) for row in self.rows for part, count in self.parts
        )

    @cached_property
    def _all_right(self) -> Load:
        """All loads of the right operand for one product."""
        if self.kinds[1] == "whole":
            return self.operands.right_load(self.operands.product.cols, share(self.operands.product.reduction))
        if self.kinds[1] == "block":
            return _sum((col.count, self._right_block(col)) for col in self.cols)
        times = sum(row.count for row in self.rows)
        return _sum(
            (times * col.count * count, self._right_piece(col, part)) for col in self.cols for part, count in self.parts
        )

    def _left_block(self, row: Run) -> Load:
        return self.operands.left_load(row.size, share(self.operands.product.reduction))

    def _right_block(self, col: Run) -> Load:
        return self.operands.right_load(col.size, share(self.operands.product.reduction))

    def _left_piece(self, row: Run, part: Reduction) -> Load:
        return self.operands.left_load(row.size, share(part))

    def _right_piece(self, col: Run, part: Reduction) -> Load:
        return self.operands.right_load(col.size, share(part))

    def _waits(self) -> int:
        """Least ticks the array waits: for its first operands, and for those that need a slot it must give back."""
        count = self.operands.product.count
        whole, blocks, pieces = self._whole(), self._blocks(), self._first_pieces()
        one_by_one = [load for number, load in blocks for _ in range(min(number, 2))]
        ahead = one_by_one[:1]
        if pieces and self.outer_slots > 1:
            ahead += [Load(load.dram, 0, 0) for load in one_by_one[1:2]]  # on its way before the first pieces
        first = self._ready((*whole, *ahead, *pieces))
        later = [self._wait(load, pieces, self.rows_outer) if self.outer_slots == 1 else 0 for _, load in blocks]
        within = sum(number * wait for (number, _), wait in zip(blocks, later, strict=True)) - sum(later[:1])
        between = max([self._wait(load, ahead, not self.rows_outer) for load in whole] + later[:1], default=0)
        return first + count * within + (count - 1) * between

    def _wait(self, load: Load, after: Iterable[Load], is_left: bool) -> int:
        """Least ticks between a slot given back and the first work on what is loaded into it next.

        What is staged comes ahead of the slot: only what stands behind DRAM is left to do.
        """
        ops = self.operands
        staged = ops.is_turned if is_left else ops.turns_right or (ops.inline and not ops.is_turned)
        return load.after if staged else self._ready((load, *after))

    def _ready(self, loads: Iterable[Load]) -> int:
        """Least ticks until all of these, which come one after the other, are on chip."""
        latency, at, ready = self.operands.target.channel.latency_ticks, 0, 0
        for load in loads:
            at += load.dram
            ready = max(ready, at + latency + load.after)
        return ready

    def _whole(self) -> list[Load]:
        """The load of the operand that stays on chip, if one does."""
        sides = zip(self.kinds, (self._all_left, self._all_right), strict=True)
        return [load for kind, load in sides if kind == "whole"]

    def _blocks(self) -> list[tuple[int, Load]]:
        """The loads of the outer loop, each with how often it comes."""
        if "block" not in self.kinds:
            return []
        if self.rows_outer:
            return [(row.count, self._left_block(row)) for row in self.rows]
        return [(col.count, self._right_block(col)) for col in self.cols]

    def _first_pieces(self) -> list[Load]:
        part, pieces = self.parts[0][0], list[Load]()
        if self.kinds[0] == "piece":
            pieces.append(self._left_piece(self.rows[0], part))
        if self.kinds[1] == "piece":
            pieces.append(self._right_piece(self.cols[0], part))
        return pieces


def _sum(loads: Iterable[tuple[int, Load]]) -> Load:
    dram = behind = latency = 0
    for count, load in loads:
        dram += count * load.dram
        behind += count * load.behind
        latency = load.latency
    return Load(dram, behind, latency)
