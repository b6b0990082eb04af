"""The README of an exported folder: every field explained, the order of words drawn, a run worked out."""

from collections.abc import Sequence
from string import Template

import numpy as np

from rtl.array import TOP
from rtl.axi.registers import REGISTERS
from rtl.exported.around import CLOCK_MHZ
from rtl.exported.manifest import Json, run_fields
from rtl.exported.naming import release
from rtl.exported.testbench import TEMPLATES
from rtl.formats import FloatFormat, encode, pack
from rtl.parameters import Parameters
from rtl.run import REASONS, RUN_BITS, run_bits
from rtl.tiles import Tile, output_stationary_tile
from rtl.timing import Reduction

FIELDS = {
    "stationary_weights": ("0", "1"),
    "share_weights": ("1: the I sums of a PE are of different rows; 0: of different columns", "0"),
    "fresh": ("1: sums start from zero; 0: from those of the run before, which did not drain", "0"),
    "seed": ("1: sums start from the seeds; fresh is 0 then", "1: so does every position; 0: from zero"),
    "drain": ("1: sums leave afterwards; 0: they stay", "1"),
    "reserved": ("0", "0"),
    "interleave": ("I, sums a PE makes in turn", "1"),
    "kept": ("weights kept of a full group", "weights a PE holds"),
    "words": ("words of a full group, its operands / link rounded up", "the same"),
    "tail_kept": ("weights kept of a shorter last group; 0: there is none", "0"),
    "tail_words": ("its words; 1 where there is none", "1"),
    "groups": ("full groups of a segment", "0"),
    "segments": ("times that groups and tail come", "1"),
    "positions": ("1", "rows of the product"),
    "row_words": ("all words of a row", "positions x words"),
    "column_weights": ("all weights of a column", "R x kept"),
}
FORMATS = {"fp16": "IEEE half precision", "bf16": "bfloat16", "int8": "signed 8-bit integers"}
OUTPUT_STATIONARY = """west[r]     group 0: the words of row r, then with share_weights those of r + R ... (I rows)
            group 1: ...
            tail
north[c]    group 0: weight 0, with share_weights once; without, that of column c, c + C ... (I columns)
                     weight 1 ...
            group 1: ...
seeds[c]    as results[c]
results[c]  sum I - 1: row R - 1, ..., row 1, row 0
            ...
            sum 0:     row R - 1, ..., row 1, row 0"""
WEIGHT_STATIONARY = """west[r]     position 0: the words of group r of row 0 of the product
            position 1: ...
north[c]    the weights of group 0, of group 1, ..., of group R - 1
seeds[c]    position 0, position 1, ...
results[c]  position 0, position 1, ..."""


def readme(p: Parameters, command: str, prefix: str, facts: Json, found: Sequence[Json], tiles: Sequence[Tile]) -> str:
    """Its text. facts, found: of `rtl.exported.manifest`. tiles: of the vectors."""
    whole = isinstance(p.operand, FloatFormat)
    template = Template((TEMPLATES / "README.md.in").read_text(encoding="utf-8"))
    bits = p.operand.bits
    return template.substitute(
        title=f"{facts['modules']['array']}: {p.title}",
        rows=p.rows,
        cols=p.cols,
        n=p.n,
        m=p.m,
        pattern="dense" if p.m == 1 else f"{p.n}:{p.m}",
        operand_text=FORMATS[p.format],
        sum_text="IEEE single precision" if whole else "32-bit integers that wrap around",
        command=command,
        release=release(),
        name="sparsehil:rtl:" + prefix + TOP,
        top=facts["modules"]["array"],
        axi=facts["modules"]["axi"],
        clock=CLOCK_MHZ,
        row_depth=p.row_depth,
        column_depth=p.column_depth,
        results=p.results,
        link=p.west_link,
        operand_bits=bits,
        operand_top=bits - 1,
        weight_top=p.weight_bits - 1,
        west_bits=p.west_link * bits,
        north_bits=p.weight_bits,
        west_drawing="| " + " | ".join(f"operand {each}" for each in reversed(range(p.west_link))) + " |",
        accumulators=p.accumulators,
        adder=p.adder_latency,
        input=p.input_latency,
        os_drawing=OUTPUT_STATIONARY,
        ws_drawing=WEIGHT_STATIONARY,
        rounding="to the nearest, ties to even; subnormals are kept; a NaN that is made is 0x7fc00000"
        if whole
        else "nothing is rounded",
        weights=p.weights,
        depth=p.depth,
        to_last_ws=p.latency + 1,
        vectors="\n".join(_vectors(tiles)),
        instance="\n".join(_instance(facts)),
        nothing="-0 (the sign alone)" if whole else "0",
        run_bits=RUN_BITS,
        run_table="\n".join(_field(each) for each in run_fields()),
        worked=_worked(p),
        shortest=p.timing.shortest,
        to_last=p.latency,
        settle=p.after_reset,
        errors="\n".join(f"| {int(error)} | {text} |" for error, text in REASONS.items()),
        ports="\n".join(_ports(p, found)),
        streams="\n".join(
            f"| `{each['prefix']}*` | {each['words']} | {each['bits']} | {each['bytes']} "
            f"| {8 * each['bytes'] * each['words']} |"
            for each in facts["axi"]["streams"].values()
        ),
        registers="\n".join(
            f"| 0x{each.address:02x} | {each.name} | {each.access} | {each.text} |" for each in REGISTERS
        ),
    )


