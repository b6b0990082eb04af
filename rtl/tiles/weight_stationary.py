"""Tiles whose weights stay in the PEs: folds of R groups of the reduction by C columns."""

import numpy as np

from rtl.formats import Bits, FloatFormat, Group, Packed, groups_of
from rtl.parameters import Parameters
from rtl.run import Run
from rtl.tiles.tile import Tile, check_fits, check_pattern, filled, words_of
from rtl.timing import Reduction, weight_stationary_fold


def weight_stationary_tile(
    p: Parameters, left: Bits, right: Packed, work: Reduction, fold: int, seeds: Bits | None = None
) -> Tile:
    """One fold of (positions, inner) operands times packed weights of at most C columns.

    seeds: (positions, cols) sums of the fold before; zero for the first. Raises UserError for what the array
    cannot do or hold.
    """
    check_pattern(p, work)
    groups = groups_of(work)[fold * p.rows : (fold + 1) * p.rows]
    positions = len(left)
    cycles = weight_stationary_fold(p.timing, positions, work.n, work.m)
    rows = [groups[row] if row < len(groups) else Group(0, 0, 0, 0) for row in range(p.rows)]
    words = -(-work.m // p.west_link)
    run = Run(
        stationary_weights=1,
        fresh=0,
        seed=int(seeds is not None),
        kept=work.n - 1,
        words=words - 1,
        positions=positions - 1,
        row_words=positions * words - 1,
        column_weights=p.rows * work.n - 1,
    )
    number, column = np.meshgrid(np.arange(positions), np.arange(p.cols))
    tile = Tile(
        p,
        run,
        west=[words_of(p, left[:, each.start : each.start + each.size], words).reshape(-1).tolist() for each in rows],
        north=_stored(p, right, rows, work.n),
        seeds=[] if seeds is None else filled(seeds, positions, p.cols).T.tolist(),
        results=positions,
        cycles=max(cycles.total, p.timing.shortest),
        compute=cycles.busy,
        rows=positions,
        cols=right.values.shape[1],
        where=(number, column),
    )
    return check_fits(tile)


def folds_of(p: Parameters, work: Reduction) -> int:
    """Weight-stationary folds a reduction takes."""
    return -(-work.groups // p.rows)


def _stored(p: Parameters, right: Packed, rows: list[Group], n: int) -> list[list[int]]:
    """Words of every column: n weights a row.

    Missing ones are -0 and select an operand which is +0: their product of -0 leaves any sum as it is, also one of -0.
    """
    nothing = 1 << (p.operand.bits - 1) if isinstance(p.operand, FloatFormat) else 0
    words = np.zeros((len(rows), n, p.cols), object)
    for row, group in enumerate(rows):
        words[row, group.kept :] = nothing | min(group.size, p.m - 1) << p.operand.bits
        cols = right.values.shape[1]
        part = slice(group.first, group.first + group.kept)
        index = (right.positions[part] - group.start).astype(object)
        words[row, : group.kept, :cols] = right.values[part].astype(object) | (index << p.operand.bits)
    return words.transpose(2, 0, 1).reshape(p.cols, -1).tolist()
