"""Exported folders: tools accept them, their test benches pass, the AXI bench of others' masters and sinks as well."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtl.array import array_verilog
from rtl.exported.array import export
from rtl.exported.blocks import Block, export_block, linked_block, sore_block, wuve_block
from rtl.exported.naming import hushed
from rtl.files import export_owns, write_files
from rtl.formats import FP16
from rtl.lanes import Lanes, SoreParameters, UpdateParameters
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
    write_files(made, export(p, "simulate verilog --pattern 2:4", "a_"), export_owns)
    return made


def verilator(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, environment = verilator_command()
    return subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_verilator_has_no_warnings(folder: Path) -> None:
    for top, files in (("a_sparse_array", SOURCES[:1]), ("a_sparse_array_axi", SOURCES)):
        done = verilator(folder, "--lint-only", "-Wall", "--top-module", top, *files)
        assert (done.returncode, done.stderr) == (0, "")


def linked() -> Block:
    return linked_block(make_parameters(parse_pattern("2:4"), 1, 2, "int8"), 25, Lanes(sore=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: sore_block(SoreParameters(FP16, 2, 8)),
        lambda: wuve_block(UpdateParameters("momentum")),
        lambda: wuve_block(UpdateParameters("adamw", "bf16")),
        linked,
    ],
)
def test_what_stands_beside_the_array(tmp_path: Path, make: Callable[[], Block]) -> None:
    """No warning; a bench that passes, and notices a word that is wrong."""
    block = make()
    write_files(tmp_path, export_block(block, "simulate verilog", "b_"), export_owns)
    done = verilator(tmp_path, "--lint-only", "-Wall", "--top-module", f"b_{block.name}", f"{block.name}.v")
    assert (done.returncode, done.stderr) == (0, "")
    if block.vectors is None or (block.name == "wuve" and not ICARUS):  # which Verilator builds in half a minute
        return
    files = (f"{block.name}.v", f"{block.name}_tb.v")
    if ICARUS:
        run(tmp_path, ICARUS, "-g2012", "-o", "tb", *files)
    binary = "./tb" if ICARUS else built(tmp_path, f"b_{block.name}_tb", *files)
    assert run(tmp_path, binary).startswith("PASS: ")
    vectors = tmp_path / "vectors/out.hex"
    vectors.write_text("0\n" + vectors.read_text().partition("\n")[2])
    assert re.search(r"FAIL: [34] differences", run(tmp_path, binary))  # before the reset as well, or not


@pytest.mark.parametrize(("pattern", "rows", "form"), [("dense", 1, "int8"), ("1:1", 1, "fp16"), ("2:3", 2, "bf16")])
def test_odd_parameters_have_no_warnings_either(tmp_path: Path, pattern: str, rows: int, form: str) -> None:
    p = make_parameters(parse_pattern(pattern), rows, 1, form, accumulators=1)
    write_files(tmp_path, {"sparse_array.v": hushed(array_verilog(p))}, export_owns)
    done = verilator(tmp_path, "--lint-only", "-Wall", "--top-module", "sparse_array", "sparse_array.v")
    assert (done.returncode, done.stderr) == (0, "")


def test_yosys_reads_it(folder: Path) -> None:
    script = "read_verilog sparse_array.v; hierarchy -check -top a_sparse_array; proc; check -assert; stat -json"
    run_tool("yosys", ["-q", "-p", script.replace("stat -json", "tee -q -o stat.json stat -json")], folder)
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    assert modules["\\a_sparse_array_mesh"]["num_cells_by_type"]["a_sparse_array_sparse_pe"] == 4


def test_the_test_bench_passes_in_verilator(folder: Path) -> None:
    binary = built(folder, "a_sparse_array_tb", "sparse_array.v", "sparse_array_tb.v")
    assert run(folder, binary).startswith("PASS: 21 tiles, ")
    vectors = folder / "vectors/results.hex"
    kept = vectors.read_text()
    vectors.write_text("0\n" + kept.partition("\n")[2])
    assert "FAIL: 3 differences" in run(folder, binary)
    vectors.write_text(kept)


def built(folder: Path, top: str, *files: str) -> str:
    """The path of a test bench's program."""
    options = ["--binary", "--timing", "--top-module", top, "-MAKEFLAGS", FLAGS, "-CFLAGS", "-std=c++20 -O0"]
    done = verilator(folder, *options, *files)
    assert done.returncode == 0, done.stderr
    return f"obj_dir/V{top}"


