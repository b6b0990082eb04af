"""`simulate study accuracy`: what it leaves, that it goes on where it was stopped, and its refusals."""

import fcntl
import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.command import Run
from workloads.errors import UserError
from workloads.training import study
from workloads.training.settings import Settings

TINY = ("--model", "resnet9", "--width", "0.1", "--image", "8", "--batch", "8", "--limit", "24", "--steps", "4")
TWO = (*TINY, "--seeds", "2", "--method", "dense", "--method", "bdwp", "--pattern", "2:4", "--pattern", "1:8")
NAMES = ["bdwp-1of8-seed0", "bdwp-1of8-seed1", "bdwp-2of4-seed0", "bdwp-2of4-seed1", "dense-seed0", "dense-seed1"]


def run(simulate: Run, *arguments: str) -> str:
    code, out, err = simulate("study", "accuracy", *arguments)
    assert (code, err) == (0, "")
    return out


def test_a_study_leaves_table_picture_and_every_run(simulate: Run, tmp_path: Path) -> None:
    out = run(simulate, *TWO, "--out", "s")
    assert "run 6 of 6: bdwp-1of8-seed1" in out and "intervals: 95 %" in out
    assert sorted(path.stem for path in (tmp_path / "s/runs").iterdir()) == NAMES
    runs = pd.read_csv(tmp_path / "s/runs.csv")
    assert list(runs.columns) == ["method", "pattern", "seed", "right", "tested", "steps", "seconds", "accuracy"]
    assert len(runs) == 6 and set(runs["pattern"]) == {"dense", "2:4", "1:8"} and set(runs["tested"]) == {24}
    table = pd.read_csv(tmp_path / "s/accuracy.csv")
    assert list(table["runs"]) == [2, 2, 2]
    for row in table.to_dict("records"):
        mine = runs[(runs["method"] == row["method"]) & (runs["pattern"] == row["pattern"])]
        assert row["accuracy"] == pytest.approx(mine["accuracy"].mean(), abs=1e-3)
    assert (tmp_path / "s/accuracy.png").stat().st_size > 5000 and (tmp_path / "s/accuracy.svg").exists()
    assert "Made by `simulate study accuracy --model resnet9" in (tmp_path / "s/README.md").read_text()


def test_a_finished_study_trains_nothing_and_may_grow(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(simulate, *TWO, "--out", "s")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s/runs").iterdir()}
    assert "run 1 of" not in run(simulate, *TWO, "--out", "s")
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "s/runs").iterdir()}
    out = run(simulate, *TWO, "--method", "sdgp", "--out", "s")
    assert out.count("test accuracy ") == 4 + 1  # four new runs, and the table's head
    monkeypatch.setattr(study, "start_run", lambda *_: pytest.fail("all of these are there"))
    run(simulate, *TWO, "--method", "sdgp", "--out", "s")


def test_a_killed_study_goes_on_with_the_same_results(simulate: Run, tmp_path: Path) -> None:
    words = ("study", "accuracy", *TWO, "--out", "killed")
    program = "import sys; from simulator.command.start import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("run 3 of 6"):
                process.send_signal(signal.SIGKILL)
                break
    done = sorted(path.name for path in (tmp_path / "killed/runs").glob("*.json"))
    assert 2 <= len(done) < 6
    run(simulate, *TWO, "--out", "killed")
    run(simulate, *TWO, "--out", "whole")
    for name in NAMES:
        one, other = (json.loads((tmp_path / at / f"runs/{name}.json").read_text()) for at in ("killed", "whole"))
        assert (one["test_right"], one["steps"]) == (other["test_right"], other["steps"])
    assert sorted(path.stem for path in (tmp_path / "killed/runs").iterdir()) == NAMES


