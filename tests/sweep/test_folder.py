"""A sweep's folder when something in it is not as it was left, and sweeps that end early or give nothing."""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from reports.sweep_data import sweep_rows
from simulator.job import Job, Source
from simulator.sweep import points
from simulator.sweep.store import PointError, Store
from tests.command import Run
from tests.sweep.test_sweep import started
from workloads.errors import UserError
from workloads.files.limits import SENTENCE_LETTERS
from workloads.work import Work

ROW = {"key": "a", "model": "resnet9", "batch": 4, "cycles": 5, "seconds": 0.5}
POINT = ("sweep", "--model", "resnet9", "--pattern", "2:8", "--batch", "4", "--jobs", "1", "--out", "s")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "it's [odd] *?\"")
    made.open()
    made.write("abc", [ROW])
    return made


def other_columns(**columns: object) -> Callable[[Path], object]:
    return lambda path: parquet.write_table(pyarrow.table({k: [v] for k, v in {**ROW, **columns}.items()}), path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is not a whole table"),
        (lambda path: path.write_bytes(b"PAR1"), "is not a whole table"),
        (lambda path: path.write_bytes(b""), "is not a whole table"),
        (lambda path: path.unlink() or path.mkdir(), "is a folder"),
        (lambda path: path.unlink() or os.mkfifo(path), "is not a regular file"),
        (other_columns(key=7), "key: row 0 holds 7, which is no text"),
        (other_columns(cycles="many"), "cycles: row 0 holds 'many', which is no number"),
        (other_columns(cycles=None), "cycles: row 0 holds None, which is no number"),
        (other_columns(more=[1, 2]), "a column of lists is not read"),
        (other_columns(more=b"x"), "more: holds b'x', which no row of a sweep has"),
        (lambda path: parquet.write_table(pyarrow.table({"key": ["a"]}), path), "has no column 'cycles'"),
    ],
)
def test_a_damaged_bucket_is_named(store: Store, damage: Callable[[Path], object], said: str) -> None:
    path = store.folder / "points" / "abc.parquet"
    damage(path)
    for read in (lambda: store.rows("abc"), lambda: sweep_rows(store.folder)):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)


def test_a_page_needs_what_every_row_has(store: Store) -> None:
    store.write("abc", [{"key": "a", "cycles": 5}])
    with pytest.raises(UserError, match=r"abc\.parquet: has no column 'batch'"):
        sweep_rows(store.folder)
    store.write("abc", [{**ROW, "seconds": float("inf")}])
    with pytest.raises(UserError, match=r"abc\.parquet: seconds: holds a number that is not finite"):
        sweep_rows(store.folder)
    with pytest.raises(UserError, match="holds no finished point"):
        sweep_rows(store.folder / "points")


