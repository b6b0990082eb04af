"""The tools on a small block: cells, clock, cache, and a bitstream in the slow target."""

from pathlib import Path

import pytest

from rtl.board import build
from rtl.boards import BOARDS, for_board
from rtl.files import read_report
from rtl.parameters import make_parameters
from rtl.synthesis import Statistics, areas, cached, synthesised
from workloads.errors import UserError
from workloads.pattern import parse_pattern

ADDER = "module top(input clk, input [7:0] a, output reg [7:0] p); always @(posedge clk) p <= p + a; endmodule"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtl.synthesis.cache_folder", lambda: tmp_path / "synthesis")


def test_cells_of_an_accumulator() -> None:
    cells = synthesised(ADDER, "top", "ecp5")
    assert (cells.flipflops, cells.carries, cells.dsps) == (8, 4, 0)


def test_what_was_made_is_not_made_again() -> None:
    told: list[str] = []
    steps = [("yosys", ["-q", "-p", "read_verilog design.v; tee -q -o stat.json stat -json"])]
    made = [cached({"design.v": ADDER}, steps, ("stat.json",), told.append) for _ in range(2)]
    assert made[0] == made[1]
    assert told == ["synthesis"]
    cached({"design.v": ADDER.replace("7", "8")}, steps, ("stat.json",), told.append)
    assert told == ["synthesis"] * 2
    (made[0] / "stat.json").write_text("{")
    assert cached({"design.v": ADDER}, steps, ("stat.json",), told.append) == made[0]
    assert told == ["synthesis"] * 3
    assert (made[0] / "stat.json").read_text() != "{"


@pytest.mark.parametrize("said", ["", "{}", '{"design": 3}', "[" * 5000])
def test_a_report_that_is_none_is_a_sentence(tmp_path: Path, said: str) -> None:
    path = tmp_path / "stat.json"
    path.write_text(said)
    with pytest.raises(UserError, match=r"stat\.json"):
        read_report(path, Statistics)


def test_a_failing_tool_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="yosys failed"):
        cached({"design.v": "module"}, [("yosys", ["-q", "-p", "read_verilog design.v"])], ("stat.json",))
    assert [path.suffix for path in (tmp_path / "synthesis").iterdir()] == [".lock"]


def test_a_missing_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(UserError) as raised:
        synthesised(ADDER, "top", "ecp5")
    assert str(raised.value) == "this needs yosys, which is not installed: pip install 'sparsehil[rtl]'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "pattern", "form", "side"), [("ice40-hx8k", "2:4", "int8", 2), ("ulx3s-85f", "2:8", "fp16", 4)]
)
def test_a_bitstream(board: str, pattern: str, form: str, side: int) -> None:
    p = for_board(BOARDS[board], make_parameters(parse_pattern(pattern), side, side, form))
    built = build(BOARDS[board], p, lambda _: None)
    assert built.bitstream.stat().st_size > 10_000
    assert built.fmax_mhz > built.clock_mhz


@pytest.mark.slow
def test_a_board_too_small() -> None:
    p = for_board(BOARDS["icebreaker"], make_parameters(parse_pattern("2:4"), 4, 4, "int8"))
    with pytest.raises(UserError, match="an array of 2:4 int8 4x4 does not fit"):
        build(BOARDS["icebreaker"], p, lambda _: None)


@pytest.mark.slow
def test_areas_grow_with_pattern_and_size() -> None:
    dense, sparse = (
        areas(make_parameters(parse_pattern(pattern), 4, 4, "int8"), [2, 4], lambda _: None)
        for pattern in ("dense", "2:4")
    )
    assert all(few.luts < many.luts for few, many in zip(dense, sparse, strict=True))
    assert dense[0].luts < dense[1].luts
    assert [row.cells.dsps for row in sparse] == [4, 16]
