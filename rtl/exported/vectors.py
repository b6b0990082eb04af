"""Golden tiles of an exported array, and the hexadecimal files that test benches read them from."""

from collections.abc import Sequence

import numpy as np

from rtl.formats import Bits, IntFormat, Packed, encode, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.parameters import Parameters
from rtl.run import run_bits
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction


def golden_tiles(p: Parameters, rng: np.random.Generator) -> list[tuple[Tile, Bits]]:
    """Small tiles in both dataflows, with their sums (columns, results) as they come out."""
    work = Reduction(1, 2 * p.m + p.m // 2, p.n, p.m)
    dense = Reduction(1, 2 * p.depth + p.depth // 2, p.depth, p.depth)
    out: list[tuple[Tile, Bits]] = []
    for reduction, interleave, share in ((work, 1, True), (work, p.accumulators, True), (dense, p.accumulators, False)):
        rows, cols = p.rows * (interleave if share else 1), p.cols * (1 if share else interleave)
        left, right = random_operands(p, rows, reduction, cols, rng)
        tile = output_stationary_tile(p, left, right, reduction, interleave, share)
        out.append((tile, _leaving(tile, sparse_product(left, right, p.operand))))
    for reduction in (Reduction(1, (p.rows + 1) * p.m, p.n, p.m), dense):
        left, right = random_operands(p, 5, reduction, p.cols, rng)
        sums: Bits | None = None
        for fold in range(folds_of(p, reduction)):
            tile = weight_stationary_tile(p, left, right, reduction, fold, sums)
            sums = sparse_product(*fold_of(p, left, right, reduction, fold), p.operand, sums)
            out.append((tile, _leaving(tile, sums)))
    return out


def random_operands(
    p: Parameters, rows: int, work: Reduction, cols: int, rng: np.random.Generator
) -> tuple[Bits, Packed]:
    inner = work.segments * work.length
    mask = np.zeros((inner, cols), bool)
    for group in groups_of(work):
        order = np.argsort(rng.random((group.size, cols)), axis=0)[: group.kept]
        np.put_along_axis(mask[group.start : group.start + group.size], order, True, 0)
    scale = 30 if isinstance(p.operand, IntFormat) else 1
    left = encode(scale * rng.standard_normal((rows, inner)), p.operand)
    return left, pack(encode(scale * rng.standard_normal((inner, cols)), p.operand), mask, work)


def fold_of(p: Parameters, left: Bits, right: Packed, work: Reduction, fold: int) -> tuple[Bits, Packed]:
    groups = groups_of(work)[fold * p.rows : (fold + 1) * p.rows]
    part = slice(groups[0].first, groups[-1].first + groups[-1].kept)
    return left, Packed(right.values[part], right.positions[part])


def _leaving(tile: Tile, product: Bits) -> Bits:
    """(columns, results): the product in the order in which it leaves."""
    rows, cols = tile.where
    whole = np.zeros((rows.max() + 1, cols.max() + 1), np.uint32)
    whole[: product.shape[0], : product.shape[1]] = product
    return whole[rows, cols]


def _most(lists: Sequence[Sequence[Sequence[int]]]) -> int:
    return max(1, *(len(each) for streams in lists for each in streams))


def longest(tiles: Sequence[Tile]) -> dict[str, int]:
    """The most words of a row, weights, seeds and sums of a column."""
    return {
        "wests": _most([tile.west for tile in tiles]),
        "norths": _most([tile.north for tile in tiles]),
        "seeds": _most([tile.seeds for tile in tiles]),
        "results": max(tile.results for tile in tiles),
    }


def vectors(p: Parameters, tiles: Sequence[tuple[Tile, Bits]]) -> dict[str, str]:
    """Texts of `vectors/*.hex` by name: numbers of every tile, streams filled up to the longest one with zeros."""
    most = longest([tile for tile, _ in tiles])
    texts: dict[str, list[int]] = {"runs": [], "sizes": [], "west": [], "north": [], "seeds": [], "results": []}
    for tile, sums in tiles:
        texts["runs"].append(run_bits(tile.run))
        seeds = tile.seeds or [[]] * p.cols
        sizes = [len(tile.west[0]), len(tile.north[0]), len(seeds[0]), tile.results, tile.cycles]
        texts["sizes"] += sizes
        for name, length, streams in (
            ("west", most["wests"], tile.west),
            ("north", most["norths"], tile.north),
            ("seeds", most["seeds"], seeds),
            ("results", most["results"], sums.tolist()),
        ):
            for words in streams:
                texts[name] += [*words, *[0] * (length - len(words))]
    return {f"vectors/{name}.hex": "".join(f"{value:x}\n" for value in values) for name, values in texts.items()}