def test_a_run_that_another_process_trains_is_left_to_it(simulate: Run, tmp_path: Path) -> None:
    run(simulate, *TWO, "--out", "s")
    (tmp_path / "s/runs/dense-seed1.json").unlink()
    with (tmp_path / "s/runs/dense-seed1.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "1 of 6 runs are still trained by another process" in run(simulate, *TWO, "--out", "s")
    assert "dense-seed1: test accuracy" in run(simulate, *TWO, "--out", "s")


def test_a_run_has_a_lock_of_its_own_which_goes_with_its_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def failing(*_: object) -> None:
        seen.append([path.name for path in (tmp_path / "runs").iterdir()])
        raise UserError("the loss is not a number")

    monkeypatch.setattr(study, "start_run", failing)
    for cell in study.cells(["bdwp"], ["layer3.*=1:8"], 2):
        with pytest.raises(UserError, match="the loss is not a number"):
            next(study.work_off(tmp_path, Settings("resnet9", "bdwp"), [cell], lambda *_: lambda *_: None))
    assert seen == [[f"bdwp-layer3.*=1of8-seed{seed}.lock"] for seed in (0, 1)]
    assert not list((tmp_path / "runs").iterdir())


def test_data_and_width_change_the_study(simulate: Run, tmp_path: Path) -> None:
    out = run(simulate, *TINY, "--seeds", "2", "--method", "dense", "--lr", "0.3", "--weight-decay", "0", "--out", "s")
    assert "resnet9 at width 0.1 on digits of scikit-learn, 24 of 1437 images of 8x8, at 8x8, 4 steps of 8" in out
    found = json.loads((tmp_path / "s/runs/dense-seed0.json").read_text())
    assert (found["settings"]["learning_rate"], found["settings"]["weight_decay"]) == (0.3, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seeds", "1"), "--seeds 1: a spread needs at least 2, and 1000 are enough"),
        (("--method", "bdvp"), "unknown method 'bdvp'; did you mean 'bdwp'?"),
        (("--pattern", "9:8"), "9:8"),
        (("--model", "resnet99"), "unknown model 'resnet99'; did you mean 'resnet"),
        (("--method", "bimask", "--pattern", "bank 4:64"), "method 'bimask': pattern 'bank 4:64' cannot be trained"),
        (("--epochs", "2"), "--epochs and --steps: give one of them"),
    ],
)
def test_mistakes_are_found_before_the_first_run(
    simulate: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = simulate("study", "accuracy", *TWO, *arguments, "--out", "s")
    assert code == 2 and said in err and err.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_folder_keeps_to_one_study(simulate: Run, tmp_path: Path) -> None:
    run(simulate, *TINY, "--seeds", "2", "--method", "dense", "--out", "s")
    code, _, err = simulate("study", "accuracy", *TWO, "--lr", "0.5", "--out", "s")
    assert code == 2 and "a study is there whose learning_rate is None, not 0.5; repeat its options to go on" in err
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").write_text("mine")
    code, _, err = simulate("study", "accuracy", *TWO, "--out", "other")
    assert code == 2 and "holds something that is not a study; it is left alone" in err


def test_a_broken_record_is_named(simulate: Run, tmp_path: Path) -> None:
    study = (*TINY, "--seeds", "2", "--method", "dense", "--out", "s")
    run(simulate, *study)
    path, common = tmp_path / "s/runs/dense-seed0.json", tmp_path / "s/study.json"
    whole, described = json.loads(path.read_text()), json.loads(common.read_text())
    other = json.loads((tmp_path / "s/runs/dense-seed1.json").read_text())
    (tmp_path / "s/runs.csv").unlink()
    for text, said in (
        ("{", "dense-seed0.json:1: the record of a run is JSON"),
        (json.dumps({**whole, "schema": 2}), "this has version 2, and this program reads 1"),
        (json.dumps({**whole, "steps": "4"}), "steps: input should be a valid integer"),
        (json.dumps({**whole, "seconds": None}), "seconds: input should be a valid number"),
        (json.dumps({**whole, "test_right": 10**6}), "is not what a run can have"),
        (json.dumps({key: value for key, value in whole.items() if key != "settings"}), "settings: field required"),
        (json.dumps(other), "settings: are those of another run than dense-seed0"),
    ):
        path.write_text(text)
        code, _, err = simulate("study", "accuracy", *study)
        assert code == 2 and said in err and err.endswith("; remove dense-seed0.json to train this run again\n")
    for text in ("{", json.dumps({"schema": 1}), json.dumps({**described, "settings": {"model": 3}})):
        common.write_text(text)
        code, _, err = simulate("study", "accuracy", *study)
        assert code == 2 and "s/study.json" in err and err.count("\n") == 1
    assert not (tmp_path / "s/runs.csv").exists()


def test_a_study_keeps_what_somebody_else_put_beside_a_run(simulate: Run, tmp_path: Path) -> None:
    study = (*TINY, "--seeds", "2", "--method", "dense", "--out", "s")
    run(simulate, *study)
    cell, record = tmp_path / "s/runs/dense-seed0", tmp_path / "s/runs/dense-seed0.json"
    train = ("--method", "dense", "--seed", "0", "--out", str(cell))
    assert simulate("train", *TINY, *train)[0] == 0
    (cell / "thesis.tex").write_text("mine")
    record.unlink()
    run(simulate, *study)
    assert record.exists() and [path.name for path in cell.iterdir()] == ["thesis.tex"]
