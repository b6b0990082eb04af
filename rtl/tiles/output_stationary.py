"""Tiles whose outputs stay in the PEs."""

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits, Group, Packed, groups_of
from rtl.parameters import Parameters
from rtl.run import Run
from rtl.tiles.tile import Tile, check_fits, check_pattern, filled, words_of
from rtl.timing import Reduction, output_stationary_ends, output_stationary_stream


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
    stay for the next piece of the reduction. Raises UserError for what the array cannot do or hold.
    """
    check_pattern(p, work, interleave)
    along = interleave if share_weights else 1
    across = 1 if share_weights else interleave
    operands = filled(left, p.rows * along, left.shape[1])
    values = filled(right.values, len(right.values), p.cols * across)
    positions = filled(right.positions, len(right.values), p.cols * across)
    groups = groups_of(work)
    turn, row = np.meshgrid(np.arange(interleave)[::-1], np.arange(p.rows)[::-1], indexing="ij")
    slots, rows = turn.ravel(), row.ravel()
    column = np.arange(p.cols)[:, None]
    out_rows = (rows + slots * p.rows * share_weights)[None, :] + 0 * column
    out_cols = column + (slots * p.cols * (not share_weights))[None, :]
    stream = output_stationary_stream(p.timing, work, interleave, share_weights)
    ends = output_stationary_ends(p.timing, interleave).total if drain else 0
    seeding = [] if seeds is None else filled(seeds, p.rows * along, p.cols * across)[out_rows, out_cols].tolist()
    full, tail = divmod(work.length, work.m)
    words, tail_words = -(-work.m // p.west_link), -(-tail // p.west_link)
    west, north = _west(p, operands, groups, along), _north(p, values, positions, groups, across)
    run = Run(
        share_weights=int(share_weights),
        fresh=int(fresh and seeds is None),
        seed=int(seeds is not None),
        drain=int(drain),
        interleave=interleave - 1,
        kept=work.n - 1,
        words=words - 1,
        tail_kept=min(work.n, tail),
        tail_words=max(1, tail_words) - 1,
        groups=full,
        segments=work.segments - 1,
        row_words=len(west[0]) - 1,
        column_weights=len(north[0]) - 1,
    )
    cycles = stream.total + ends + (p.rows * interleave if seeds is not None else 0)
    tile = Tile(
        p,
        run,
        west,
        north,
        seeds=seeding,
        results=p.rows * interleave if drain else 0,
        cycles=max(cycles, p.timing.shortest),
        compute=stream.busy,
        rows=left.shape[0],
        cols=right.values.shape[1],
        where=(out_rows, out_cols),
    )
    return check_fits(tile)


def _west(p: Parameters, operands: Bits, groups: list[Group], along: int) -> list[list[int]]:
    """Words of every row: group after group, in each the rows that share a PE."""
    ordered = operands.reshape(along, p.rows, -1).swapaxes(0, 1).reshape(along * p.rows, -1)
    parts = []
    for group in groups:
        words = -(-group.size // p.west_link)
        parts.append(
            words_of(p, ordered[:, group.start : group.start + group.size], words).reshape(p.rows, along * words)
        )
    return np.concatenate(parts, axis=1).tolist()


def _north(
    p: Parameters, values: Bits, positions: NDArray[np.int64], groups: list[Group], across: int
) -> list[list[int]]:
    """Words of every column: weight after weight, in each the columns that share a PE."""
    starts = np.concatenate([np.full(each.kept, each.start, np.int64) for each in groups])
    words = values.astype(object) | ((positions - starts[:, None]).clip(0).astype(object) << p.operand.bits)
    kept = len(words)
    return words.reshape(kept, across, p.cols).transpose(2, 0, 1).reshape(p.cols, kept * across).tolist()