def _vectors(tiles: Sequence[Tile]) -> list[str]:
    """A line a tile: what kind of run it is."""
    lines = ["| line | run | kept of a group | I | share_weights | tail | seeds |", "|---|---|---|---|---|---|---|"]
    for number, tile in enumerate(tiles):
        run = tile.run
        kind = "weight stationary" if run.stationary_weights else "output stationary"
        marks = ["yes" if each else "" for each in (run.share_weights, run.tail_kept, run.seed)]
        lines.append(f"| {number} | {kind} | {run.kept + 1} | {run.interleave + 1} | {' | '.join(marks)} |")
    return lines


def _instance(facts: Json) -> list[str]:
    """How the array behind AXI is put into a design."""
    names = [port["name"] for port in facts["axi"]["ports"]]
    lines = [f"{facts['axi']['module']} array ("]
    return [*lines, *(f"    .{name}({name})," for name in names[:-1]), f"    .{names[-1]}({names[-1]})", ");"]


def _field(field: Json) -> str:
    high = field["lowest"] + field["bits"] - 1
    bits = f"{high}:{field['lowest']}" if field["bits"] > 1 else str(high)
    here, there = FIELDS[field["name"]]
    return f"| {bits} | {field['name']} | {'yes' if field['less_one'] else ''} | {here} | {there} |"


def _ports(p: Parameters, found: Sequence[Json]) -> list[str]:
    """A line a port; those of further rows and columns are like those of number 0."""
    lines = ["| `clk` | input | 1 | clock, rising edge |", "| `rst` | input | 1 | synchronous, high |"]
    ranges = {"west": p.rows, "north": p.cols, "seeds": p.cols, "results": p.cols}
    for port in found:
        side, _, rest = port["name"].partition("__")
        number, _, part = rest.partition("__")
        if side in ranges and number != "0":
            continue
        text = port["text"] if part in ("", "payload") or (side == "run" and rest == "payload") else ""
        many = f", up to `{side}__{ranges[side] - 1}__{part}`" if side in ranges and ranges[side] > 1 else ""
        lines.append(f"| `{port['name']}`{many} | {port['direction']} | {port['bits']} | {text} |")
    return lines


def _worked(p: Parameters) -> str:
    """Two groups, small numbers, one sum a PE: what goes in and comes out of row 0 and column 0."""
    work = Reduction(1, 2 * p.m, p.n, p.m)
    inner = work.length
    left = np.add.outer(np.arange(p.rows), np.arange(inner)) % 5 + 1
    places = np.array([*range(p.n), *range(inner - p.n, inner)])
    mask = np.zeros((inner, p.cols), bool)
    mask[places] = True
    right = np.where(mask, np.arange(inner)[:, None] % 3 + 1 + np.arange(p.cols) % 4, 0)
    product = left @ right
    tile = output_stationary_tile(p, encode(left, p.operand), pack(encode(right, p.operand), mask, work), work)
    run, wide = tile.run, -(-p.west_link * p.operand.bits // 4)
    column = ", ".join(f"{place}: {right[place, 0]}" for place in places)
    fields = [f"{each['name']} = {getattr(run, each['name'])}" for each in run_fields() if getattr(run, each["name"])]
    shown = min(p.rows, 4)
    sums = [int(product[row, 0]) for row in reversed(range(p.rows))][:shown]
    bits = [int(each) for each in encode(np.array(sums), p.accumulator)]
    return "\n".join(
        [
            f"Output stationary, one sum a PE, a reduction of two groups of {p.m}: left[r, k] = (r + k) mod 5 + 1;",
            f"of each column the weights at {', '.join(map(str, places))} are kept,",
            f"right[k, c] = k mod 3 + 1 + c mod 4. Column 0 is {column}.",
            "",
            f"- Fields that are not 0: {', '.join(fields)}.",
            f"- The run: `0x{run_bits(run):0{RUN_BITS // 4}x}`"
            f" (over AXI: {', '.join(f'RUN{at} = 0x{run_bits(run) >> 32 * at & 0xFFFFFFFF:08x}' for at in range(4))}).",
            f"- Row 0 has {', '.join(map(str, left[0]))}, so it takes {len(tile.west[0])} words:"
            f" {', '.join(f'`{word:0{wide}x}`' for word in tile.west[0])}.",
            f"- Column 0 takes {len(tile.north[0])} weights:"
            f" {', '.join(f'`{word:0{-(-p.weight_bits // 4)}x}`' for word in tile.north[0])}.",
            f"- Column 0 gives {tile.results} sums, the last row's first: {', '.join(map(str, sums))}"
            f"{' ...' if shown < p.rows else ''}, in bits {', '.join(f'`{each:08x}`' for each in bits)}"
            f"{' ...' if shown < p.rows else ''}.",
            f"- It takes {tile.cycles} cycles.",
        ]
    )
