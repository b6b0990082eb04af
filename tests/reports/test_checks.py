"""`simulate validate`: the table is that in the repository, what must be exact is, every row says what it hangs on."""

import json
import math
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pandas as pd
import pytest

import reports.checks
from reports.checks import Check, CheckSuite, Status
from reports.checks.table import check_table, could_fail_sentence, every_check
from reports.output import csv_texts, write_folder
from tests.command import Run
from workloads import registry
from workloads.provenance import Provenance
from workloads.registry import CHECKS, load_part, load_parts

RESULTS = Path(__file__).parents[2] / "reports" / "results" / "validate"
EXACT = ("dense", "rtl", "piuma")
TOLERANCE = 0.01  # of mappings that the scheduler takes for equally good


def check(**changed: float | None) -> Check:
    plain = Check("m", "w", "x", 2.0, 2.0, Provenance.PUBLISHED, "s", "h")
    return Check(**{**vars(plain), **changed})


MINE = CheckSuite(lambda: [check()])


def test_status_of_a_row() -> None:
    assert check().status is Status.PASS
    assert check(ours=2.1).status is Status.OUTSIDE
    assert check(ours=2.1, ours_low=1.9, ours_high=2.2).status is Status.INSIDE
    assert check(ours=2.1, theirs_low=1.9, theirs_high=2.1).status is Status.INSIDE
    assert check(ours=2.5, ours_low=2.2, ours_high=2.6).status is Status.OUTSIDE
    assert check(ours=None).status is check(theirs=None).status is Status.UNKNOWN
    assert check(ours=2.2).gap == pytest.approx(0.1)
    assert math.isnan(check(theirs=None).gap)


def test_a_band_as_wide_as_all_that_is_assumed_is_no_test() -> None:
    wide = {"ours": 2.1, "ours_low": 1.0, "ours_high": 3.0}
    assert check(**wide).could_fail and check(**wide, allowed_low=0.9, allowed_high=3.0).status is Status.INSIDE
    whole = check(**wide, allowed_low=1.0, allowed_high=2.9)
    assert whole.status is Status.WHOLE and not whole.could_fail
    excluded = check(theirs=4.0, ours=2.1, ours_low=1.0, ours_high=3.0, allowed_low=1.0, allowed_high=3.0)
    assert excluded.status is Status.OUTSIDE and excluded.could_fail
    assert check().could_fail and not check(ours=None).could_fail
    table = check_table([check(), check(**wide), whole, excluded, check(theirs=None)])
    assert table["could_fail"].tolist() == [True, True, False, True, False]
    said = could_fail_sentence(table)
    assert said.startswith("3 of 5 rows could have failed (3 of m); 1 compare nothing, and in 1 the band is as wide as")


def test_the_published_average_of_sat_could_not_have_failed() -> None:
    """1.75x lies where everything assumed allows nearly any speed-up that the pattern does; so do the points of S4."""
    then = kept().set_index("machine")
    assert set(then.loc[["s4"], "status"]) == {"whole range"}
    average = then.loc[["sat"]].iloc[0]
    assert (average["theirs"], average["status"], average["could_fail"]) == (1.75, "whole range", False)


def kept() -> pd.DataFrame:
    return pd.read_csv(RESULTS / "checks.csv")


def held_against_the_repository(now: pd.DataFrame, then: pd.DataFrame) -> None:
    """The same rows with the same status and numbers; a change on purpose is `simulate validate --out` again."""
    now, then = now.reset_index(drop=True), then.reset_index(drop=True)
    assert now[["machine", "what", "status"]].to_dict("records") == then[["machine", "what", "status"]].to_dict(
        "records"
    )
    for column in ("theirs", "ours", "ours_low", "ours_high"):
        pd.testing.assert_series_equal(now[column].astype(float), then[column].astype(float), rtol=TOLERANCE)


def test_exact_rows_are_those_in_the_repository(tmp_path: Path) -> None:
    suites = [load_part(CHECKS, "check", name, CheckSuite) for name in ("dense", "rtl")]
    table = check_table([row for suite in suites for row in suite.checks()])
    write_folder(tmp_path, csv_texts({"checks": table}, 6), dict)
    now, then = pd.read_csv(tmp_path / "checks.csv"), kept()
    held_against_the_repository(now, then[then["machine"].isin(["dense", "rtl"])])
    assert set(now.loc[~now["source"].str.contains("STONNE"), "status"]) == {"pass"}


def test_every_row_in_the_repository_says_what_it_hangs_on() -> None:
    then = kept()
    assert list(then.columns) == list(check_table([]).columns)
    assert set(then["status"]) <= {status.value for status in Status}
    for column in ("what", "unit", "provenance", "source", "hangs_on"):
        assert (then[column].str.len() > 0).all(), column
    exact = then[then["machine"].isin(EXACT) & then["ours"].notna() & ~then["source"].str.contains("STONNE")]
    assert set(exact[exact["theirs_low"].isna() & exact["ours_low"].isna()]["status"]) == {"pass"}


def test_suites_have_their_places_and_one_more_joins_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    suites = load_parts(CHECKS, "check", CheckSuite)
    ordered = sorted(suites, key=lambda name: suites[name].order)
    assert ordered == ["dense", "rtl", "sat", "s4", "gpu", "piuma", "training"]
    entries = [EntryPoint(name, "tests.reports.test_checks:MINE", CHECKS) for name in ("mine", "another")]
    first = EntryPoint("training", "reports.checks.training:TRAINING", CHECKS)
    monkeypatch.setattr(registry, "_entries", lambda _: EntryPoints([*entries, first]))
    rows = every_check()
    assert rows[0].machine == "training" and [row.machine for row in rows if row.machine != "training"] == ["m", "m"]


def test_the_rtl_row_says_why_nothing_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(reports.checks, "compared")  # which imports it first, where nobody has yet
    monkeypatch.setitem(sys.modules, "reports.checks.compiled", None)
    (row,) = load_part(CHECKS, "check", "rtl", CheckSuite).checks()
    assert row.status is Status.UNKNOWN and row.hangs_on.startswith("the RTL was not compiled: ")


@pytest.mark.slow
def test_the_whole_table_is_the_one_in_the_repository(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate("validate", "--out", "v")
    assert code == 0 and "pass" in out and "inside band" in out
    held_against_the_repository(pd.read_csv(tmp_path / "v" / "checks.csv"), kept())
    assert (tmp_path / "v" / "checks.png").stat().st_size > 10_000


def test_what_belongs_to_one_machine_is_refused_for_all(simulate: Run) -> None:
    for option, value in (("--pattern", "2:4"), ("--model", "vgg19"), ("--set", "array.rows=8")):
        code, out, err = simulate("validate", option, value)
        assert (code, out) == (2, "")
        assert f"{option}: belongs to one machine: simulate validate sat {option} ..." in err
    code, _, err = simulate("validate", "sta")
    assert code == 2 and "unknown check 'sta'; did you mean 'sat'?" in err
    code, _, err = simulate("validate", "sat", "--json")
    assert code == 2 and "--json: the report of sat alone has none" in err


@pytest.mark.slow
def test_json_of_the_table(simulate: Run) -> None:
    code, out, _ = simulate("validate", "--json")
    assert code == 0
    rows = json.loads(out)
    assert {row["status"] for row in rows} <= {status.value for status in Status}
    assert set(rows[0]) == set(check_table([]).columns)
