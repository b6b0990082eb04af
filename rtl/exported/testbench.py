"""The Verilog test bench of an exported array."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from rtl.array import TOP
from rtl.exported.vectors import longest
from rtl.parameters import Parameters
from rtl.run import RUN_BITS
from rtl.tiles import Tile

TEMPLATES = Path(__file__).parent / "templates"


def test_bench(p: Parameters, tiles: Sequence[Tile], prefix: str) -> str:
    """Its text; `vectors` has what it reads."""
    prime = p.after_reset + max(p.row_depth, p.column_depth, p.results)
    template = Template((TEMPLATES / "testbench.v.in").read_text(encoding="utf-8"))
    return template.substitute(
        top=prefix + TOP,
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
        **longest(tiles),
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
