"""The library: what is accepted, what a job keeps, and what is said of mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import Job, Runs, UserError, load_machine, load_result, run_job, simulate
from simulator.job import Source
from workloads.work import Work

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
WORKS = st.builds(
    Work,
    model=st.none() | WORDS,
    workload=st.none() | WORDS,
    gemms=st.lists(WORDS, max_size=2).map(tuple),
    matrices=st.lists(WORDS, max_size=2).map(tuple),
    batch=st.none() | st.integers(1, 1 << 40),
    content=WORDS,
)
JOBS = st.builds(
    Job,
    machine=st.builds(Source, WORDS, WORDS, WORDS),
    work=WORKS,
    patterns=st.none() | st.lists(WORDS, max_size=3).map(tuple),
    settings=st.lists(WORDS, max_size=3).map(tuple),
    options=st.dictionaries(
        WORDS,
        st.booleans() | st.integers(-9, 1 << 40) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
        max_size=3,
    ).map(lambda found: tuple(found.items())),
    exact=st.booleans(),
    dense=st.booleans(),
)


@settings(max_examples=100)
@given(JOBS)
def test_a_job_is_the_same_after_json(job: Job) -> None:
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again == job and hash(again) == hash(job) and again.key("1") == job.key("1")
    assert [type(value) for _, value in again.options] == [type(value) for _, value in job.options]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"exact": "perhaps"}, "job.exact"),
        ({"colour": 1}, "job.colour"),
        ({"machine": {"nam": "sat"}}, "job.machine"),
        ({"work": {"limits": {"multiplies": 10**30}}}, r"job\.work\.limits\.multiplies: 10+ is no whole number from"),
        ({"work": {"limits": {"ops": -5}}}, r"job\.work\.limits\.ops: -5 is no whole number from 1 to"),
    ],
)
def test_what_is_no_job_is_refused(change: dict[str, object], place: str) -> None:
    node = Job(Source("sat"), Work(model="resnet9")).to_json()
    with pytest.raises(UserError, match=place):
        Job.from_json({**node, **change})


def test_a_saved_result_has_the_job_that_makes_it_again(tmp_path: Path) -> None:
    first = simulate("sat", {"*": "2:8", "layer4.*": "1:8"}, "resnet18", batch=2, settings={"array.rows": 16})
    first.save(tmp_path / "r")
    loaded = load_result(tmp_path / "r")
    assert loaded.dense is not None and first.dense is not None
    assert loaded.dense.cycles == first.dense.cycles and loaded.speedup == first.speedup
    assert run_job(loaded.card.job).op_columns == first.op_columns
    assert {column for column in loaded.dense.ops if column.startswith("stall_")} >= {
        f"stall_{cause}" for cause in loaded.card.causes
    }


def test_without_the_dense_side() -> None:
    job = simulate("sat", "2:8", "resnet9", batch=2).card.job
    alone = run_job(replace(job, dense=False))
    assert alone.dense is None and alone.speedup != alone.speedup  # NaN: nobody asked
    assert alone.baseline is alone


def test_progress_is_an_argument_and_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []
    simulate("sat", "2:8", "resnet9", batch=2, progress=lambda done, total, *_: seen.append((done, total)))
    assert seen and all(done <= total for done, total in seen)
    assert capsys.readouterr() == ("", "")


def test_runs_are_shared_by_machine_not_mixed() -> None:
    runs = Runs()
    mine = simulate("sat", "2:8", "resnet9", batch=2, settings={"array.rows": 16}, runs=runs)
    simulate("sat", "2:8", "resnet9", batch=2, runs=runs)
    assert simulate("sat", "2:8", "resnet9", batch=2, settings={"array.rows": 16}, runs=runs).cycles == mine.cycles
    assert (
        simulate("sat", "2:8", "resnet9", batch=2, runs=runs).cycles
        == simulate("sat", "2:8", "resnet9", batch=2).cycles
    )


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        (("satt", "2:8", "resnet9"), {}, "unknown machine 'satt'; did you mean 'sat'"),
        (("sat", "2:8", "resnet81"), {}, "did you mean 'resnet18'"),
        (("sat", "9:8", "resnet9"), {}, "n must be at most m"),
        (("sat", {"layer9": "2:8"}, "resnet9"), {}, "unknown layer 'layer9'"),
        (("sat", "2:8", 3), {}, "type 'int' is not accepted"),
        (("sat", "2:8", "resnet9"), {"inputs": 1}, "inputs: are for a torch module"),
        (("sat", "2:8", "resnet9"), {"settings": {"array.rwos": 3}}, "did you mean 'array.rows'"),
        (("sat", "2:8", "resnet9"), {"options": {"dataflw": "x"}}, "did you mean 'dataflow'"),
        (("sat", "2:8", Work(model="resnet9")), {"batch": 3}, "a Work says these itself"),
        (("sat", 28, "resnet9"), {}, "pattern: type 'int' is not accepted"),
        (("sat", ("2:8", 3), "resnet9"), {}, "job.patterns.1: input should be a valid string"),
        (("sat", "2:8", "resnet9"), {"batch": 8.5}, "job.work.batch: input should be a valid integer"),
        (("sat", "2:8", "resnet9"), {"options": 3}, "options: type 'int' is not accepted"),
        (("sat", "2:8", "resnet9"), {"settings": 5}, "settings: type 'int' is not accepted"),
        (("t4", "2:8", "resnet9"), {"options": {"dataflow": "x"}}, "kind roofline has no such choice"),
    ],
)
def test_mistakes_are_one_sentence(arguments: tuple[object, ...], more: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as error:
        simulate(*arguments, **more)  # type: ignore[arg-type]
    assert said in str(error.value) and "\n" not in str(error.value)


def test_numbers_of_numpy_and_single_texts_are_taken() -> None:
    found = simulate("sat", "2:8", "resnet9", batch=np.int64(2), settings="array.rows=16")  # type: ignore[arg-type]
    other = simulate("sat", ["2:8"], "resnet9", batch=2, settings={"array.rows": np.int64(16)})  # type: ignore[dict-item]
    assert found.card.job == other.card.job and found.cycles == other.cycles
    for value in (np.int64(512), 512):
        product = simulate("piuma", None, "rmat:5:4", options={"slots": value})  # type: ignore[dict-item]
        assert product.card.job.options == (("slots", 512),) and type(product.card.job.options[0][1]) is int


def test_an_unknown_figure_is_named() -> None:
    with pytest.raises(UserError, match="layers"):
        simulate("sat", "2:8", "resnet9", batch=2).figure("layrs")


def test_a_machine_that_was_changed_by_hand_is_refused() -> None:
    machine = load_machine("sat")
    other = replace(machine, spec=load_machine("sat", ["array.rows=16"]).spec)
    with pytest.raises(UserError, match="changed by hand"):
        simulate(other, "2:8", "resnet9")


def test_a_machine_whose_file_has_changed_stands_in_the_job_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: sat\ntitle: mine\n", encoding="utf-8")
    machine = load_machine(path)
    path.write_text("extends: sat\ntitle: another\n", encoding="utf-8")
    found = simulate(machine, "2:8", "resnet9", batch=2)
    assert found.card.job.machine.content and found.card.arch_title == "mine"
    assert run_job(found.card.job).cycles == found.cycles


def test_a_machine_that_is_content_needs_no_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    job = Job(Source("loop", content="extends: sat\n"), Work(model="resnet9", batch=2))
    assert run_job(job).cycles == run_job(replace(job, machine=Source("sat"))).cycles