@pytest.mark.parametrize("target", ["default", "sim", "lint", "synth"])
def test_fusesoc_reads_the_core(folder: Path, tmp_path: Path, target: str) -> None:
    """FuseSoC finds the core and all its files, and hands them to the tool of each target."""
    told = [str(Path(sys.executable).with_name("fusesoc")), f"--cores-root={folder}", "run", "--setup"]
    told += [f"--target={target}", *(["--tool=icarus"] if target == "default" else []), "sparsehil:rtl:a_sparse_array"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(told, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"sparse_array.v", "sparse_array_axi.v"} <= made
    assert ("results.hex" in made) == (target == "sim")


def test_the_axi_bench_passes(folder: Path) -> None:
    """In the simulator that is there, with masters, sources and sinks of cocotbext-axi; and a product of one's own."""
    left, right = np.arange(15).reshape(3, 5) - 7, np.arange(20).reshape(5, 4) - 9
    np.savetxt(folder / "left.csv", left, "%d", delimiter=",")
    np.savetxt(folder / "right.csv", right, "%d", delimiter=",")
    alone = folder.parent / "alone"  # nothing of this program is there
    shutil.copytree(folder, alone)
    benched = [sys.executable, "bench/run.py", "--sim", "verilator"]
    # cocotb would take the test that goes on here for one of its own
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["MAKEFLAGS"] = "OPT_FAST=-O0"  # compiling takes longer than running
    said = {"cwd": alone, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(benched, **said)
    assert done.returncode == 0, done.stdout
    assert "TESTS=8 PASS=8 FAIL=0 SKIP=0" in done.stdout
    done = subprocess.run([*benched, "--left", "left.csv", "--right", "right.csv"], **said)
    assert done.returncode == 0, done.stdout
    for start in (0, 4):
        group = right[start : start + 4]  # a view: the smaller ones of every column become zero
        np.put_along_axis(group, np.argsort(-abs(group), axis=0, kind="stable")[2:], 0, axis=0)
    found = [line for line in done.stdout.splitlines() if re.fullmatch(r"-?\d+(,-?\d+){3}", line)]
    assert [[int(each) for each in line.split(",")] for line in found] == (left @ right).tolist()


IDLE = """
module idle;
  reg clk = 1, rst = 1;
  wire [1:0] valid;
  always #5 clk = ~clk;
  initial #60 rst = 0;
  initial #3000 begin $display("%b", valid); $finish; end
  a_sparse_array array (
    .clk(clk), .rst(rst), .run__valid(1'b0), .abort_all(1'b0), .patience(24'b0),
    .results__0__valid(valid[0]), .results__1__valid(valid[1]), .results__0__ready(1'b0), .results__1__ready(1'b0),
    .west__0__valid(1'b0), .west__1__valid(1'b0), .north__0__valid(1'b0), .north__1__valid(1'b0),
    .seeds__0__valid(1'b0), .seeds__1__valid(1'b0)
  );
endmodule
"""


def test_initial_values_are_statements_of_their_own(folder: Path) -> None:
    """In a declaration, SystemVerilog has them before any `always @*` waits, which then never runs: outputs stay X."""
    for name in SOURCES:
        assert not re.search(r"^ *reg [^;]*=", (folder / name).read_text(), re.MULTILINE)


@pytest.mark.skipif(ICARUS is None, reason="Icarus is no Python package: apt-get install iverilog")
@pytest.mark.parametrize("language", ["2005", "2005-sv", "2012"])
def test_an_idle_array_is_known_in_every_language(folder: Path, tmp_path: Path, language: str) -> None:
    (tmp_path / "idle.v").write_text(IDLE)
    run(tmp_path, "iverilog", f"-g{language}", "-o", "idle", str(folder / "sparse_array.v"), "idle.v")
    assert run(tmp_path, "vvp", "idle").splitlines()[0] == "00"


@pytest.mark.skipif(ICARUS is None, reason="Icarus is no Python package: apt-get install iverilog")
def test_the_test_bench_passes_in_icarus(folder: Path) -> None:
    run(folder, "iverilog", "-g2012", "-o", "tb", "sparse_array.v", "sparse_array_tb.v")
    assert run(folder, "vvp", "tb").startswith("PASS: 21 tiles, ")


SOURCES = ["sparse_array.v", "sparse_array_axi.v"]
FLAGS = "CFG_CXXFLAGS_PCH_I=-include"  # the wheel's makefile asks for headers it does not have


def run(folder: Path, *command: str) -> str:
    path = str(folder / command[0]) if "/" in command[0] else command[0]  # an absolute one stays
    done = subprocess.run([path, *command[1:]], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_command(simulate: Run, tmp_path: Path) -> None:
    arguments = ("verilog", "--pattern", "2:4", "--rows", "2", "--cols", "1", "--format", "int8", "--out", "v")
    code, out, err = simulate(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("v: 2:4 int8 2x1, 2 PEs; README.md says how it is used; run there:")
    text = (tmp_path / "v/sparse_array.v").read_text()
    assert text.startswith("// sparse_array: systolic array of 2 x 1 unified sparse PEs, 2:4 int8 2x1\n")
    assert "simulate verilog --pattern 2:4 --rows 2 --cols 1 --format int8 --out v" in text
    assert text.count("module sparse_array_sparse_pe(") == 1
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
        (("--block", "sor"), "--block: unknown block 'sor'; did you mean 'sore'? (known: array, linked, sore, wuve)"),
        (("--block", "sore", "--cols", "2"), "--cols: --block sore has none; it takes --pattern and --format"),
        (("--block", "linked", "--divisor", "3"), "--divisor: 3 is not possible here; it must be 4 or more"),
        (("--block", "wuve", "--optimizer", "adam"), "--optimizer: unknown optimizer 'adam'; did you mean 'adamw'?"),
        (("--prefix", "2x"), "--prefix: '2x' cannot begin a name; letters, digits and _ can, a digit not first"),
    ],
)
def test_impossible_parameters(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate("verilog", *arguments, "--out", "v")
    assert (code, out) == (2, "")
    assert err.startswith(f"simulate: {sentence}")
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    "option", ["--depth=2", "--accumulators=3", "--west-link=2", "--multiplier-latency=2", "--adder-latency=2"]
)
def test_every_option_changes_the_parameters(option: str) -> None:
    """The options' names are those of `make_parameters`; a larger array would only take longer."""
    name, _, value = option[2:].replace("-", "_").partition("=")
    usual = make_parameters(parse_pattern("2:4"), 2, 2, "int8")
    assert make_parameters(parse_pattern("2:4"), 2, 2, "int8", **{name: int(value)}) != usual
