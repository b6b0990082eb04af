"""The Pareto front of a study, and the dense array of equal area."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from reports.equal_area import Areas, PeArea, plain_settings, read_areas
from reports.studies.pareto import StepCost, pareto_table, read_accuracies
from simulator import Result, run_job, simulate
from simulator.card import Price
from tests.command import Run, without
from workloads.errors import UserError

ROWS = [("dense", "dense", 91.0), ("bdwp", "2:8", 90.1), ("srste", "2:8", 90.0), ("bdwp", "2:4", 90.7)]


def accuracies() -> pd.DataFrame:
    rows = [{"method": m, "pattern": p, "accuracy": a, "accuracy_ci95": 0.3} for m, p, a in ROWS]
    return pd.DataFrame(rows)


def test_a_row_is_on_the_front_unless_another_beats_it_in_all_three() -> None:
    costs = {
        ("dense", "dense"): StepCost(1.0, 50, 40, 60),
        ("bdwp", "2:8"): StepCost(1.7, 30, 20, 40),
        ("srste", "2:8"): StepCost(1.3, 45, 30, 60),  # beaten by bdwp 2:8 in all three
        ("bdwp", "2:4"): StepCost(1.4, 40, 30, 50),
    }
    table = pareto_table(accuracies(), costs)
    assert table["on_front"].tolist() == [True, True, False, True]
    cheap = {**costs, ("srste", "2:8"): StepCost(1.3, 29, 20, 40)}  # least energy of all
    assert pareto_table(accuracies(), cheap)["on_front"].tolist() == [True, True, True, True]
    no_energy = {key: StepCost(cost.speedup, float("nan"), 0, 0) for key, cost in costs.items()}
    assert pareto_table(accuracies(), no_energy)["on_front"].tolist() == [True, True, False, True]


def test_the_study_joins_accuracies_with_steps(simulate: Run, tmp_path: Path) -> None:
    table = pd.concat([accuracies(), accuracies()[:1].assign(method="sdgp", pattern="2:4")])
    table.to_csv(tmp_path / "accuracy.csv", index=False)
    work = ("--model", "resnet9", "--batch", "8")
    code, out, err = simulate("study", "pareto", "accuracy.csv", *work)
    assert code == 0 and "written: pareto/pareto.csv" in out
    assert err.startswith("left out: sdgp 2:4: ") and "sparse gradient" in err
    found = pd.read_csv(tmp_path / "pareto" / "pareto.csv").set_index(["method", "pattern"])
    assert found.loc[("dense", "dense"), "speedup"] == 1
    assert found.loc[("bdwp", "2:8"), "speedup"] > found.loc[("srste", "2:8"), "speedup"] > 1
    assert found.loc[("bdwp", "2:8"), "joules"] < found.loc[("dense", "dense"), "joules"]
    assert (tmp_path / "pareto" / "pareto.png").stat().st_size > 10_000


def test_without_matplotlib_there_is_a_table_and_a_note(tmp_path: Path) -> None:
    accuracies()[:1].to_csv(tmp_path / "accuracy.csv", index=False)
    done = without("matplotlib", tmp_path, "study", "pareto", "accuracy.csv", "--model", "resnet9", "--batch", "8")
    assert done.returncode == 0 and "on front" in done.stdout and "written" not in done.stdout
    assert "no picture: it needs the package 'matplotlib', which is missing: pip install" in done.stderr
    assert [path.name for path in (tmp_path / "pareto").iterdir()] == ["pareto.csv"]


AREA = "pe,luts,fmax_mhz\nsparse,1200,200\ndense,800,250\n"


def test_rows_of_equal_area() -> None:
    areas = Areas(PeArea(1200, 200), PeArea(800, 250))
    assert (areas.rows_of_equal_area(32), areas.clock_ratio) == (48, 1.25)
    assert Areas(PeArea(1, 1), PeArea(1000, 1)).rows_of_equal_area(8) == 1


def test_the_iso_area_baseline_stands_beside_dense_and_sparse(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "area.csv").write_text(AREA)
    code, out, _ = simulate("study", "iso-area", "area.csv", "--model", "resnet9", "--batch", "8")
    assert code == 0
    assert "dense, plain PEs of equal area" in out and "dense, sparse PEs" in out
    assert (tmp_path / "iso-area" / "iso-area.png").stat().st_size > 10_000


def test_an_array_of_equal_area_draws_as_much_static_power() -> None:
    areas = Areas(sparse=PeArea(150, 100), dense=PeArea(100, 100))
    for table in ("fpga", "asic"):
        result = simulate("sat", "2:8", "64x64x64", settings={"energy.table": table, "array.rows": 16})
        settings = (*result.card.job.settings, *plain_settings(result.card, areas))
        plain = run_job(replace(result.card.job, patterns=None, settings=settings))
        assert plain.card.numbers["array.rows"].value == 24
        for name in ("static.pe", "static.chip"):
            assert entries(plain)[name].value == pytest.approx(entries(result)[name].value)
    bare = replace(result, card=replace(result.card, energy=None))
    assert not any(each.startswith("energy.") for each in plain_settings(bare.card, areas))


def entries(result: Result) -> Mapping[str, Price]:
    assert result.card.energy is not None
    return result.card.energy.entries


WIDE = {
    "many columns": "," * 200_000 + "\n",
    "a wide row": "method,pattern,accuracy,accuracy_ci95\ndense,dense,90,1" + "," * 200_000 + "\n",
    "a wide header above many rows": "pe,luts,fmax_mhz" + "," * 40_000 + "\n" + "a\n" * 900,
    "half a field": '"' + "a," * 100_000,
}


@pytest.mark.parametrize("text", WIDE.values(), ids=WIDE)
def test_a_wide_table_is_read_in_a_moment(tmp_path: Path, text: str) -> None:
    """Most took 3 to 40 seconds, or gigabytes, while they were read with all their columns."""
    (tmp_path / "a.csv").write_text(text)
    began = time.process_time()
    for read in (read_accuracies, read_areas):
        with suppress(UserError):
            read(tmp_path / "a.csv")
    assert time.process_time() - began < 2


def test_a_table_has_bounds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(AREA + "other,1,1\n" * 1_000)
    with pytest.raises(UserError, match=r"a\.csv: has 1,002 rows, and 1,000 are read"):
        read_areas(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(AREA + "\n" * 300_000)
    with pytest.raises(UserError, match=r"a\.csv: has more than 256 KiB"):
        read_areas(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("b,pe,fmax_mhz,luts\n\nx,sparse,200,1200,more\nx,dense,250,800\nx\n")
    assert read_areas(tmp_path / "a.csv") == Areas(PeArea(1200, 200), PeArea(800, 250))


MISTAKES = [
    (("study", "pareto", "none.csv"), "none.csv: cannot be read: No such file"),
    (("study", "pareto", "bad.csv"), "bad.csv: is not what `simulate study accuracy` writes (accuracy.csv): it has no"),
    (("study", "iso-area", "none.csv"), "none.csv: cannot be read: No such file"),
    (("study", "iso-area", "bad.csv"), "bad.csv: an area table has the columns pe, luts, fmax_mhz"),
    (("study", "iso-area", "zero.csv"), "zero.csv: luts and fmax_mhz are above 0"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_mistakes(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    (tmp_path / "zero.csv").write_text(AREA.replace("800", "0"))
    code, out, err = simulate(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert {path.name for path in tmp_path.iterdir()} == {"bad.csv", "zero.csv"}
