"""A result as text: on a terminal, in a notebook, as JSON and CSV; the same from memory and from disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reports import as_csv, as_json, notebook, terminal
from reports.loss_tables import loss_table
from simulator import Job, Result, UserError, load_result, run_job
from simulator.job import Source
from workloads.registry import VIEWS, load_entry, names
from workloads.work import Work

STEP = Job(Source("sat"), Work(gemms=("300x40x64",)), ("2:8",))
JOBS = {
    "a step": STEP,
    "a dense step": replace(STEP, patterns=None),
    "a product": Job(Source("piuma"), Work(matrices=("rmat:6:4",))),
    "a step on a fabric": Job(Source("piuma"), Work(gemms=("64x64x64",)), ("2:8",)),
}


@pytest.fixture(scope="module", params=JOBS)
def result(request: pytest.FixtureRequest) -> Result:
    return run_job(JOBS[request.param], command=["simulate"])


def test_a_result_from_disk_says_the_same(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "r")
    again = load_result(tmp_path / "r")
    assert terminal.show(again, tmp_path) == terminal.show(result, tmp_path)
    assert json.loads(as_json.show(again)) == json.loads(as_json.show(result))
    assert as_csv.show(again) == as_csv.show(result)
    assert notebook.show(again) == notebook.show(result)


def test_the_text_names_the_machine_the_phases_and_the_folder(result: Result) -> None:
    text = terminal.show(result, Path("some/folder"))
    first, *_, last = text.splitlines()
    assert result.card.model in first and f"on {result.card.arch}" in first
    assert last.endswith("Result: some/folder") and text.endswith("\n")
    assert f"{result.cycles:,}" in text
    assert f"Assumed ({len(result.card.assumed)}, " in text


def test_the_headline_names_what_others_brought_and_a_forgotten_pattern() -> None:
    dense = run_job(JOBS["a dense step"])
    assert ", dense (no --pattern given), on sat" in terminal.headline(dense.card)
    asked = run_job(replace(STEP, patterns=("dense",)))
    assert "no --pattern given" not in terminal.headline(asked.card)
    card = replace(asked.card, outside={"dataflow zigzag": "example 1.0", "method mine": "other 2"})
    assert terminal.headline(card).endswith(" with dataflow zigzag (example 1.0), method mine (other 2)")


def test_a_notebook_shows_the_phases_and_escapes_texts(result: Result) -> None:
    named = replace(result, card=replace(result.card, model="<b>mine</b>"))
    shown = notebook.show(named)
    assert "<b>mine" not in shown and "&lt;b&gt;mine" in shown
    assert "<td>step</td>" in shown and f"<td>{result.cycles:,}</td>" in shown
    assert ("best dense cycles" in shown) == (result.dense is not None)
    assert result._repr_html_() == notebook.show(result)


def test_a_cause_of_another_machine_has_its_own_words(result: Result) -> None:
    """A compiler may bring a stall of its own: its column, its words, in every table and in the JSON."""
    columns = {**result.op_columns, "stall_cold": [1] * len(result.op_columns["cycles"])}
    card = replace(result.card, causes={**result.card.causes, "cold": "waiting for warmth"})
    strange = replace(result, op_columns=columns, card=card)
    assert "waiting for warmth" in loss_table(strange).index
    assert all(op["stall_cycles"]["cold"] == 1 for op in json.loads(as_json.show(strange))["ops"])


def test_a_stored_result_has_no_programs_to_show(tmp_path: Path) -> None:
    run_job(STEP).save(tmp_path / "r")
    again = load_result(tmp_path / "r")
    for view in ("timeline", "dram-trace"):
        with pytest.raises(UserError, match="a stored result has no programs"):
            load_entry(VIEWS, "view", view)(again, tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_every_view_can_be_loaded() -> None:
    assert all(callable(load_entry(VIEWS, "view", name)) for name in names(VIEWS))
