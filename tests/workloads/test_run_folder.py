"""The folder of a run: only the run's own files go, only one process trains in it, and its settings are whole."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from workloads.errors import UserError
from workloads.training.run_folder import (
    LATER,
    NAME,
    RESULT,
    check_resumable,
    check_run_folder,
    held,
    new_run,
    owned,
    read_settings,
)
from workloads.training.settings import Settings, check_here

SETTINGS = Settings("resnet9", "bdwp", ("2:8",), steps=3, batch=8, learning_rate=0.1, optimizer="adamw")
OWN = [
    *("run.json", "log.csv", "checkpoint.json", "checkpoint-000012.safetensors", "step-000001.json"),
    *("step-000001.safetensors", "weights.safetensors", "result.json", "backend.csv"),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with new_run(tmp_path / "run", SETTINGS, force=False):
        pass
    for name in (*OWN[1:], ".log.csv.aB-_9012.partial"):
        (tmp_path / "run" / name).write_text("old")
    return tmp_path / "run"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_older_run_is_exchanged_for_the_new_one(run: Path) -> None:
    with new_run(run, Settings("resnet18", "dense"), force=True):
        assert [path.name for path in run.iterdir()] == [NAME]
        with pytest.raises(UserError, match="another process is training there"), held(run):
            pass
    assert read_settings(run).model == "resnet18" and [path.name for path in run.parent.iterdir()] == ["run"]


@pytest.mark.parametrize(
    "name", ["thesis.tex", "sub/log.csv", "checkpoint-best.safetensors", "step-1.json", ".thesis.tex.aaaaaaaa.partial"]
)
def test_a_folder_with_a_file_of_somebody_else_is_left_as_it_is(run: Path, name: str) -> None:
    assert all(map(owned, OWN)) and not owned(name)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("mine")
    before = content(run.parent)
    with pytest.raises(UserError, match=r"which this program did not write; it is left alone$"):
        new_run(run, SETTINGS, force=True).__enter__()
    assert content(run.parent) == before


def test_a_link_in_a_run_or_to_one_is_left_as_it_is(run: Path) -> None:
    (run.parent / "link").symlink_to(run)
    (run / "log.csv").unlink()
    (run / "log.csv").symlink_to("/etc/hostname")
    before = content(run.parent)
    with pytest.raises(UserError, match=r"holds 'log\.csv'"):
        check_run_folder(run, force=True)
    with pytest.raises(UserError, match="is a link; name the folder itself"):
        new_run(run.parent / "link", SETTINGS, force=True).__enter__()
    assert content(run.parent) == before


def test_what_only_looks_like_a_run_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/weights.safetensors").write_text("mine")
    with pytest.raises(UserError, match="holds something that is not a training run; it is left alone"):
        check_run_folder(tmp_path / "mine", force=True)
    monkeypatch.chdir(tmp_path / "mine")
    (tmp_path / "mine/run.json").write_text("{}")
    with pytest.raises(UserError, match=r"--out \.: is a folder by its place alone; name it"):
        check_run_folder(Path(), force=True)


def test_a_run_that_is_held_keeps_its_folder(run: Path) -> None:
    (run / RESULT).unlink()
    before = content(run)
    with held(run):
        with pytest.raises(UserError, match="run: another process is training there"):
            new_run(run, SETTINGS, force=True).__enter__()
        with pytest.raises(UserError, match="run: another process is training there"):
            check_resumable(run)
    assert content(run) == before
    (run / NAME).unlink()
    os.mkfifo(run / NAME)
    with pytest.raises(UserError, match=r"run\.json: is not a regular file"):
        held(run).__enter__()


def test_of_several_that_begin_at_once_one_trains(run: Path) -> None:
    begun, all_there, done = [], threading.Barrier(4), threading.Event()

    def train() -> None:
        all_there.wait()
        try:
            with held(run):
                begun.append("trains")
                done.wait(60)
        except UserError as error:
            begun.append(str(error).partition(": ")[2])

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(6000):
        if len(begun) == 4:
            break
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(begun) == ["another process is training there"] * 3 + ["trains"]


def edits(node: dict[str, object]) -> Iterator[dict[str, object]]:
    """The node without each of its fields, and with each of another type."""
    for key, value in node.items():
        yield {name: each for name, each in node.items() if name != key}
        for other in ({}, [0.5], *([] if value is None else ["x", 1.5, True])):
            if type(other) is not type(value) or other == [0.5]:
                yield {**node, key: other}


def lacks_later(node: dict[str, object]) -> bool:
    """Whether settings lack a field that runs begun before it do not have."""
    return any(name not in node for name in LATER)


def test_settings_that_lack_a_field_or_have_another_type_are_refused(run: Path) -> None:
    assert read_settings(run) == SETTINGS
    settings = json.loads(json.dumps(asdict(SETTINGS)))
    for edited in (
        *({"schema": 1, "settings": each} for each in edits(settings) if not lacks_later(each)),
        *edits({"schema": 1, "settings": settings}),
    ):
        (run / NAME).write_text(json.dumps(edited))
        with pytest.raises(UserError, match=r"run|--"):
            read_settings(run)


def test_where_the_current_folder_is_gone_torch_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UserError, match="the current folder is not there any more"):
        check_here()


def test_a_run_that_was_begun_before_backends_is_read(run: Path) -> None:
    node = json.loads((run / NAME).read_text())
    for name in LATER:
        del node["settings"][name]
    (run / NAME).write_text(json.dumps(node))
    assert read_settings(run) == SETTINGS
    del node["settings"]["device"]
    (run / NAME).write_text(json.dumps(node))
    with pytest.raises(UserError, match=r"settings\.device: is missing"):
        read_settings(run)
