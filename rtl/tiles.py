"""A tile of a product as the array takes it: the run, the words of every row and column, the cycles, the results.

The host's half of the hardware; test benches, exported golden vectors and boards use it alike.
"""

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits, Group, Packed, groups_of
from rtl.parameters import Parameters
from rtl.timing import (
    Reduction,
    output_stationary_ends,
    output_stationary_stream,
    weight_stationary_fold,
    weight_stationary_step,
)
from workloads.errors import UserError

Words = NDArray[np.object_]  # of Python integers: words are wider than 64 bits


@dataclass(frozen=True)
class Run:
    """The fields of `rtl.control.run_layout`, as they are sent."""

    stationary_weights: int = 0
    share_weights: int = 0
    fresh: int = 1
    seed: int = 0
    drain: int = 1
    reserved: int = 0
    interleave: int = 0
    round: int = 0
    kept: int = 0
    tail_kept: int = 0
    period: int = 0
    lag: int = 0
    skew: int = 0
    groups: int = 0
    pad: int = 0
    tail_pad: int = 0
    segments: int = 0
    positions: int = 0


FLAGS = ("stationary_weights", "share_weights", "fresh", "seed", "drain")
BYTES = ("interleave", "round", "kept", "tail_kept", "period", "lag")


def run_bits(run: Run) -> int:
    """The run as one number, first field lowest: a byte of flags, bytes, and words of 16 bits.

    Raises UserError for a count that is too large for its field.
    """
    widths = {"reserved": 3, **dict.fromkeys(FLAGS, 1), **dict.fromkeys(BYTES, 8)}
    out = at = 0
    for each in fields(run):
        value, width = getattr(run, each.name), widths.get(each.name, 16)
        if not 0 <= value < 1 << width:
            raise UserError(f"the array cannot count {each.name} to {value}; cut the tile into smaller pieces")
        out |= value << at
        at += width
    return out


@dataclass(frozen=True)
class Tile:
    """What one run takes and gives.

    west: words of every row; north, seeds: of every column; results: sums that leave every column. rows, cols: of
    the product, those of a smaller one than the array filled up with zeros. cycles: what `rtl.timing` says. compute:
    multiply-accumulates of one PE.
    """

    parameters: Parameters
    run: Run
    west: list[list[int]]
    north: list[list[int]]
    seeds: list[list[int]]
    results: int
    cycles: int
    compute: int
    rows: int
    cols: int
    where: tuple[NDArray[np.int64], NDArray[np.int64]] = field(repr=False)  # row and column of result [column, number]

    def product(self, results: NDArray[np.integer]) -> Bits:
        """(rows, cols) bit patterns from (columns of the array, results) as they came out."""
        rows, cols = self.where
        out = np.zeros((max(self.rows, rows.max() + 1), max(self.cols, cols.max() + 1)), np.uint32)
        out[rows, cols] = results
        return out[: self.rows, : self.cols]


def check_pattern(p: Parameters, work: Reduction, interleave: int = 1) -> None:
    """Raises UserError when a reduction cannot run on the array."""
    if work.m > p.m or work.n > p.weights:
        allowed = f"groups of at most {p.m} that keep at most {p.weights}"
        raise UserError(f"{work.n}:{work.m} cannot run on an array of {p.title}, which takes {allowed}")
    if interleave > p.accumulators:
        raise UserError(f"an interleave of {interleave} needs more than the {p.accumulators} accumulators of a PE")


def output_stationary_tile(
    p: Parameters,
    left: Bits,
    right: Packed,
    work: Reduction,
    interleave: int = 1,
    share_weights: bool = True,
    seeds: Bits | None = None,
    fresh: bool = True,
    drain: bool = True,
) -> Tile:
    """(rows, inner) operands times packed weights, at most R x C outputs, `interleave` times along rows or columns.

    With seeds (rows, cols) the accumulators start from them; without `fresh` from what they hold. Without `drain` sums
    stay for the next piece of the reduction. Raises UserError for what the array cannot do.
    """
    check_pattern(p, work, interleave)
    along = interleave if share_weights else 1
    across = 1 if share_weights else interleave
    operands = _filled(left, p.rows * along, left.shape[1])
    values = _filled(right.values, len(right.values), p.cols * across)
    positions = _filled(right.positions, len(right.values), p.cols * across)
    groups = groups_of(work)
    turn, row = np.meshgrid(np.arange(interleave)[::-1], np.arange(p.rows)[::-1], indexing="ij")
    slots, rows = turn.ravel(), row.ravel()
    column = np.arange(p.cols)[:, None]
    out_rows = (rows + slots * p.rows * share_weights)[None, :] + 0 * column
    out_cols = column + (slots * p.cols * (not share_weights))[None, :]
    stream = output_stationary_stream(p.timing, work, interleave, share_weights)
    ends = output_stationary_ends(p.timing, interleave).total if drain else 0
    seeding = [] if seeds is None else _filled(seeds, p.rows * along, p.cols * across)[out_rows, out_cols].tolist()
    return Tile(
        p,
        _output_run(p, work, interleave, share_weights, seeds is not None, fresh and seeds is None, drain),
        west=_west(p, operands, groups, along),
        north=_north(p, values, positions, groups, across),
        seeds=seeding,
        results=p.rows * interleave if drain else 0,
        cycles=stream.total + ends + (p.rows * interleave if seeds is not None else 0),
        compute=stream.busy,
        rows=left.shape[0],
        cols=right.values.shape[1],
        where=(out_rows, out_cols),
    )


