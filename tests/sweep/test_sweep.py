"""Sweeps: what is run, what is skipped, what is kept when something goes wrong."""

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulator.job import Job, Source
from simulator.sweep.asked import from_grid, read_spec
from simulator.sweep.checks import checked
from simulator.sweep.dask_cluster import cluster
from simulator.sweep.engines import LocalEngine
from simulator.sweep.points import evaluate
from simulator.sweep.runner import Counts, Sweep
from simulator.sweep.spec import expand
from simulator.sweep.store import Store
from simulator.sweep.version import model_version
from tests.command import Run
from workloads.errors import UserError
from workloads.work import Work

GRID = ("array.rows=8,16,24", "array.cols=8,16", "pattern=2:4,2:8", "model=resnet9", "batch=8")
LINE = ("sweep", *(part for text in GRID for part in ("--grid", text)), "--jobs", "1")


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    store = Store(folder)
    return {row["key"]: row for path in sorted(folder.glob("points/*.parquet")) for row in store.rows(path.stem)}


def silent(counts: Counts) -> None:
    assert counts.left >= 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The twelve points of GRID, run in this process."""
    spec = from_grid(GRID, (), ())
    store = Store(tmp_path_factory.mktemp("whole") / "sweep")
    store.open()
    points = expand(spec, checked(spec))
    counts = Sweep(points, store, model_version(), silent).run(LocalEngine(1), evaluate)
    assert (counts.run, counts.left, counts.failed) == (12, 0, 0)
    return rows_of(store.folder)


def started(folder: Path, *more: str) -> "subprocess.Popen[bytes]":
    """The command in a process group of its own, so that nothing of it is left."""
    command = [
        sys.executable,
        "-c",
        "from simulator.command.start import main; main()",
        *LINE,
        "--out",
        str(folder),
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def killed(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_point_is_what_the_command_says_of_it(
    undisturbed: dict[str, dict[str, Any]], simulate: Run, tmp_path: Path
) -> None:
    from simulator import load_result

    settings = ("--set", "array.rows=16", "--set", "array.cols=8")
    point = ("--pattern", "2:8", "--model", "resnet9", "--batch", "8")
    assert simulate(*point, *settings, "--out", "one")[0] == 0
    result = load_result(tmp_path / "one")
    (row,) = (
        row for row in undisturbed.values() if (row["array.rows"], row["array.cols"], row["pattern"]) == (16, 8, "2:8")
    )
    assert row["cycles"] == result.cycles
    assert row["dense_cycles"] == result.baseline.cycles
    assert row["energy_j"] == pytest.approx(result.actions["energy_pj"].sum() * 1e-12)
    dram = result.actions["kind"].str.startswith("dram.")
    assert row["dram_bytes"] == result.actions[dram]["amount"].sum()
    assert row["pes"] == 128


def test_twice_is_once_and_more_is_the_rest(simulate: Run, tmp_path: Path) -> None:
    line = ("sweep", "--pattern", "2:8", "--model", "resnet9", "--batch", "4", "--jobs", "1", "--out", "s")
    code, out, _ = simulate(*line, "--grid", "array.rows=8,16")
    assert (code, out) == (0, "2 points: 2 run, 0 there already, 0 left; rows in s/points/*.parquet\n")
    assert "2 points: 0 run, 2 there already, 0 left" in simulate(*line, "--grid", "array.rows=8,16")[1]
    assert "3 points: 1 run, 2 there already, 0 left" in simulate(*line, "--grid", "array.rows=8,16,24")[1]
    code, out, _ = simulate("sweep", "--report", "--out", "s")
    assert (code, out) == (0, "page: s/sweep.html\n")
    page = (tmp_path / "s/sweep.html").read_text()
    assert "Pareto front" in page and "Sensitivity" in page and page.count("<svg") >= 4


def test_a_point_that_fails_leaves_its_error_and_is_tried_again_when_asked(simulate: Run, tmp_path: Path) -> None:
    line = ("sweep", "--model", "resnet9", "--pattern", "2:8", "--grid", "dram.capacity_gib=0.001,64", "--jobs", "1")
    code, out, _ = simulate(*line, "--out", "s")
    assert code == 0
    assert "2 points: 1 run, 0 there already, 1 failed, 0 left" in out
    assert "1 failed (--retry runs them again), the first: sat resnet9 2:8 dram.capacity_gib=0.001: --batch" in out
    assert "2 points: 0 run, 2 there already, 0 left" in simulate(*line, "--out", "s")[1]
    assert "0 run, 1 there already, 1 failed" in simulate(*line, "--out", "s", "--retry")[1]
    assert "2 run" in simulate(*line, "--out", "s", "--no-capacity")[1]
    assert len(list((tmp_path / "s/errors").glob("*.json"))) == 1


@pytest.mark.slow
def test_twenty_kills_then_completion(undisturbed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Killed at random moments of its life, imports and writing included; then run to the end.

    A sweep that ends before its moment has come is begun anew.
    """
    folder, chance, kills = tmp_path / "s", random.Random(5), 0
    while kills < 20:
        process = started(folder)
        until = time.monotonic() + chance.uniform(0.3, 4)
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            killed(process)
            kills += 1
        else:
            assert process.communicate() and process.returncode == 0
            assert rows_of(folder) == undisturbed
            shutil.rmtree(folder)
            continue
        for key, row in rows_of(folder).items():
            assert row == undisturbed[key]
    process = started(folder)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert b"12 points" in out and b"0 left" in out
    assert rows_of(folder) == undisturbed


