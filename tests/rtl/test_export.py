"""Exported Verilog: Yosys and Verilator accept it, its test bench passes there, and in Icarus where installed."""

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rtl.array import array_verilog
from rtl.exported import export, hushed
from rtl.files import export_owns, write_files
from rtl.parameters import make_parameters
from rtl.synthesis import run_tool
from rtl.verilate import verilator_command
from tests.command import Run
from workloads.errors import UserError
from workloads.pattern import parse_pattern

ICARUS = shutil.which("iverilog")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("verilog")
    p = make_parameters(parse_pattern("2:4"), 2, 2, "int8", accumulators=2)
    write_files(made, export(p, "simulate verilog --pattern 2:4"), export_owns)
    return made


def verilator(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, environment = verilator_command()
    return subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_verilator_has_no_warnings(folder: Path) -> None:
    done = verilator(folder, "--lint-only", "-Wall", "--top-module", "sparse_array", "sparse_array.v")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("pattern", "rows", "form"), [("dense", 1, "int8"), ("1:1", 1, "fp16"), ("2:3", 2, "bf16")])
def test_odd_parameters_have_no_warnings_either(tmp_path: Path, pattern: str, rows: int, form: str) -> None:
    p = make_parameters(parse_pattern(pattern), rows, 1, form, accumulators=1)
    write_files(tmp_path, {"sparse_array.v": hushed(array_verilog(p))}, export_owns)
    done = verilator(tmp_path, "--lint-only", "-Wall", "--top-module", "sparse_array", "sparse_array.v")
    assert (done.returncode, done.stderr) == (0, "")


def test_yosys_reads_it(folder: Path) -> None:
    script = "read_verilog sparse_array.v; hierarchy -check -top sparse_array; proc; check -assert; stat -json"
    run_tool("yosys", ["-q", "-p", script.replace("stat -json", "tee -q -o stat.json stat -json")], folder)
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    assert modules["\\sparse_array_mesh"]["num_cells_by_type"]["sparse_pe"] == 4


def test_the_test_bench_passes_in_verilator(folder: Path) -> None:
    files = ["sparse_array.v", "sparse_array_tb.v"]
    built = verilator(
        folder,
        "--binary",
        "--timing",
        "--top-module",
        "sparse_array_tb",
        "-MAKEFLAGS",
        FLAGS,
        "-CFLAGS",
        "-std=c++20",
        *files,
    )
    assert built.returncode == 0, built.stderr
    assert run(folder, "obj_dir/Vsparse_array_tb").startswith("PASS: 7 tiles, ")


@pytest.mark.skipif(ICARUS is None, reason="Icarus is no Python package: apt-get install iverilog")
def test_the_test_bench_passes_in_icarus(folder: Path) -> None:
    run(folder, "iverilog", "-g2005", "-o", "tb", "sparse_array.v", "sparse_array_tb.v")
    assert run(folder, "vvp", "tb").startswith("PASS: 7 tiles, ")
    vectors = folder / "vectors/results.hex"
    kept = vectors.read_text()
    vectors.write_text("0\n" + kept.partition("\n")[2])
    assert "FAIL: 1 differences" in run(folder, "vvp", "tb")
    vectors.write_text(kept)


FLAGS = "CFG_CXXFLAGS_PCH_I=-include"  # the wheel's makefile asks for headers it does not have


def run(folder: Path, *command: str) -> str:
    path = str(folder / command[0]) if "/" in command[0] else command[0]
    done = subprocess.run([path, *command[1:]], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_command(simulate: Run, tmp_path: Path) -> None:
    arguments = ("verilog", "--pattern", "2:4", "--rows", "2", "--cols", "1", "--format", "int8", "--out", "v")
    code, out, err = simulate(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("v: 2:4 int8 2x1, 2 PEs; run there:")
    text = (tmp_path / "v/sparse_array.v").read_text()
    assert text.startswith("// sparse_array: systolic array of 2 x 1 unified sparse PEs, 2:4 int8 2x1\n")
    assert "simulate verilog --pattern 2:4 --rows 2 --cols 1 --format int8 --out v" in text
    assert text.count("module sparse_pe(") == 1
    code, _, err = simulate(*arguments)
    assert (code, err) == (2, "simulate: --out: v is there already; give another folder, or --force to write over it\n")
    assert simulate(*arguments, "--force")[0] == 0
    (tmp_path / "v/vectors/mine.txt").write_text("mine")
    sentence = "--out: v: holds 'vectors/mine.txt', which this program did not write; it is left alone"
    assert simulate(*arguments, "--force") == (2, "", f"simulate: {sentence}\n")
    assert (tmp_path / "v/vectors/mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["v"]


@pytest.mark.parametrize("out", ["file", "link", "file/below", "nul\0", "x" * 300])
def test_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(UserError, match=r"^--out: "):
        write_files(Path(out), {"c": "c"}, {"c"}.__contains__, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"^--out: .*v: cannot be written: No space left on device$"):
        write_files(tmp_path / "v", {"a/b": "b"}, {"a/b"}.__contains__)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--pattern", "8:2"), "--pattern: '8:2' keeps more than a group has; n must be at most m, for example 2:8"),
        (("--pattern", "2:64"), "--pattern: groups of 64 are too wide for fp16; m must be at most 32"),
        (("--format", "fp8"), "--format: unknown operand format 'fp8' (known: bf16, fp16, int8)"),
        (("--rows", "0"), "--rows: 0 is not possible here; it must be 1 to 256"),
    ],
)
def test_impossible_parameters(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate("verilog", *arguments, "--out", "v")
    assert (code, out, err) == (2, "", f"simulate: {sentence}\n")
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    "option", ["--depth=2", "--accumulators=3", "--west-link=2", "--multiplier-latency=2", "--adder-latency=2"]
)
def test_every_option_changes_the_parameters(option: str) -> None:
    """The options' names are those of `make_parameters`; a larger array would only take longer."""
    name, _, value = option[2:].replace("-", "_").partition("=")
    usual = make_parameters(parse_pattern("2:4"), 2, 2, "int8")
    assert make_parameters(parse_pattern("2:4"), 2, 2, "int8", **{name: int(value)}) != usual
