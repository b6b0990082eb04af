"""`simulate validate`: the table is that in the repository, what must be exact is, every row says what it hangs on."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from reports.checks import Check, Status, check_table
from tests.command import Run
from workloads.provenance import Provenance

RESULTS = Path(__file__).parents[2] / "reports" / "results" / "validate"
EXACT = ("dense", "rtl", "piuma")
TOLERANCE = 0.01  # of mappings that the scheduler takes for equally good


def check(**changed: float | None) -> Check:
    plain = Check("m", "w", "x", 2.0, 2.0, Provenance.PUBLISHED, "s", "h")
    return Check(**{**vars(plain), **changed})


def test_status_of_a_row() -> None:
    assert check().status is Status.PASS
    assert check(ours=2.1).status is Status.OUTSIDE
    assert check(ours=2.1, ours_low=1.9, ours_high=2.2).status is Status.INSIDE
    assert check(ours=2.1, theirs_low=1.9, theirs_high=2.1).status is Status.INSIDE
    assert check(ours=2.5, ours_low=2.2, ours_high=2.6).status is Status.OUTSIDE
    assert check(ours=None).status is check(theirs=None).status is Status.UNKNOWN
    assert check(ours=2.2).gap == pytest.approx(0.1)
    assert math.isnan(check(theirs=None).gap)


def test_the_table_is_the_one_in_the_repository(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate("validate", "--out", "v")
    assert code == 0
    now, kept = (pd.read_csv(folder / "checks.csv") for folder in (tmp_path / "v", RESULTS))
    assert list(now.columns) == list(check_table([]).columns) == list(kept.columns)
    assert now[["machine", "what"]].to_dict("records") == kept[["machine", "what"]].to_dict("records")
    assert now["status"].tolist() == kept["status"].tolist()
    for column in ("theirs", "ours", "ours_low", "ours_high"):
        pd.testing.assert_series_equal(now[column], kept[column], rtol=TOLERANCE)
    exact = now[now["machine"].isin(EXACT) & (now["source"].str.contains("STONNE") == False)]  # noqa: E712
    assert set(exact["status"]) <= {"pass", "unknown"}
    assert (now["hangs_on"].str.len() > 0).all() and (now["source"].str.len() > 0).all()
    assert "pass" in out and "inside band" in out
    assert (tmp_path / "v" / "checks.png").stat().st_size > 10_000


def test_what_belongs_to_one_machine_is_refused_for_all(simulate: Run) -> None:
    for option, value in (("--pattern", "2:4"), ("--model", "vgg19"), ("--set", "array.rows=8")):
        code, out, err = simulate("validate", option, value)
        assert (code, out) == (2, "")
        assert f"{option}: belongs to one machine: simulate validate sat {option} ..." in err
    code, _, err = simulate("validate", "sta")
    assert code == 2 and "unknown machine to validate alone 'sta'; did you mean 'sat'?" in err
    code, _, err = simulate("validate", "sat", "--json")
    assert code == 2 and "--json: the report of sat alone has none" in err


@pytest.mark.slow
def test_json_of_the_table(simulate: Run) -> None:
    code, out, _ = simulate("validate", "--json")
    assert code == 0
    rows = json.loads(out)
    assert {row["status"] for row in rows} <= {status.value for status in Status}
    assert set(rows[0]) == set(check_table([]).columns)