def test_a_kill_between_writes(undisturbed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Killed as soon as the first point is there: what is there is whole, the rest is run next time."""
    folder = tmp_path / "s"
    process = started(folder)
    while not list(folder.glob("points/*.parquet")) and process.poll() is None:
        time.sleep(0.005)
    killed(process)
    there = rows_of(folder)
    assert there and all(row == undisturbed[key] for key, row in there.items())
    out, _ = started(folder).communicate(timeout=120)
    assert f"{12 - len(there)} run, {len(there)} there already, 0 left".encode() in out
    assert rows_of(folder) == undisturbed


def test_two_processes_share_a_folder(undisturbed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    both = [started(tmp_path / "s"), started(tmp_path / "s")]
    said = [process.communicate(timeout=120)[0].decode() for process in both]
    run = [int(text.split(" points: ")[1].split(" run")[0]) for text in said]
    assert sum(run) == 12
    assert all("0 left" in text for text in said)
    assert rows_of(tmp_path / "s") == undisturbed


def test_more_processes_give_the_same_rows(undisturbed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    out, err = started(tmp_path / "s", "--jobs", "2").communicate(timeout=200)
    assert b"12 run" in out, err
    assert rows_of(tmp_path / "s") == undisturbed


def test_a_full_disk_is_said_in_a_sentence(undisturbed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: it stops a write in its middle as a full one does."""
    limited = ["bash", "-c", 'trap "" XFSZ; ulimit -f 4; exec "$@"', "-"]
    code = "from simulator.command.start import main; main()"
    environment = {**os.environ, "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", "")}
    command = [*limited, sys.executable, "-c", code, *LINE, "--out", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large; what was finished before is kept, and the same command" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "s").rglob(".*"))
    assert all(row == undisturbed[key] for key, row in rows_of(tmp_path / "s").items())


@pytest.mark.slow
def test_a_small_disk(undisturbed: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """A file system of 64 KiB, where this machine lets us have one."""
    small = tmp_path / "small"
    small.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]).returncode:
        pytest.skip("no right to mount a file system here; test_a_full_disk_is_said_in_a_sentence stands for it")
    try:
        process = started(small / "s")
        _, err = process.communicate(timeout=300)
        assert process.returncode == 2
        assert b"No space left on device" in err and b"Traceback" not in err
        there = rows_of(small / "s")
        assert there and all(row == undisturbed[key] for key, row in there.items())
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dask: the pipe of a killed worker
def test_a_dask_cluster_gives_the_same_rows_and_survives_a_worker(
    undisturbed: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    from dask.distributed import Client

    spec = from_grid(GRID, (), ())
    store = Store(tmp_path / "s")
    store.open()
    points = expand(spec, checked(spec))
    lost: list[int] = []
    with cluster("local", 2, model_version) as engine:
        client: Client = engine.client

        def show(counts: Counts) -> None:
            if counts.run >= 2 and not lost:
                lost.append(next(iter(client.run(os.getpid).values())))
                os.kill(lost[0], signal.SIGKILL)

        counts = Sweep(points, store, model_version(), show).run(engine, evaluate)
    assert lost and (counts.run, counts.left) == (12, 0)
    assert rows_of(store.folder) == undisturbed


def test_an_address_where_nobody_answers() -> None:
    said = r"--cluster tcp://127\.0\.0\.1:1: no scheduler answers"
    with pytest.raises(UserError, match=said), cluster("tcp://127.0.0.1:1", 1, model_version, patience_seconds=1):
        raise AssertionError


MISTAKES = [
    ((), "give a sweep: a YAML file, or --model, --pattern and --grid; or --report for one that has run"),
    (("--pattern", "2:8"), "a sweep needs at least one model: --model"),
    (("--model", "resnet9", "--grid", "patern=2:4"), "unknown axis 'patern'; did you mean 'pattern'?"),
    (("--model", "resnet9", "--grid", "rows=8"), "unknown axis 'rows'; did you mean"),
    (("--grid", "array.rows"), "--grid array.rows: write for example --grid array.rows=8,16,32"),
    (("--grid", "array.rows=8..4:2"), "'8..4:2': a range is LOW..HIGH:STEP, such as 8..64:8"),
    (("--model", "resnet9", "--pattern", "2:8", "--grid", "array.rwos=8"), "did you mean 'array.rows'?"),
    (("--model", "resnet9", "--pattern", "2:8", "--grid", "array.rows=8,0"), "0 is not allowed"),
    (("--model", "resnet81", "--pattern", "2:8"), "unknown model 'resnet81'; did you mean 'resnet18'?"),
    (("--model", "resnet9", "--pattern", "9:8"), "'9:8' keeps more than a group has"),
    (("--model", "resnet9", "--pattern", "2:8", "--batch", "many"), "batch 'many': must be a whole number"),
    (("--model", "resnet9", "--pattern", "2:8", "--where", "array.rows >"), "'array.rows >': is no expression"),
    (("--model", "resnet9", "--pattern", "2:8", "--where", "array.rwos > 1"), "unknown field 'array.rwos'; did you"),
    (("--model", "resnet9", "--pattern", "2:8", "--where", "array.rows > 99"), "no point is left: none of 1 meets"),
    (("--model", "resnet9", "--pattern", "2:8", "--tie", "array.rwos=1"), "did you mean 'array.rows'?"),
    (("--model", "resnet9", "--pattern", "2:8", "--where", "open('x')"), "is not allowed; there are numbers, fields"),
    (("--report", "--out", "nowhere"), "nowhere: is no sweep's folder: it has no sweep.json"),
    (("missing.yaml",), "missing.yaml: cannot be read: No such file or directory"),
    (("--model", "resnet9", "--pattern", "2:8", "--jobs", "-1"), "--jobs -1: must be at least 1"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate("sweep", *arguments)
    assert (code, out) == (2, "")
    assert sentence in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_specs(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(
        "model: resnet9\npattern: [2:4, 2:8]\nset:\n  array.rows: 8..24:8\n  dram.channels: [1, 2]\n"
        "tie:\n  dram.capacity_gib: 16 * dram.channels\nwhere:\n  - array.rows * array.cols <= 512\n"
    )
    spec = read_spec(path)
    points = expand(spec, checked(spec))
    assert len(points) == 2 * 2 * 2
    settings = ("array.rows=8", "dram.capacity_gib=16", "dram.channels=1")
    assert points[0] == Job(Source("sat"), Work(model="resnet9"), ("2:4",), settings=settings)
    assert len({point.key("1") for point in points}) == 8
    assert points[0].key("1") != points[0].key("2")
    assert points[0].bucket("1") == replace(points[0], patterns=("2:8",)).bucket("1")


@pytest.mark.parametrize("axes", [("pattern=2:4,2:8",), ("arch=s4", "pattern=4:64", "batch=8")], ids=["sat", "s4"])
def test_points_leave_no_cycles_behind(axes: tuple[str, ...]) -> None:
    """What was planned goes with its last reference: nobody looks for cycles in a sweep of thousands of points."""
    spec = from_grid((*axes, "model=resnet9"), (), ())
    points = expand(spec, checked(spec))
    evaluate(points)
    gc.collect()
    gc.disable()
    try:
        rows = evaluate(points)
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert all("cycles" in row for row in rows)


def test_a_search_is_taken_up_again(simulate: Run, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    axes = ("array.rows=8,16,24", "array.cols=8,16", "pattern=2:4,2:8", "model=resnet9", "batch=8")
    line = ("sweep", *(part for text in axes for part in ("--grid", text)), "--jobs", "1", "--out", "s")
    assert simulate(*line, "--search", "3", "--objective", "min:cycles")[0] == 0
    first = rows_of(tmp_path / "s")
    code, out, _ = simulate(*line, "--search", "5", "--objective", "min:cycles")
    assert code == 0 and "5 points" in out and "0 left" in out
    more = rows_of(tmp_path / "s")
    assert 1 <= len(first) <= 3 and len(first) <= len(more) <= 5
    assert all(more[key] == row for key, row in first.items())
    assert simulate("sweep", "--report", "--out", "s")[0] == 0 and (tmp_path / "s" / "sweep.html").exists()
