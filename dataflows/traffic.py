"""What the transfers of an output-stationary plan cost at least: ticks of every engine, and waits nothing can hide."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from dataflows.blocks import Run, Share, share
from dataflows.target import Load, Operands
from rtl.timing import Reduction


@dataclass(frozen=True)
class Traffic:
    """`rows` x `cols` tiles, each over `parts` of the reduction; `kinds` as in the plan, of the left operand and the right.

    The outer loop is along the rows with `rows_outer`; its blocks take turns in `outer_slots`.
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
        product, channel = self.operands.product, self.operands.target.channel
        last_store = channel.ticks(self.rows[-1].size * self.cols[-1].size * product.final_bytes)
        dram = self._all_left.dram + self._all_right.dram + self._store_ticks()
        behind = self._all_left.behind + self._all_right.behind  # one transposer, or one SORE, serves both
        busiest = product.count * max(dram, behind)
        return max(array_cycles + self._waits() + last_store, busiest)

    def _store_ticks(self) -> int:
        product, ticks = self.operands.product, self.operands.target.channel.ticks
        return sum(
            row.count * col.count * ticks(row.size * col.size * product.final_bytes)
            for row in self.rows
            for col in self.cols
        )

    @cached_property
    def _all_left(self) -> Load:
        ops, inner = self.operands, self.operands.product.inner
        if self.kinds[0] == "whole":
            return ops.left_load(ops.product.rows, inner)
        if self.kinds[0] == "block":
            return _sum((row.count, ops.left_load(row.size, inner)) for row in self.rows)
        times = sum(col.count for col in self.cols)
        return _sum(
            (times * row.count * count, self._left_piece(row, part)) for row in self.rows for part, count in self.parts
        )

    @cached_property
    def _all_right(self) -> Load:
        ops, whole = self.operands, share(self.operands.product.reduction)
        if self.kinds[1] == "whole":
            return ops.right_load(ops.product.cols, whole)
        if self.kinds[1] == "block":
            return _sum((col.count, ops.right_load(col.size, whole)) for col in self.cols)
        times = sum(row.count for row in self.rows)
        return _sum(
            (times * col.count * count, ops.right_load(col.size, share(part)))
            for col in self.cols
            for part, count in self.parts
        )

    def _left_piece(self, row: Run, part: Reduction) -> Load:
        return self.operands.left_load(row.size, part.segments * part.length)

    def _waits(self) -> int:
        """Ticks the array waits for its first operands, and for those that must wait for it to give back a slot."""
        count, latency = self.operands.product.count, self.operands.target.channel.latency_ticks
        whole, blocks, pieces = self._whole(), self._blocks(), self._first_pieces()
        one_by_one = [load for number, load in blocks for _ in range(min(number, 2))]
        ahead = one_by_one[:1]
        if pieces and self.outer_slots > 1:
            ahead += [Load(load.dram, 0) for load in one_by_one[1:2]]  # on its way before the first pieces
        first = _ready((*whole, *ahead, *pieces), latency)
        later = [self._wait(load, pieces) for _, load in blocks] if self.outer_slots == 1 else [0] * len(blocks)
        within = sum(number * wait for (number, _), wait in zip(blocks, later, strict=True)) - sum(later[:1])
        between = max([self._wait(load, ahead, outer=False) for load in whole] + later[:1], default=0)
        return first + count * within + (count - 1) * between

    def _wait(self, load: Load, after: Iterable[Load], outer: bool = True) -> int:
        """Ticks between a slot given back and the work that the next load into it, and those after it, allow.

        What is staged comes ahead of the slot: only what stands behind DRAM is left to do.
        """
        ops, left = self.operands, self.rows_outer == outer
        staged = ops.is_turned or (ops.inline and not left)
        return load.behind if staged else _ready((load, *after), ops.target.channel.latency_ticks)

    def _whole(self) -> tuple[Load, ...]:
        return tuple(
            load for kind, load in zip(self.kinds, (self._all_left, self._all_right), strict=True) if kind == "whole"
        )

    def _blocks(self) -> list[tuple[int, Load]]:
        """The loads of the outer loop, each with how often it comes."""
        ops, product = self.operands, self.operands.product
        if "block" not in self.kinds:
            return []
        if self.rows_outer:
            return [(row.count, ops.left_load(row.size, product.inner)) for row in self.rows]
        return [(col.count, ops.right_load(col.size, share(product.reduction))) for col in self.cols]

    def _first_pieces(self) -> tuple[Load, ...]:
        part = self.parts[0][0]
        left = (self._left_piece(self.rows[0], part),) if self.kinds[0] == "piece" else ()
        right = (self.operands.right_load(self.cols[0].size, share(part)),) if self.kinds[1] == "piece" else ()
        return left + right


def _sum(loads: Iterable[tuple[int, Load]]) -> Load:
    dram = behind = 0
    for count, load in loads:
        dram += count * load.dram
        behind += count * load.behind
    return Load(dram, behind)


def _ready(loads: Iterable[Load], latency_ticks: int) -> int:
    """Ticks until all of these, one behind the other on DRAM, are on chip."""
    at = ready = 0
    for load in loads:
        at += load.dram
        ready = max(ready, at + latency_ticks + load.behind)
    return ready
