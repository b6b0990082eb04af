"""The exported files: Verilog under a header that says what it is, a test bench and its golden vectors."""

from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template

import numpy as np

from rtl.array import array_verilog
from rtl.formats import Bits, IntFormat, Packed, encode, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.parameters import Parameters
from rtl.run import ITSELF, REASONS, RUN_BITS, field_bits, run_bits
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction

PORTS = {
    "run": "runs of {run} bits, see below",
    "west": "a stream a row: words of {link} operands of {operand} bits, first lowest; {row_depth} wait",
    "north": "a stream a column: a weight of {operand} bits, its index in the group above it ({index} bits);"
    " {column_depth} wait",
    "seeds": "a stream a column: sums of {sum} bits to start from; {results} wait",
    "results": "a stream a column: sums of {sum} bits; output stationary: last accumulator first, last row first;"
    " {results} wait",
    "counters": "32 bits each, first lowest: cycles, compute, fill, drain, waiting; then 8 bits of error, below",
    "idle": "no run is there, and all sums wait to be taken",
    "patience": "cycles that a run waits for what it takes before it is given up; 0 for ever",
    "abort_all": "everything is forgotten, also an error",
}


def export(p: Parameters, command: str, seed: int = 1) -> dict[str, str]:
    """Texts by file name: `sparse_array.v`, `sparse_array_tb.v`, `vectors/*.hex`."""
    tiles = golden_tiles(p, np.random.default_rng(seed))
    files = {"sparse_array.v": header(p, command) + hushed(array_verilog(p))}
    files["sparse_array_tb.v"] = _testbench(p, [tile for tile, _ in tiles])
    return files | _vectors(p, tiles)


def header(p: Parameters, command: str) -> str:
    """The comment above the Verilog."""
    try:
        release = version("sparsehil")
    except PackageNotFoundError:
        release = "unknown"
    sizes = {
        "run": RUN_BITS,
        "link": p.west_link,
        "operand": p.operand.bits,
        "index": p.index_bits,
        "sum": p.accumulator.bits,
        "row_depth": p.row_depth,
        "column_depth": p.column_depth,
        "results": p.results,
    }
    lines = [
        f"sparse_array: systolic array of {p.rows} x {p.cols} unified sparse PEs, {p.title}",
        f"made by sparsehil {release}: {command}",
        "",
        "Parameters",
        *(f"  {each.name:20} {getattr(p, each.name)}" for each in fields(p)),
        "",
        "Interface: clk, rst (synchronous, high); a word of a stream moves in a cycle in which valid and ready are",
        "high; valid stays high until then.",
        *(f"  {name:20} {text.format(**sizes)}" for name, text in PORTS.items()),
        "",
        "A run, first field lowest, counts less one unless marked *",
        *(f"  {name:20} {width} bits" + (" *" if name in ITSELF else "") for name, width in field_bits().items()),
        "",
        "Output stationary: segments x (groups of kept weights, a tail of tail_kept), for `interleave` outputs a PE.",
        "Weight stationary: weights first, then positions. words, tail_words: of a row for a group; row_words,",
        "column_weights: of the whole run. A run starts when all that it takes is there and there is room for what it",
        "gives; then nothing waits. The test bench has examples.",
        "",
        "Errors: the array stops, takes nothing and gives nothing until abort_all",
        *(f"  {error.value:<20} {text}" for error, text in REASONS.items()),
    ]
    return "\n".join([*(f"// {line}".rstrip() for line in lines), ""])


OFF = ("WIDTHEXPAND", "WIDTHTRUNC", "CASEINCOMPLETE", "PROCASSINIT", "UNUSEDSIGNAL", "DECLFILENAME")


def hushed(verilog: str) -> str:
    """The text with warnings of Verilator off that generated Verilog earns, for it alone."""
    off = [f"/* verilator lint_off {each} */" for each in OFF]
    return "\n".join(["/* verilator lint_save */", *off, verilog, "/* verilator lint_restore */", ""])


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
    prime = p.settle + max(p.row_depth, p.column_depth, p.results)
    template = Template((Path(__file__).parent / "testbench.v.in").read_text())
    return template.substitute(
        streams="\n".join(_connections(p)),
        tiles=len(tiles),
        rows=p.rows,
        cols=p.cols,
        prime=prime,
        patience=2 * prime + 8 * max(tile.cycles for tile in tiles),
        west=p.west_link * p.operand.bits,
        north=p.weight_bits,
        sum=p.accumulator.bits,
        run=RUN_BITS,
        **_longest(tiles),
    )


def _connections(p: Parameters) -> list[str]:
    """The ports of every stream, those of one kind side by side in a vector of the test bench."""
    lines, sides = [], (("west", "west", p.rows), ("north", "north", p.cols), ("seeds", "seed", p.cols))
    for port, name, count in (*sides, ("results", "result", p.cols)):
        for number in range(count):
            at = f"{number}*{'SUM' if name in ('seed', 'result') else name.upper()} +: "
            width = "SUM" if name in ("seed", "result") else name.upper()
            wires = (
                f".{port}__{number}__valid({name}_valid[{number}]), .{port}__{number}__ready({name}_ready[{number}]),"
            )
            lines.append(f"    {wires} .{port}__{number}__payload({name}_payload[{at}{width}]),")
    return lines


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
