"""The exported core: no tool warns, its bench passes and notices what is wrong, hosts agree on what is written."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rtl.commands.verilog import verilog
from rtl.core.pushing import writes
from rtl.core.registers import CoreMap
from rtl.exported.core import BENCH
from rtl.verilate import verilator_command
from tests.command import Run
from tests.rtl.core_design import ASKED, small_design, small_map

ICARUS = shutil.which("iverilog")
needs_icarus = pytest.mark.skipif(ICARUS is None, reason="Icarus is no Python package: apt-get install iverilog")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes of a core like `small_design`."""
    made = tmp_path_factory.mktemp("core") / "made"
    verilog(core=True, cols=ASKED.cols, prefix="a_", out=made)
    return made


def sources(folder: Path) -> list[str]:
    return list(json.loads((folder / "manifest.json").read_text())["sources"])


def test_verilator_has_no_warnings_though_none_is_switched_off(folder: Path) -> None:
    command, environment = verilator_command()
    asked = [*command, "--lint-only", "-Wall", "--top-module", "a_sparse_core_axi", *sources(folder)]
    done = subprocess.run(asked, cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any("verilator" in (folder / name).read_text() for name in sources(folder))


@needs_icarus
def test_icarus_has_none_either(folder: Path, tmp_path: Path) -> None:
    asked = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", str(tmp_path / "core"), *sources(folder)]
    done = subprocess.run(asked, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def benched(folder: Path, *more: str) -> tuple[int, str]:
    """Exit code and words of the bench, in a folder where nothing of this program is."""
    # cocotb would take the test that goes on here for one of its own
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["MAKEFLAGS"] = "OPT_FAST=-O0"  # compiling takes longer than running
    asked = [sys.executable, "bench/run.py", *more]
    done = subprocess.run(asked, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


@needs_icarus
def test_products_of_a_step_from_dram_to_dram(folder: Path, tmp_path: Path) -> None:
    """And a result that is not there is noticed."""
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    code, said = benched(alone, "--sim", "icarus", "--test", "programs_of_a_step")
    assert code == 0 and "PASS=1 FAIL=0" in said, said
    assert len(re.findall(r": \d+ words of results, 0 wrong", said)) == len(small_design().programs)
    results = alone / "vectors/1_results.hex"
    address, mask, value = results.read_text().splitlines()[0].split()
    lines = results.read_text().partition("\n")[2]
    results.write_text(f"{address} {mask} {int(value, 16) ^ (int(mask, 16) & -int(mask, 16)):x}\n{lines}")
    code, said = benched(alone, "--sim", "icarus", "--test", "programs_of_a_step")
    assert code == 1 and "1 words, the first at" in said


@pytest.mark.slow
@pytest.mark.parametrize("sim", ["icarus", "verilator"])
def test_the_whole_bench(folder: Path, tmp_path: Path, sim: str) -> None:
    if sim == "icarus" and ICARUS is None:
        pytest.skip("Icarus is no Python package: apt-get install iverilog")
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    code, said = benched(alone, "--sim", sim)
    assert code == 0 and "TESTS=7 PASS=7 FAIL=0 SKIP=0" in said, said


@pytest.mark.parametrize("target", ["default", "lint", "synth"])
def test_fusesoc_reads_the_core(folder: Path, tmp_path: Path, target: str) -> None:
    told = [str(Path(sys.executable).with_name("fusesoc")), f"--cores-root={folder}", "run", "--setup"]
    told += [f"--target={target}", *(["--tool=icarus"] if target == "default" else []), "sparsehil:rtl:a_sparse_core"]
    done = subprocess.run(told, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(sources(folder)) <= {path.name for path in tmp_path.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def host() -> ModuleType:
    spec = importlib.util.spec_from_file_location("host", BENCH / "host.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_host_that_has_the_manifest_alone_writes_what_ours_does(folder: Path, host: ModuleType) -> None:
    told, where = host.Host.load(folder), small_map()
    for number, program in enumerate(small_design().programs):
        pushes = host.pushes((folder / f"vectors/{number}_pushes.hex").read_text())
        theirs = [each for queue, word in pushes for each in told.writes(told.names[queue], word)]
        assert theirs == list(writes(where, program.pushes))
    assert told.word("store_words", source=1) == 1
    assert told.word("ops", active=5, slots__1=2) == 5 << told.field("ops", "active")["lowest"] | 2 << 2
    with pytest.raises(ValueError, match="more than 2 bits hold"):
        told.word("ops", slots__0=4)


def test_the_words_of_a_command_come_before_it() -> None:
    """All words of a feed come, each queue's in its order, and before a command's word those it needs elsewhere."""
    kinds = set()
    for program in small_design().programs:
        kinds |= {push.queue for push in program.pushes}
        assert program.pushes[0].queue == "ops"
        walks = {"dram": "load_walks", "sore": "sort_walks", "transposer": "turn_walks"}
        last = small_map()
        there = dict.fromkeys(walks, 0)
        for push in program.pushes:
            for engine, queue in walks.items():
                fields = {name: lowest for name, lowest, _ in _queue(last, push.queue).fields()}
                if push.queue == queue:
                    there[engine] += push.word >> fields["last"] & 1
                if push.queue == engine and not (engine == "dram" and push.word >> fields["does.store"] & 1):
                    there[engine] -= 1 - (push.word >> fields["more"] & 1 if engine == "sore" else 0)
                    assert there[engine] >= 0 or (engine == "sore" and push.word >> fields["more"] & 1)
        assert set(there.values()) == {0}
    assert kinds == {queue.name for queue in small_map().queues} - {"wuve", "constants"}  # of updates


def _queue(where: CoreMap, name: str) -> object:
    return next(each for each in where.queues if each.name == name)


def test_results_are_noticed_in_every_bit_that_counts() -> None:
    program = small_design().programs[0]
    memory = np.zeros(1 << 12, np.uint64)
    address, mask, value = program.results.T
    memory[address // 8] = value | ~mask
    assert program.wrong(memory) == 0
    memory[address[3] // 8] ^= mask[3] & (~mask[3] + np.uint64(1))
    assert program.wrong(memory) == 1


def test_the_command_writes_over_nothing_unasked(simulate: Run, folder: Path) -> None:
    assert (folder / "a_sparse_core_axi.v").read_text().startswith("// a_sparse_core_axi: core with 4 x 2 unified")
    code, _, err = simulate("verilog", "--core", "--out", str(folder))
    assert code == 2 and err.endswith("made is there already; give another folder, or --force to write over it\n")
    (folder / "a_sparse_core_mine.v").write_text("mine")
    code, _, err = simulate("verilog", "--core", "--out", str(folder), "--force")
    assert code == 2 and "holds 'a_sparse_core_mine.v', which this program did not write" in err
    (folder / "a_sparse_core_mine.v").unlink()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--core", "--sore"), "--sore: a core has SORE lanes anyway; --core takes rows and columns"),
        (("--core", "--block", "linked"), "--block: says nothing about a core"),
        (("--west-kib", "2"), "--west-kib: this is for --core, and it is not given"),
        (("--core", "--west-kib", "0"), "--west-kib: 0 is not possible here; it must be 0.25 to 1024"),
        (
            ("--core", "--queue-depth", "5"),
            "--queue-depth: 5 is not possible here; it must be a power of two, 4 to 32768",
        ),
        (("--core", "--rows", "6"), "core: "),
        (("--core", "--format", "int8"), "--format: a core multiplies fp16 or bf16, not int8"),
        (("--core", "--format", "fp8"), "--format: a core multiplies fp16 or bf16, not fp8"),
        (("--core", "--prefix", "2x"), "--prefix: '2x' cannot begin a name"),
    ],
)
def test_impossible_cores(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate("verilog", *arguments, "--out", "v")
    assert (code, out) == (2, "")
    assert err.startswith(f"simulate: {sentence}"), err
    assert not (tmp_path / "v").exists()
