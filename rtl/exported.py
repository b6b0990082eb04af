"""The exported files: Verilog under a header that says what it is, a test bench and its golden vectors."""

from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template

import numpy as np

from rtl.array import array_verilog
from rtl.control import run_layout
from rtl.formats import Bits, IntFormat, Packed, encode, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.parameters import Parameters
from rtl.tiles import Tile, folds_of, output_stationary_tile, run_bits, weight_stationary_tile
from rtl.timing import Reduction

PORTS = {
    "run": "runs: {run} bits, see below",
    "west": "a stream a row: {link} operands of {operand} bits, first lowest, a bit above them that ends a group",
    "north": "a stream a column: a weight of {operand} bits, its index in the group above it ({index} bits)",
    "seed": "a stream a column: sums of {sum} bits to start from",
    "result": "a stream a column: sums of {sum} bits; output stationary: last accumulator first, last row first",
    "counters": "32 bits each, first lowest: cycles, compute, fill, drain, waiting",
    "idle": "no run is going on",
}

ITSELF = (  # fields that are no counts less one
    *("stationary_weights", "share_weights", "fresh", "seed", "drain", "reserved"),
    *("tail_kept", "lag", "groups", "pad", "tail_pad"),
)


def export(p: Parameters, command: str, seed: int = 1) -> dict[str, str]:
    """Texts by file name: `sparse_array.v`, `sparse_array_tb.v`, `vectors/*.hex`."""
    tiles = golden_tiles(p, np.random.default_rng(seed))
    files = {"sparse_array.v": array_verilog(p, header(p, command))}
    files["sparse_array_tb.v"] = _testbench(p, [tile for tile, _ in tiles])
    return files | _vectors(p, tiles)


def header(p: Parameters, command: str) -> str:
    """The comment above the Verilog."""
    try:
        release = version("sparsehil")
    except PackageNotFoundError:
        release = "unknown"
    sizes = {
        "run": run_layout().size,
        "link": p.west_link,
        "operand": p.operand.bits,
        "index": p.index_bits,
        "sum": p.accumulator.bits,
    }
    lines = [
        f"sparse_array: systolic array of {p.rows} x {p.cols} unified sparse PEs, {p.title}",
        f"made by sparsehil {release}: {command}",
        "",
        "Parameters",
        *(f"  {each.name:20} {getattr(p, each.name)}" for each in fields(p)),
        "",
        "Interface: clk, rst (synchronous, high); streams side by side, first row or column lowest; a word moves in a",
        "cycle in which valid and ready are high; valid stays high until then.",
        *(f"  {name:20} {text.format(**sizes)}" for name, text in PORTS.items()),
        "",
        "A run, first field lowest, counts less one unless marked *",
        *(f"  {name:20} {field.width} bits" + ("" if name not in ITSELF else " *") for name, field in _run_fields()),
        "",
        "Output stationary: segments x (groups of kept weights, a tail of tail_kept); a weight takes `round` cycles",
        "for `interleave` outputs; pad cycles follow a group for the link. Weight stationary: weights first, then",
        "a position every `period` cycles; a sum takes `skew` cycles through a PE. The test bench has examples.",
    ]
    off = ["WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE", "PROCASSINIT", "UNUSEDSIGNAL", "DECLFILENAME"]
    pragmas = ["// what generated Verilog means to do", *(f"/* verilator lint_off {each} */" for each in off)]
    return "\n".join([*(f"// {line}".rstrip() for line in lines), *pragmas, ""])


def _run_fields() -> list[tuple[str, object]]:
    return [(str(name), field) for name, field in run_layout()]


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


def _longest(tiles: Sequence[Tile]) -> dict[str, int]:
    return {
        "wests": _most([tile.west for tile in tiles]),
        "norths": _most([tile.north for tile in tiles]),
        "seeds": _most([tile.seeds for tile in tiles]),
        "results": max(tile.results for tile in tiles),
    }


def _testbench(p: Parameters, tiles: Sequence[Tile]) -> str:
    prime = 4 * p.buffer * p.group_words
    template = Template((Path(__file__).parent / "testbench.v.in").read_text())
    return template.substitute(
        tiles=len(tiles),
        rows=p.rows,
        cols=p.cols,
        prime=prime,
        patience=2 * prime + 8 * max(tile.cycles for tile in tiles),
        west=p.west_link * p.operand.bits + 1,
        north=p.weight_bits,
        sum=p.accumulator.bits,
        run=run_layout().size,
        **_longest(tiles),
    )


def _vectors(p: Parameters, tiles: Sequence[tuple[Tile, Bits]]) -> dict[str, str]:
    most = _longest([tile for tile, _ in tiles])
    texts: dict[str, list[int]] = {"runs": [], "sizes": [], "west": [], "north": [], "seeds": [], "results": []}
    for tile, sums in tiles:
        texts["runs"].append(run_bits(tile.run))
        seeds = tile.seeds or [[]] * p.cols
        sizes = [len(tile.west[0]), len(tile.north[0]), len(seeds[0]), tile.results, tile.cycles]
        texts["sizes"] += sizes
        for name, longest, streams in (
            ("west", most["wests"], tile.west),
            ("north", most["norths"], tile.north),
            ("seeds", most["seeds"], seeds),
            ("results", most["results"], sums.tolist()),
        ):
            for words in streams:
                texts[name] += [*words, *[0] * (longest - len(words))]
    return {f"vectors/{name}.hex": "".join(f"{value:x}\n" for value in values) for name, values in texts.items()}
