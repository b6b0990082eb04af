"""What is promised to scripts: every column and key is described, nothing described is missing."""

import csv
import io
import json
import re
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from reports.energy_tables import energy_by
from simulator import load_result
from simulator.card_parts import Band, Ends
from tests.command import Run

SCHEMA = (Path(__file__).parents[2] / "reports" / "SCHEMA.md").read_text(encoding="utf-8")
GEMMS = ("--gemm", "300x40x64", "--gemm", "70x64x40", "--pattern", "2:8")


def described(title: str) -> set[str]:
    """The names in a section of the document."""
    (section,) = re.findall(rf"^## [^\n]*{re.escape(title)}.*?(?=^## |\Z)", SCHEMA, re.S | re.M)
    return set(re.findall(r"`([a-z_]+)`", section))


def columns(frame: pd.DataFrame) -> set[str]:
    return {name for name in frame.columns if not name.startswith("stall_")} | {"stall_fill_drain"}


def test_frames_and_card(simulate: Run, tmp_path: Path) -> None:
    assert simulate(*GEMMS, "--out", "r")[0] == 0
    result = load_result(tmp_path / "r")
    assert columns(result.ops) <= described("ops.parquet")
    assert set(result.actions.columns) == described("actions.parquet")
    card = result.card.to_json()
    assert set(card) == described("`card.json`: what ran")
    job, work = result.card.job.to_json(), vars(result.card.job.work)
    assert set(job) <= described("The card's job") <= {*job, *work}
    assert all(f"stall_{name}" in result.ops for name in ("fill_drain", "memory", "sore"))


def test_a_band_is_described() -> None:
    names = described("The card's part on the band")
    assert {each.name for part in (Band, Ends) for each in fields(part)} <= names


def test_csv_is_complete(simulate: Run, tmp_path: Path) -> None:
    code, out, err = simulate(*GEMMS, "--csv", "--out", "r")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    result = load_result(tmp_path / "r")
    assert len(rows) == len(result.ops)
    assert {name for name in rows[0] if not name.startswith("stall_")} <= described("ops.parquet")
    assert set(result.ops.columns) <= set(rows[0])
    assert sum(int(row["cycles"]) for row in rows) == result.cycles
    assert result.dense is not None
    assert sum(int(row["dense_cycles"]) for row in rows) == result.dense.cycles
    total = float(result.actions["energy_pj"].sum()) * 1e-12
    assert sum(float(row["energy_j"]) for row in rows) == pytest.approx(total)


def test_json_is_complete(simulate: Run, tmp_path: Path) -> None:
    code, out, err = simulate(*GEMMS, "--json", "--out", "r")
    assert (code, err) == (0, "")
    node = json.loads(out)
    names = described("--json`: one object")
    assert set(node) <= names
    assert set(node["energy"]) <= names
    assert set(node["totals"]["step"]) <= names
    total = node["energy"]["joules"]
    for split in ("by_component", "by_phase", "by_tensor"):
        assert sum(node["energy"][split].values()) == pytest.approx(total)
    assert sum(op["energy_joules"] for op in node["ops"]) == pytest.approx(total)
    assert energy_by(load_result(tmp_path / "r"), ["phase", "component"])["mj"].sum() == pytest.approx(1e3 * total)


def test_json_of_a_product_is_complete(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate("--arch", "piuma", "--matrix", "rmat:6:4", "--json", "--out", "r")
    assert code == 0
    assert set(json.loads(out)) == described("`--json` of a product")
    assert set(load_result(tmp_path / "r").card.more) == described("The card's part on fabrics")


def test_json_and_csv_are_not_both(simulate: Run) -> None:
    code, out, err = simulate(*GEMMS, "--json", "--csv")
    assert (code, out) == (2, "")
    assert "--csv: standard output is one JSON object with --json" in err