def test_a_page_reads_no_further_than_its_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last file is none; those before it make a table of 5 rows and 7 columns."""
    store.write("abd", [ROW, ROW])
    store.write("abe", [{**ROW, "more": 1}, {**ROW, "last": 1}])
    (store.folder / "points" / "abf.parquet").write_bytes(b"none")
    monkeypatch.setattr("reports.sweep_data.TABLE_VALUES", 34)
    with pytest.raises(UserError, match="holds more than 34 values, which is the most that a page is made of"):
        sweep_rows(store.folder)
    monkeypatch.setattr("reports.sweep_data.TABLE_VALUES", 35)
    with pytest.raises(UserError, match=r"abf\.parquet: is not a whole table"):
        sweep_rows(store.folder)


def test_rows_of_one_bucket_may_differ_in_their_fields(store: Store) -> None:
    """Points of unlike settings can share a bucket, and null stands beside a number."""
    store.write("abc", [ROW, {"key": "b", "dram.channels": "null", "cycles": 1}])
    store.write("abc", [*store.rows("abc"), {"key": "c", "dram.channels": 2, "cycles": 2.5}])
    assert [(row["key"], row.get("dram.channels"), row["cycles"]) for row in store.rows("abc")] == [
        ("a", None, 5.0),
        ("b", "null", 1.0),
        ("c", "2", 2.5),
    ]
    names = list(store.rows("abc")[1])
    assert names.index("dram.channels") < names.index("cycles")


def test_what_a_killed_process_left_is_taken_away(store: Store) -> None:
    halves = [store.folder / "points" / ".abc.parquet.abcdefgh.partial", store.folder / ".sweep.json.abcdefgh.partial"]
    for half in halves:
        half.write_bytes(b"half")
    store.open()
    store.describe({})
    assert not any(half.exists() for half in halves) and len(store.rows("abc")) == 1


@pytest.mark.parametrize("name", ["points", "errors", "locks", "sweep.json"])
def test_a_sweep_writes_through_no_link(simulate: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "s" / name).symlink_to("../other")
    said = f"simulate: s/{name}: is a link, and a sweep writes into its own folder alone\n"
    assert simulate(*POINT) == (2, "", said)
    assert [path.name for path in (tmp_path / "s").iterdir()] == [name] and not list((tmp_path / "other").iterdir())


def test_a_lock_is_no_link(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (store.folder / "locks" / "abc").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="locks/abc: cannot be locked: Too many levels of symbolic links"):
        store.claim("abc")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_folder_that_cannot_be_a_sweeps(tmp_path: Path, simulate: Run) -> None:
    (tmp_path / "s").write_text("mine")
    assert "s/points: cannot be made: a file has its name, or that of a folder" in simulate(*POINT)[2]
    (tmp_path / "s").unlink()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sweep.json").write_text('{"mine": true}')
    code, out, err = simulate(*POINT)
    assert (code, out) == (2, "") and "s/sweep.json: version: field required" in err
    assert (tmp_path / "s" / "sweep.json").read_text() == '{"mine": true}'
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["sweep.json"]
    (tmp_path / "s" / "sweep.json").write_text("[" * 5000)
    assert "s/sweep.json: is nested too deeply" in simulate("sweep", "--report", "--out", "s")[2]


def test_a_lock_that_cannot_be_had_is_said(store: Store) -> None:
    (store.folder / "locks" / "abc").mkdir()
    with pytest.raises(UserError, match="locks/abc: cannot be locked: Is a directory"):
        store.claim("abc")


def test_an_odd_error_is_said(store: Store) -> None:
    store.fail(PointError("k", "sat resnet9", "no room"))
    assert (
        store.failed("k") and not store.failed("l") and store.errors() == (1, PointError("k", "sat resnet9", "no room"))
    )
    (store.folder / "errors" / "k.json").write_text('{"key": "k"')
    with pytest.raises(UserError, match=r"errors/k\.json:1: .*; take it away to have its points run again"):
        store.errors()
    os.mkfifo(store.folder / "errors" / "l.json")
    with pytest.raises(UserError, match=r"l\.json: is not a regular file"):
        store.failed("l")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "has not the memory that the point takes"),
        (RecursionError("too deep"), "fault of the program: RecursionError: too deep"),
        (OverflowError(), "do not fit 64 bits"),
        (UserError("a word, " * 1000), " ... "),
    ],
)
def test_whatever_ends_a_point_becomes_its_error(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def failing(_: Job) -> None:
        raise error

    monkeypatch.setattr(points, "_prepared", failing)
    (row,) = points.evaluate([Job(Source("sat"), Work(model="resnet9"))])
    assert said in str(row["error"]) and len(str(row["error"])) <= SENTENCE_LETTERS + 5


def test_a_sweep_without_one_good_point_ends_with_exit_code_2(simulate: Run) -> None:
    for said in ("1 points: 0 run, 0 there already, 1 failed, 0 left", "1 points: 0 run, 1 there already, 0 left"):
        code, out, err = simulate(*POINT, "--grid", "dram.capacity_gib=0.001")
        assert code == 2 and said in out
        assert "none of 1 points could be run (--retry runs them again), the first: sat resnet9 2:8 batch=4 dram" in err


def test_errors_of_other_sweeps_in_the_folder_are_not_told(simulate: Run) -> None:
    assert simulate(*POINT, "--grid", "dram.capacity_gib=0.001,0.002")[0] == 2
    code, out, _ = simulate(*POINT)
    assert (code, out) == (0, "1 points: 1 run, 0 there already, 0 left; rows in s/points/*.parquet\n")
    code, out, _ = simulate(*POINT, "--grid", "dram.capacity_gib=0.002,64")
    assert code == 0 and "2 points: 1 run, 1 there already, 0 left" in out
    assert "1 failed (--retry runs them again), the first: sat resnet9 2:8 batch=4 dram.capacity_gib=0.002: " in out


def test_a_search_ends_also_where_nothing_can_be_run(simulate: Run, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    line = (*POINT, "--objective", "min:cycles")
    assert "--search has 60,000 points, and 50,000 are taken" in simulate(*line, "--search", "60000")[2]
    assert "--search -3: must be at least 1" in simulate(*line, "--search", "-3")[2]
    assert (
        "none of 1000 proposals meets array.rows > 99"
        in simulate(*line, "--search", "3", "--where", "array.rows > 99")[2]
    )
    assert not list(tmp_path.iterdir())
    code, _, err = simulate(*line, "--search", "3", "--grid", "dram.capacity_gib=0.001,0.002")
    assert code == 2 and "proposals could be run; the first point that failed: sat resnet9 2:8" in err


def test_a_damaged_log_of_a_search_is_said(simulate: Run, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    line = (*POINT, "--grid", "array.rows=8,16", "--objective", "min:cycles", "--search")
    assert simulate(*line, "1")[0] == 0
    log = tmp_path / "s" / "search.log"
    whole = log.read_text()
    log.write_text(f'{whole}{{"op_code": 4')  # cut by a kill
    assert simulate(*line, "2")[0] == 0
    with log.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, err = simulate(*line, "3")
        assert code == 2 and "--search: another process searches in s; wait for it, or stop it" in err, err
    for text, said in (
        (whole.replace("op_code", '"op', 1), "s/search.log:1: this line is damaged; take it away to begin the search"),
        ('{"op_code": 77, "x": []}\n', "s/search.log: is no log of a search: "),
        ('"x"\n', "s/search.log: is no log of a search: "),
        (json.dumps({"op_code": 0, "worker_id": "w", "study_name": 3}) + "\n", "s/search.log: is no log of a search: "),
    ):
        log.write_text(text)
        code, _, err = simulate(*line, "3")
        assert code == 2 and said in err, err


def living(session: int) -> list[str]:
    """The processes of a session that have not ended."""
    command = ["ps", "-s", str(session), "-o", "stat=,args="]
    states = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [state for state in states if not state.startswith("Z")]


def interrupted(folder: Path, *more: str) -> tuple[int, str]:
    """Ctrl-C to every process of a sweep, once the first points are given out."""
    process = started(folder, *more, "--grid", "dram.channels=1..6:1")
    while not list(folder.glob("locks/*")) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    until = time.monotonic() + 10
    while living(process.pid) and time.monotonic() < until:  # a worker that was killed takes a moment
        time.sleep(0.1)
    assert not living(process.pid)
    return process.returncode, err.decode()


def test_an_interrupted_sweep_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    code, err = interrupted(tmp_path / "s", "--jobs", "2")
    assert code == 130 and [line for line in err.splitlines() if not line.startswith("point ")] == ["interrupted"]


@pytest.mark.slow
def test_an_interrupted_cluster_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    code, err = interrupted(tmp_path / "s", "--jobs", "2", "--cluster", "local")
    assert code == 130 and [line for line in err.splitlines() if not line.startswith("point ")] == ["interrupted"]
