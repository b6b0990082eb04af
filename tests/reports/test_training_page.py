"""The page of a training run on a backend: what it says is what the run's files say, and damaged ones are refused."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.figures.training import POINTS, WINDOW, training_figure
from reports.operations import operations, share_of_backend
from reports.training_page import page_of_training
from tests.command import Run
from tests.reports.test_page import Structure
from workloads.op import MatrixOp, VectorKind, VectorOp
from workloads.training.finished import Finished, read_finished
from workloads.training.run import start_run
from workloads.training.settings import Settings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "r"
    start_run(Settings("mlp", "bdwp", ("2:8",), batch=32, steps=12, on="golden"), folder, lambda *_: None)
    return folder


@pytest.fixture(scope="module")
def run(made: Path) -> Finished:
    return read_finished(made)


def test_the_page_says_what_the_files_say(simulate: Run, tmp_path: Path, made: Path) -> None:
    shutil.copytree(made, tmp_path / "r")
    code, out, err = simulate("report", "r", "--figures", "figures")
    assert (code, err) == (0, "") and out.startswith("page: r.html (0.")
    text = (tmp_path / "r.html").read_text()
    found = Structure(text)
    assert found.headings == ["Result", "Figures", "Who computes what", "Run card"] and found.figures == 1
    assert all(link.removeprefix("#") in found.ids for link in found.links)
    assert not [each for each in found.addresses if not each.startswith("#")] and "var(--grid)" in text
    told = json.loads((made / "result.json").read_text())
    assert f"{told['test_right']} of 360 test examples are right, {told['test_accuracy']:.2%}" in text
    assert f"the same run in torch has {told['torch']['test_accuracy']:.2%}. No step was left out" in text
    assert "This backend has no clock" in text and "cycles of a step" not in text.lower()
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        *("backend.csv", "operations.csv", "training.csv", "training.png", "training.svg"),
    ]
    assert (tmp_path / "figures/backend.csv").read_text() == (made / "backend.csv").read_text()
    log, shown = (pd.read_csv(path) for path in (made / "log.csv", tmp_path / "figures/training.csv"))
    pd.testing.assert_frame_equal(log, shown, check_dtype=False)


def test_its_command_gives_the_run_again(simulate: Run, tmp_path: Path, run: Finished, made: Path) -> None:
    words = shlex.split(run.command)
    assert words[:2] == ["simulate", "train"]
    code, _, err = simulate(*words[1:], "--out", "again")
    assert (code, err) == (0, "")
    for name in ("weights.safetensors", "log.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()


def test_operations_count_what_is_kept_and_every_element_once(run: Finished) -> None:
    table = operations(run.step).set_index("what")["operations"]
    assert table["products of FF"] == 32 * (16 * 128 + 128 * 10)
    assert table["products of WU"] == 32 * (64 * 128 + 128 * 10)
    assert table["products of BP"] == 32 * 128 * 10 and table["updates"] == 9610
    elements = sum(op.elements for op in run.step.ops if isinstance(op, VectorOp) and op.kind is not VectorKind.UPDATE)
    done = table[["products of FF", "products of WU", "products of BP", "updates"]].sum()
    assert table.sum() == done + elements
    assert share_of_backend(operations(run.step)) == done / (done + elements)
    empty = operations(replace(run.step, ops=()))
    assert len(empty) == 0 and share_of_backend(empty) == 0
    assert any(isinstance(op, MatrixOp) and str(op.right.pattern) == "2:8" for op in run.step.ops)


def test_with_a_clock_there_are_cycles(run: Finished) -> None:
    log = [{**row, "cycles": 1000.0 + number} for number, row in enumerate(run.log)]
    cycles = sum(row["cycles"] for row in log)
    text = page_of_training(replace(run, log=log, backend=replace(run.backend, cycles=cycles)))
    assert "A step takes 1,006 cycles, the median of all (1,000 to 1,011)." in text
    assert "clock cycles of a step" in [axes.get_ylabel() for axes in training_figure(pd.DataFrame(log), "core").axes]


def test_a_run_alone_has_nothing_beside_it(run: Finished) -> None:
    log = [{name: each for name, each in row.items() if not name.startswith("torch")} for row in run.log]
    text = page_of_training(replace(run, log=log, told=replace(run.told, torch=None)))
    assert "torch has" not in text and "in torch" not in text
    lines = training_figure(pd.DataFrame(log), "golden").axes[0].get_lines()
    assert len(lines) == 2


def test_a_long_run_is_drawn_with_few_points_that_are_its_means() -> None:
    steps = np.arange(1, 5001)
    log = pd.DataFrame({"step": steps, "loss": 1.0 * steps, "accuracy": 0.5, "cycles": 0.0, "left_out": 0})
    faint, mean = training_figure(log, "golden").axes[0].get_lines()
    assert len(np.asarray(faint.get_xdata())) <= POINTS and len(np.asarray(mean.get_xdata())) <= POINTS
    np.testing.assert_allclose(faint.get_xdata(), faint.get_ydata())
    middle = np.asarray(mean.get_ydata())[WINDOW:-WINDOW] - np.asarray(mean.get_xdata())[WINDOW:-WINDOW]
    assert np.abs(middle).max() <= 1


def changed(name: str, change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        node = json.loads((folder / name).read_text())
        change(node)
        (folder / name).write_text(json.dumps(node))

    return make


def settings(**fields: object) -> Callable[[Path], None]:
    return changed("run.json", lambda node: node["settings"].update(fields))  # type: ignore[attr-defined]


DAMAGED: list[tuple[Callable[[Path], object], str]] = [
    (lambda r: (r / "result.json").unlink(), "r: this run has not come to its end; go on with simulate train --resume"),
    (settings(on="", loss_scale=None), "r: is a training run in torch alone; pages are of runs on a backend (--on)"),
    (changed("result.json", lambda node: node.pop("backend")), "r/result.json: says nothing of a backend, and"),
    (changed("result.json", lambda node: node.update(steps=0)), "r/result.json: says nothing of a backend, and"),
    (changed("result.json", lambda node: node.update(schema=2)), "r/result.json: schema: this has version 2"),
    (
        changed("result.json", lambda node: node.update(test_accuracy=7)),
        "r/result.json: test_accuracy: input should be",
    ),
    (changed("result.json", lambda node: node.update(backend={"name": "x"})), "r/result.json: backend.steps_left_out:"),
    (lambda r: (r / "result.json").write_text("{"), "r/result.json:1: the result of a training run is JSON"),
    (lambda r: (r / "log.csv").write_text("step\n"), "r/log.csv:1: this line does not name the columns of a log"),
    (lambda r: (r / "step-000001.json").unlink(), "r/step-000001.json: cannot be read: No such file"),
    (lambda r: (r / "step-000001.json").write_text("[]"), "r/step-000001.json: "),
    (lambda r: (r / "backend.csv").write_text("a,b\n1,2,3\n"), "r/backend.csv: a line has more cells than there are"),
    (
        lambda r: (r / "backend.csv").write_bytes(b"\xff\xfe"),
        "r/backend.csv: is not a text file; a table of ops is CSV",
    ),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGED)
def test_a_damaged_run_is_refused(
    simulate: Run, tmp_path: Path, made: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(Path(shutil.copytree(made, tmp_path / "r")))
    code, out, err = simulate("report", "r")
    assert (code, out) == (2, "") and err.startswith(f"simulate: {said}") and err.count("\n") == 1
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("r", "r"), "r: is a training run; each has a page of its own"),
        (("r", "--band"), "--band: is of a simulated step, and this is a training run"),
    ],
)
def test_mistakes(simulate: Run, tmp_path: Path, made: Path, arguments: tuple[str, ...], said: str) -> None:
    shutil.copytree(made, tmp_path / "r")
    code, _, err = simulate("report", *arguments)
    assert code == 2 and err == f"simulate: {said}\n"
