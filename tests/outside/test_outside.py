"""What other distributions add: one file and one line each, used by every command; a broken one does no harm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CODE = "from simulator.command.start import main; main()"
SMALL = ("--set", "rtl.rows=2", "--set", "rtl.cols=2", "--set", "rtl.format=int8")


def installed(name: str, place: Path) -> Path:
    """A distribution of this folder, installed into a place of its own."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*install, "--target", str(place), str(HERE / name)], check=True)
    return place


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed("example", tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed("broken", tmp_path_factory.mktemp("broken"))


def simulate(place: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process that sees the distributions in a place."""
    environment = {**os.environ, "PYTHONPATH": str(place)}
    command = [sys.executable, "-c", CODE, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def shown(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
    return " ".join(done.stdout.split())


def test_a_kind_of_machine_and_its_compiler(example: Path, tmp_path: Path) -> None:
    step = ("--arch", "turnstile", "--pattern", "2:8", "--model", "resnet9", "--batch", "4")
    said = shown(simulate(example, tmp_path, *step, "--out", "r"))
    assert "on turnstile (a hall with turnstiles)" in said and "machine turnstile (turnstile 1.2)" in said
    assert "looking for a coin" in said  # a stall that only this compiler has
    card = json.loads((tmp_path / "r/card.json").read_text())
    assert card["outside"]["machine turnstile"] == card["outside"]["compiler turnstile"] == "turnstile 1.2"
    node = json.loads(shown(simulate(example, tmp_path, *step, "--json", "--option", "discount=0.5")))
    assert node["ops"][0]["stall_cycles"] == {"coin": 5}
    shown(simulate(example, tmp_path, "report", "r"))
    assert "looking for a coin" in (tmp_path / "r.html").read_text()
    assert "queues in front of the gates" in (tmp_path / "r.html").read_text()
    shown(simulate(example, tmp_path, *step, "--exact", "--out", "e"))
    swept = simulate(example, tmp_path, "sweep", "--arch", "turnstile", "--grid", "gates=32,64", "--model", "resnet9",
                     "--pattern", "2:8", "--batch", "4", "--jobs", "1", "--report", "--out", "s")  # fmt: skip
    assert "2 points: 2 run" in swept.stdout and (tmp_path / "s/sweep.html").exists()
    wrong = simulate(example, tmp_path, *step, "--option", "discuont=1")
    assert wrong.returncode == 2 and "did you mean 'discount'?" in wrong.stderr


def test_a_dataflow(example: Path, tmp_path: Path) -> None:
    step = ("--pattern", "2:8", "--model", "resnet18", "--batch", "4", "--dataflow", "tall")
    said = shown(simulate(example, tmp_path, *step))
    assert "dataflow tall (turnstile 1.2)" in said
    done = simulate(example, tmp_path, *step, *SMALL, "--hil", "sim", "--hil-tiles", "3", "--json")
    assert done.returncode == 0, done.stderr
    tiles = json.loads(done.stdout)["hil"]["tile_rows"]
    assert {(tile["dataflow"], tile["status"]) for tile in tiles} == {("tall", "confirmed")}
    assert "tall" in shown(simulate(example, tmp_path, "list", "dataflows")).split()


def test_a_method_and_a_model(example: Path, tmp_path: Path) -> None:
    step = ("--model", "tiny-net", "--pattern", "2:8", "--method", "forward-only")
    said = shown(simulate(example, tmp_path, *step))
    assert "method forward-only (turnstile 1.2)" in said and "model tiny-net (turnstile 1.2)" in said
    assert "2:8, on sat" in said
    training = ("--dataset", "digits", "--steps", "2", "--image", "16", "--batch", "8", "--out", "t")
    done = simulate(example, tmp_path, "train", *step, *training)
    assert done.returncode == 0 and "test accuracy" in done.stdout, done.stderr
    assert "pruned in the forward pass alone" in shown(simulate(example, tmp_path, "show", "forward-only"))


def test_a_study(example: Path, tmp_path: Path) -> None:
    assert "64 gates: " in shown(simulate(example, tmp_path, "study", "gates", "--model", "resnet9"))
    assert "gates How a step takes longer with fewer gates." in shown(simulate(example, tmp_path, "study", "--help"))


def test_parts_that_cannot_be_loaded_are_named_and_the_rest_goes_on(broken: Path, tmp_path: Path) -> None:
    step = ("--model", "resnet9", "--pattern", "2:8", "--batch", "4")
    done = simulate(broken, tmp_path, *step)
    assert done.returncode == 0 and "Speed-up" in done.stdout
    assert done.stderr.startswith("simulate: note: dataflow 'tangle' of broken-parts 0.3 cannot be loaded: ImportError")
    assert done.stderr.count("\n") == 1
    listed = simulate(broken, tmp_path, "list", "methods")
    assert listed.returncode == 0 and "bdwp decay=0.0" in listed.stdout and "method 'muddle' of" in listed.stderr
    assert simulate(broken, tmp_path, "--help").returncode == 0
    for command in (("fail",), (*step, "--method", "muddle"), (*step, "--arch", "wreck")):
        failed = simulate(broken, tmp_path, *command)
        assert failed.returncode == 2 and failed.stderr.count("\n") == 1
        assert "of broken-parts 0.3 cannot be loaded: ImportError" in failed.stderr
    chaos = simulate(broken, tmp_path, "--model", "chaos", "--pattern", "2:8")
    assert (chaos.returncode, chaos.stderr) == (
        2, "simulate: model 'chaos' of broken-parts 0.3 cannot be loaded: KeyError: 'chaos'\n"
    )  # fmt: skip
    trap = simulate(broken, tmp_path, "--model", "trap", "--pattern", "2:8")
    assert (trap.returncode, trap.stderr) == (
        2, "simulate: model 'trap' of broken-parts 0.3 cannot be made: ValueError: not today\n"
    )  # fmt: skip
