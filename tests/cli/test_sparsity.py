"""`simulate study sparsity`, `simulate validate s4`, and S4 and GPUs in the main job, from the command line."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from reports.checks.explained import Tried, conclusions, explaining, needed_efficiency, set_table, verdict
from reports.checks.s4 import BERT, POINTS, RESNET, Surroundings
from tests.command import Run
from workloads.lengths import PADDED, SQUAD_LIKE


def test_the_study_writes_tables_and_a_picture(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate("study", "sparsity", "--model", "resnet9", "--batch", "4", "--out", "s")
    assert code == 0
    for words in ("resnet9", "32x", "of peak", "time bound by", "GPUs beside it", "a100"):
        assert words in out
    assert {path.name for path in (tmp_path / "s").iterdir()} >= {"sparsity.csv", "gpus.csv", "sparsity.png"}
    with (tmp_path / "s/sparsity.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["ratio"] for row in rows] == ["1", "2", "4", "8", "16", "32"]
    rates = [float(row["samples_per_second"]) for row in rows]
    assert rates == sorted(rates)
    for row in rows:
        assert float(row["samples_per_second"]) <= float(row["ideal"]) * 1.02
        shares = [float(row[name]) for name in ("compute", "dense compute", "vector", "DRAM", "NoC", "host")]
        assert sum(shares) == pytest.approx(1, abs=1e-3) and float(row[row["bound"]]) == max(shares)


def test_the_study_compares_larger_with_smaller_and_settings_change_it(simulate: Run) -> None:
    models = ("study", "sparsity", "--model", "bert-base", "--model", "bert-large", "--batch", "2", "--sequence", "32")
    code, out, _ = simulate(*models)
    assert code == 0 and "Larger and sparser against smaller and dense" in out
    slow = simulate(*models, "--set", "units.efficiency=0.5")[1]
    assert slow != out
    assert simulate(*models[:-1], "48")[1] != out and simulate(*models[:-3], "4", *models[-2:])[1] != out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("study", "sparsity", "--arch", "sat"), "--arch sat: has no banks of weights; this study is for machines"),
        (
            ("study", "sparsity", "--arch", "s5"),
            "unknown machine 's5' (known: a100, core, dense, h100, piuma, s4, sat, t4)",
        ),
        (("study", "sparsity", "--model", "resnet51"), "unknown model 'resnet51'; did you mean 'resnet50'?"),
        (("study", "sparsity", "--batch", "0"), "--batch 0: must be at least 1"),
        (("study", "sparsity", "--sequence", "-1"), "--sequence -1: must be at least 1"),
        (("study", "sparsity", "--set", "units.effciency=1"), "unknown field 'units.effciency'; did you mean"),
        (("validate", "s4", "--set", "l2_mib=8"), "--set: validate s4 goes through the ranges of all assumptions"),
        (("--arch", "s4", "--pattern", "3:8", "--model", "resnet9"), "pattern 3:8 keeps 24 in a bank of 64"),
        (
            ("--arch", "s4", "--model", "resnet9", "--dataflow", "output-stationary"),
            "dataflow: a machine of kind s4 has no such choice (it has ",
        ),
        (("--arch", "s4", "--model", "resnet9", "--set", "chips=5"), "chips: 5 is not allowed"),
        (("--arch", "s4", "--model", "resnet9", "--set", "chips=2"), "a training step is modelled on one chip"),
        (("--arch", "t4", "--model", "resnet9", "--pattern", "2:4"), "NVIDIA T4 has no sparse tensor units"),
        (("--arch", "a100", "--model", "resnet9", "--pattern", "4:8"), "pattern 4:8 may keep more than 2 of 4"),
    ],
)
def test_mistakes(simulate: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = simulate(*arguments)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1


def test_training_is_marked_hypothetical_and_inference_is_not(simulate: Run) -> None:
    for extra in ((), ("--json",)):
        training = simulate("--arch", "s4", "--pattern", "2:8", "--model", "resnet9", "--batch", "8", *extra)
        assert training[0] == 0
    assert "HYPOTHETICAL" in simulate("--arch", "s4", "--pattern", "2:8", "--model", "resnet9", "--batch", "8")[1]
    calm = simulate("--arch", "s4", "--pattern", "2:8", "--model", "resnet9", "--mode", "inference", "--batch", "8")
    assert calm[0] == 0 and "HYPOTHETICAL" not in calm[1]


def test_four_chips_and_exact_runs_from_the_command_line(simulate: Run) -> None:
    command = (
        "--arch",
        "s4",
        "--pattern",
        "4:64",
        "--model",
        "resnet9",
        "--mode",
        "inference",
        "--batch",
        "16",
        "--json",
    )
    fast, exact = (json.loads(simulate(*command, *extra)[1]) for extra in ((), ("--exact",)))
    assert fast["ops"] == exact["ops"]
    four = json.loads(simulate(*command, "--set", "chips=4")[1])
    assert four["totals"]["step"]["cycles"] < fast["totals"]["step"]["cycles"]


# --- validate s4 ----------------------------------------------------------------------------------------------------


def test_verdicts() -> None:
    assert verdict(1, 9, 10) == "excluded: at its best 90% of the published rate"
    assert verdict(25, 30, 10) == "excluded: at its worst 2.5x the published rate"
    assert verdict(5, 30, 10) == "can explain it"
    assert needed_efficiency([1, 2, 4], [0.5, 0.75, 1], 3) == 0.875
    assert explaining([1, 2, 4], [0.5, 0.75, 1], 100) is None and explaining([1, 2, 4], [0.5, 0.75, 1], 0.1) is None
    assert explaining([1, 2, 4], [0.5, 0.75, 1], 4.2) == pytest.approx((0.9725, 1.0))


def tried(rates: dict[str, list[float]]) -> list[Tried]:
    return [Tried(model, "int8", 16, "", "one", "nominal", each) for model, each in rates.items()]


def test_one_set_explains_both_only_where_efficiencies_meet() -> None:
    targets, efficiencies = {RESNET: 100.0, BERT: 10.0}, (0.5, 0.75, 1.0)
    both = set_table(tried({RESNET: [60, 80, 100], BERT: [5, 8, 11]}), efficiencies, targets, (RESNET, BERT))
    assert len(both) == 1 and 0.8 < both["efficiency from"].iloc[0] < both["efficiency to"].iloc[0] <= 1
    apart = set_table(tried({RESNET: [60, 80, 100], BERT: [10, 20, 30]}), efficiencies, targets, (RESNET, BERT))
    assert apart.empty
    table = pd.DataFrame(
        [{"model": model, "ratio": 1, "precision": "int8", "inputs": "", "verdict": "excluded: x"} for model in targets]
    )
    said = conclusions(targets, table, apart)
    assert said[0] == "resnet50 at 100 a second: no ratio and no assumption in its range explains it."
    assert said[-1] == "No single set of assumptions explains both within 10%."


def test_ends_of_ranges_are_ends() -> None:
    around = Surroundings()
    assert around.ends["worst"]["l2_mib"] < around.ends["best"]["l2_mib"]
    assert around.ends["worst"]["vector.softmax_ops"] > around.ends["best"]["vector.softmax_ops"]
    assert not any(path.startswith("energy") for path in around.ends["best"])
    case = next(case for case in around.cases(POINTS[0]) if case.ratio == 16)
    worst, nominal, best = (around.rate(case, end, 0.8) for end in ("worst", "nominal", "best"))
    assert worst < nominal < best
    assert around.rate(case, "nominal", 1.0) > nominal


def test_lengths_are_distributions_and_shorter_texts_are_faster() -> None:
    assert sum(share for _, share in SQUAD_LIKE.shares) == pytest.approx(1)
    assert 170 < SQUAD_LIKE.mean < 190 and PADDED.mean == 384


@pytest.mark.slow
def test_validate_s4(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate("validate", "s4", "--out", "v")
    assert code == 0
    for words in ("can explain it", "excluded: at its best", "padded to 384", "SQuAD-like", "Nothing is fitted"):
        assert words in out
    written = {path.name for path in (tmp_path / "v").iterdir()}
    assert written >= {"explained.csv", "one-set.csv", "assumptions.csv", "conclusions.txt", "explained.png"}
