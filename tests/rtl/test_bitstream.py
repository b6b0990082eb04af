"""`simulate bitstream` and `simulate area`: mistakes, and what they write without minutes of placement."""

import json
from pathlib import Path

import pytest

from reports.area import area_table
from rtl.board import Built, hurried
from rtl.boards import BOARDS, Board, DoesNotFit, for_board
from rtl.commands.bitstream import bitstream
from rtl.parameters import Parameters, make_parameters
from rtl.synthesis import Area, Cells
from tests.command import Run, without
from workloads.errors import UserError
from workloads.pattern import parse_pattern


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("bitstream", "--board", "ulx3s"),
            "--board: unknown board 'ulx3s'; did you mean 'ulx3s-85f'? "
            "(known: ice40-hx8k, icebreaker, ulx3s-85f, vcu1525)",
        ),
        (
            ("bitstream", "--board", "icebreaker", "--format", "fp16"),
            "--format: icebreaker is too small for fp16 (it takes int8)",
        ),
        (
            ("bitstream", "--board", "vcu1525", "--sore"),
            "--sore and --optimizer: the project for vcu1525 is the array alone",
        ),
        (
            ("bitstream", "--board", "icebreaker", "--optimizer", "momentum"),
            "WUVE: weights cannot be handed on as int8; allowed are fp16 and bf16",
        ),
        (
            ("bitstream", "--core", "--board", "icebreaker"),
            "--board: no core is made for icebreaker; ulx3s-85f has room for one",
        ),
        (
            ("bitstream", "--core", "--board", "ulx3s"),
            "--board: unknown board 'ulx3s'; did you mean 'ulx3s-85f'? "
            "(known: ice40-hx8k, icebreaker, ulx3s-85f, vcu1525)",
        ),
        (
            ("bitstream", "--core", "--board", "ulx3s-85f", "--dram-kib", "3"),
            "--dram-kib: 3 is not possible here; it must be a power of two, 2 or more",
        ),
        (
            ("bitstream", "--board", "ulx3s-85f", "--dram-kib", "64"),
            "--dram-kib: this is for --core, and it is not given",
        ),
        (("bitstream", "--board", "ulx3s-85f", "--rows", "0"), "--rows: 0 is not possible here; it must be 1 to 256"),
        (
            ("bitstream", "--board", "ulx3s-85f", "--pattern", "2:64"),
            "--pattern: groups of 64 are too wide for fp16; m must be at most 32",
        ),
        (("area", "--size", "0"), "--rows: 0 is not possible here; it must be 1 to 256"),
        (("area", "--pattern", "fan-in 3"), "--pattern: the array takes 'dense', 'n:m' or 'bank n:m', not 'fan-in 3'"),
    ],
)
def test_mistakes(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    assert simulate(*arguments, "--out", "made") == (2, "", f"simulate: {sentence}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bitstream", "--board", "ulx3s"), "--board: unknown board 'ulx3s'"),
        (("bitstream", "--board", "icebreaker", "--out", "."), "--out: . is there already"),
        (("bitstream", "--board", "icebreaker"), "this needs the package 'amaranth', which is missing: pip install "),
        (("verilog", "--rows", "0"), "--rows: 0 is not possible here"),
        (("verilog",), "this needs the package 'amaranth', which is missing: pip install "),
        (("board", "--serve", "--optimizer", "adam"), "--optimizer: unknown optimizer 'adam'"),
        (("board", "--serve", "--tcp", "0.0.0.0:1"), "--tcp: '0.0.0.0:1' is not possible"),
        (("board", "--serve"), "this needs the package 'amaranth', which is missing: pip install "),
    ],
)
def test_a_mistake_is_named_before_amaranth_is_needed(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "mine").write_text("mine")
    done = without("amaranth", tmp_path, *arguments)
    assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_there_is_left_alone(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made/mine").write_text("mine")
    code, _, err = simulate("bitstream", "--board", "icebreaker", "--out", "made")
    assert code == 2
    assert err == "simulate: --out: made is there already; give another folder, or --force to write over it\n"


def test_another_boards_bitstream_is_left_alone(simulate: Run, tmp_path: Path) -> None:
    for name in ("ice40-hx8k.bin", "utilisation.json"):
        (tmp_path / name).write_text("mine")
    code, _, err = simulate("bitstream", "--board", "icebreaker", "--out", str(tmp_path), "--force")
    assert code == 2 and "holds ice40-hx8k.bin, of another board, which is left alone; give another folder" in err
    assert len(list(tmp_path.iterdir())) == 2


def test_a_mount_point_is_refused_before_the_work(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == Path("made"))
    sentence = "simulate: --out: made: is a mount point, which cannot be exchanged; name a folder inside it\n"
    for board in ("icebreaker", "vcu1525"):
        assert simulate("bitstream", "--board", board, "--out", "made") == (2, "", sentence)


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_boards_give_the_array_what_a_block_memory_holds(name: str) -> None:
    found = for_board(BOARDS[name], make_parameters(parse_pattern("2:4"), 2, 2, "int8", row_depth=16, results=32))
    assert {found.row_depth, found.column_depth, found.results} == {512 if name == "ulx3s-85f" else 256}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ('FREQUENCY PORT "clk25_0__io" 25000000.0 HZ;', 'FREQUENCY PORT "clk25_0__io" 100000000.0 HZ;'),
        ("set_frequency clk12_0__io 12.0", "set_frequency clk12_0__io 48.0"),
        ("set_io led D13", "set_io led D13"),
    ],
)
def test_tools_are_asked_for_more_than_the_boards_clock(given: str, wanted: str) -> None:
    assert hurried(f"# a\n{given}\n") == f"# a\n{wanted}\n"