def _output_run(
    p: Parameters, work: Reduction, interleave: int, share: bool, seed: bool, fresh: bool, drain: bool
) -> Run:
    full, tail = divmod(work.length, work.m)

    def pad(size: int) -> int:
        """Cycles in which the link is behind after a group of that size."""
        return output_stationary_stream(p.timing, Reduction(1, size, work.n, work.m), interleave, share).links

    return Run(
        share_weights=int(share),
        fresh=int(fresh),
        seed=int(seed),
        drain=int(drain),
        interleave=interleave - 1,
        round=max(interleave, p.adder_latency) - 1,
        kept=work.n - 1,
        tail_kept=min(work.n, tail),
        groups=full,
        pad=pad(work.m),
        tail_pad=pad(tail) if tail else 0,
        segments=work.segments - 1,
    )


def weight_stationary_tile(
    p: Parameters, left: Bits, right: Packed, work: Reduction, fold: int, seeds: Bits | None = None
) -> Tile:
    """One fold of (positions, inner) operands times packed weights of at most C columns.

    seeds: (positions, cols) sums of the fold before; zero for the first. Raises UserError for what the array cannot do.
    """
    check_pattern(p, work)
    groups = groups_of(work)[fold * p.rows : (fold + 1) * p.rows]
    positions = len(left)
    cycles = weight_stationary_fold(p.timing, positions, work.n, work.m)
    period, step = weight_stationary_step(p.timing, work.n, work.m)
    rows = [groups[row] if row < len(groups) else Group(0, 0, 0, 0) for row in range(p.rows)]
    run = Run(
        stationary_weights=1,
        fresh=0,
        seed=int(seeds is not None),
        kept=work.n - 1,
        period=period - 1,
        lag=(step - 1) // period,
        skew=(work.n - 1) * step + p.adder_latency - 1,
        positions=positions - 1,
    )
    words = -(-work.m // p.west_link)
    number, column = np.meshgrid(np.arange(positions), np.arange(p.cols))
    return Tile(
        p,
        run,
        west=[_entries(p, left[:, each.start : each.start + each.size], words).reshape(-1).tolist() for each in rows],
        north=_stored(p, right, rows, work.n),
        seeds=[] if seeds is None else _filled(seeds, positions, p.cols).T.tolist(),
        results=positions,
        cycles=cycles.total,
        compute=cycles.busy,
        rows=positions,
        cols=right.values.shape[1],
        where=(number, column),
    )


def folds_of(p: Parameters, work: Reduction) -> int:
    """Weight-stationary folds a reduction takes."""
    return -(-work.groups // p.rows)


def _filled(values: NDArray[np.integer], rows: int, cols: int) -> NDArray[np.integer]:
    if values.shape[0] > rows or values.shape[1] > cols:
        raise UserError(f"a tile of {values.shape[0]} x {values.shape[1]} is larger than {rows} x {cols}")
    out = np.zeros((rows, cols), values.dtype)
    out[: values.shape[0], : values.shape[1]] = values
    return out


def _entries(p: Parameters, operands: Bits, words: int) -> Words:
    """(entries, words): groups of operands cut into words of the link's width, the last one marked."""
    count, size = operands.shape
    lanes = np.zeros((count, words * p.west_link), object)
    lanes[:, :size] = operands.astype(object)
    lanes = lanes.reshape(count, words, p.west_link) << (np.arange(p.west_link).astype(object) * p.operand.bits)
    out = lanes.sum(axis=2)
    out[:, -1] |= 1 << (p.west_link * p.operand.bits)
    return out


def _west(p: Parameters, operands: Bits, groups: list[Group], along: int) -> list[list[int]]:
    """Words of every row: group after group, in each the rows that share a PE."""
    ordered = operands.reshape(along, p.rows, -1).swapaxes(0, 1).reshape(along * p.rows, -1)
    parts = []
    for group in groups:
        words = -(-group.size // p.west_link)
        entries = _entries(p, ordered[:, group.start : group.start + group.size], words)
        parts.append(entries.reshape(p.rows, along * words))
    return np.concatenate(parts, axis=1).tolist()


def _north(
    p: Parameters, values: Bits, positions: NDArray[np.int64], groups: list[Group], across: int
) -> list[list[int]]:
    """Words of every column: weight after weight, in each the columns that share a PE."""
    starts = np.concatenate([np.full(each.kept, each.start, np.int64) for each in groups])
    words = values.astype(object) | ((positions - starts[:, None]).clip(0).astype(object) << p.operand.bits)
    kept = len(words)
    return words.reshape(kept, across, p.cols).transpose(2, 0, 1).reshape(p.cols, kept * across).tolist()


def _stored(p: Parameters, right: Packed, rows: list[Group], n: int) -> list[list[int]]:
    """Words of every column: n weights a row; missing ones are zeros that select an operand which is zero too."""
    words = np.zeros((len(rows), n, p.cols), object)
    for row, group in enumerate(rows):
        words[row, group.kept :] = min(group.size, p.m - 1) << p.operand.bits
        cols = right.values.shape[1]
        part = slice(group.first, group.first + group.kept)
        index = (right.positions[part] - group.start).astype(object)
        words[row, : group.kept, :cols] = right.values[part].astype(object) | (index << p.operand.bits)
    return words.transpose(2, 0, 1).reshape(p.cols, -1).tolist()