def test_the_area_table() -> None:
    """Twice the cells and half the clock at four times the speed leave nothing."""

    def row(pattern: str, luts: int, fmax: float) -> Area:
        cells = Cells(luts, 7, 10, 5, 4, 0)
        return Area(pattern, "fp16", 2, 2, cells, cells, fmax)

    table = area_table([row("dense", 100, 80.0), row("2:8", 220, 40.0)]).set_index("pattern")
    assert table.loc["dense", "luts"] == 120  # a carry cell takes the place of two LUTs
    assert table.loc["2:8", "luts_over_dense"] == 2
    assert table.loc["2:8", "speedup_ideal"] == 4
    assert table.loc["2:8", "speedup_equal_area"] == 1
    assert table.loc["dense", "speedup_equal_area"] == 1


def test_the_largest_array_that_fits_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The estimate says 3 x 3; the placer says that four PEs are too many."""
    tried: list[str] = []

    def build(_: Board, p: Parameters, *__: object) -> Built:
        tried.append(f"{p.rows}x{p.cols}")
        if p.rows * p.cols > 3:
            raise DoesNotFit("too large")
        made = tmp_path / "made.bin"
        made.write_bytes(b"bits")
        (tmp_path / "report.json").write_text("{}")
        return Built(made, tmp_path / "report.json", 50.0, 12.0, {"cells": (1, 2)})

    monkeypatch.setattr("rtl.board.largest_size", lambda *_: 3)
    monkeypatch.setattr("rtl.board.build", build)
    bitstream("icebreaker", "2:4", out=tmp_path / "out")
    assert tried == ["3x3", "3x2", "2x2", "2x1"]
    assert json.loads((tmp_path / "out/utilisation.json").read_text())["array"] == "2:4 int8 2x1"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["icebreaker.bin", "utilisation.json"]
    bitstream("icebreaker", "2:4", out=tmp_path / "out", force=True)
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(UserError, match="holds 'mine', which this program did not write; it is left alone"):
        bitstream("icebreaker", "2:4", out=tmp_path / "out", force=True)
    with pytest.raises(DoesNotFit):
        bitstream("icebreaker", "2:4", rows=4, out=tmp_path / "other")
