"""The band of a step: what is in it, what gives its ends, that it is the same again, and beside what it is shown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pandas as pd
import pytest

from reports import bands
from reports.sensitivity import number_table, strongest
from simulator import load_result
from simulator.card import Card
from simulator.card_parts import Band
from simulator.job import Job, Source
from simulator.result import Result
from simulator.runner import run_job
from simulator.sensitivity.digests import job_digest
from simulator.sensitivity.numbers import open_numbers
from simulator.sensitivity.simulations import Simulations
from simulator.sensitivity.study import Found, How, find_band
from tests.command import Run
from workloads.errors import UserError
from workloads.shipped import load_shipped
from workloads.work import Work

HOW = How(samples=8, search=24)
OPEN = ("array.rows", "array.accumulators", "array.adder_latency_cycles", "array.group_max")
WORK = Work(gemms=("70x64x40",))
A100 = ("--arch", "a100", "--pattern", "2:4", "--gemm", "300x64x64")


def job_of(*settings: str, pattern: str = "2:8") -> Job:
    """A small step on SAT, of which four numbers are open: the others are set, to what they are."""
    numbers = open_numbers(run_job(Job(Source("sat"), WORK, (pattern,))).card.numbers)
    others = (each.setting(each.value) for each in numbers if each.path not in OPEN)
    return Job(Source("sat"), WORK, (pattern,), settings=(*others, *settings))


def band_of(result: Result, folder: Path, how: How = HOW) -> tuple[Found, Simulations]:
    simulations = Simulations(1, folder)
    return find_band(result, how, simulations, lambda *_: None), simulations


def energy_ratio(result: Result) -> float:
    return result.baseline.energy_j / result.energy_j


@pytest.fixture(scope="module")
def result() -> Result:
    return run_job(job_of())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("band") / "kept"


@pytest.fixture(scope="module")
def found(result: Result, place: Path) -> Found:
    return band_of(result, place)[0]


def test_everything_that_was_run_is_in_the_band(found: Found, result: Result) -> None:
    band = found.band
    assert band.energy_ratio is not None
    assert (band.numbers, band.samples, band.refused) == (len(OPEN), HOW.samples, 0)
    assert (band.speedup.value, band.energy_ratio.value) == pytest.approx((result.speedup, energy_ratio(result)))
    ratios = [each for _, each in found.samples if each] + [each for both in found.alone for each in both if each]
    assert len(ratios) == band.samples + 2 * (band.numbers + band.prices)
    for each in ratios:
        assert each.energy_ratio is not None
        assert band.speedup.low <= each.speedup <= band.speedup.high
        assert band.energy_ratio.low - 1e-9 <= each.energy_ratio <= band.energy_ratio.high + 1e-9
    assert band.speedup.low < result.speedup < band.speedup.high


def test_the_settings_of_every_end_give_it_again(found: Found, result: Result) -> None:
    job, energy = result.card.job, found.band.energy_ratio
    assert energy is not None and any(each.startswith("energy.tables.") for each in energy.low_settings)
    for low in (True, False):
        speed, ratio = (
            run_job(replace(job, settings=(*job.settings, *(each.low_settings if low else each.high_settings))))
            for each in (found.band.speedup, energy)
        )
        assert speed.speedup == pytest.approx(found.band.speedup.low if low else found.band.speedup.high)
        assert energy_ratio(ratio) == pytest.approx(energy.low if low else energy.high)


def test_a_sample_is_what_the_simulator_says_of_its_numbers_and_prices(found: Found, result: Result) -> None:
    values, ratios = found.samples[3]
    settings = tuple(each.setting(value) for each, value in zip(found.varied, values, strict=True))
    there = run_job(replace(result.card.job, settings=(*result.card.job.settings, *settings)))
    assert ratios is not None
    assert (ratios.speedup, ratios.energy_ratio) == pytest.approx((there.speedup, energy_ratio(there)))


def test_the_same_again_runs_nothing_and_another_seed_draws_others(found: Found, result: Result, place: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in place.glob("points/*"))
    again, _ = band_of(result, place)
    assert again == found
    assert sorted(path.stat().st_mtime_ns for path in place.glob("points/*")) == before
    other, _ = band_of(result, place, replace(HOW, seed=2, search=0))
    assert [values for values, _ in other.samples] != [values for values, _ in found.samples]
    assert not other.band.ended and other.band.speedup.low >= found.band.speedup.low


def test_machines_that_are_refused_are_counted(tmp_path: Path) -> None:
    refusing, _ = band_of(run_job(job_of(pattern="4:8")), tmp_path / "kept", replace(HOW, search=0))
    group = [each.path for each in refusing.varied].index("array.group_max")
    refused = [values[group] for values, ratios in refusing.samples if ratios is None]
    assert refused and max(refused) < 4 <= min(values[group] for values, ratios in refusing.samples if ratios)
    assert refusing.band.refused == len(refused) < HOW.samples
    assert refusing.band.all_refused == sum(refusing.refused.values()) > len(refused)  # its low end alone, too
    assert any("array.group_max is 2, n may not be more" in reason for reason in refusing.refused)
    table = number_table(refusing)
    assert pd.isna(table.loc["array.group_max", "speedup_low"]) and table.loc["array.group_max", "speedup_high"] > 1


def test_strength_is_the_rank_correlation_over_the_samples(found: Found) -> None:
    table = number_table(found)
    rows = pd.DataFrame([values for values, _ in found.samples], columns=[each.path for each in found.varied])
    speedups = pd.Series([ratios.speedup for _, ratios in found.samples if ratios])
    for path in OPEN:
        assert table.loc[path, "speedup_rank"] == pytest.approx(rows[path].corr(speedups, method="spearman"))
    ranks = strongest(table, "speedup")["rank"].abs()
    assert ranks.is_monotonic_decreasing and set(ranks.index) == set(OPEN)
    assert pd.isna(table.loc["energy.tables.fpga.pj.dram.read", "speedup_rank"])


def test_monotone_ranges_have_their_extremes_at_the_corners(tmp_path: Path) -> None:
    result = run_job(Job(Source("a100"), Work(gemms=("300x64x64",)), ("2:4",)))
    found, _ = band_of(result, tmp_path / "kept", replace(HOW, search=60))
    assert found.band.ended
    numbers = open_numbers(result.card.numbers)
    corners = product(*((each.low, each.high) for each in numbers))
    ratios = []
    for corner in corners:
        settings = tuple(each.setting(value) for each, value in zip(numbers, corner, strict=True))
        ratios.append(run_job(replace(result.card.job, settings=settings)).speedup)
    assert (found.band.speedup.low, found.band.speedup.high) == pytest.approx((min(ratios), max(ratios)))


def test_what_has_no_band_says_so(simulate: Run) -> None:
    code, out, err = simulate("--gemm", "8x8x8", "--band")
    assert (code, out) == (2, "") and "a band is of a speed-up over dense, which only a step with sparse weights" in err
    code, _, err = simulate("sensitivity", *A100, "--samples", "0")
    assert code == 2 and "--samples 0: must be at least 1" in err
    code, _, err = simulate("sensitivity", *A100, "--samples", "100000")
    assert code == 2 and "--limit points=" in err
    stated = ("tensor.efficiency=0.5", "tensor.two_of_four_efficiency=0.4", "memory.efficiency=0.8")
    still = tuple(each for setting in (*stated, "overhead.launch_us=2") for each in ("--set", setting))
    code, _, err = simulate("sensitivity", *A100, *still)
    assert code == 2 and "machine 'a100' has no assumed number with a range" in err


def test_the_command_prints_writes_and_goes_on(simulate: Run, tmp_path: Path) -> None:
    line = ("sensitivity", *A100, "--samples", "8", "--search", "30", "--jobs", "1")
    code, out, _ = simulate(*line, "--out", "o")
    assert code == 0
    said = " ".join(out.split())
    for words in (
        "8 samples of a Latin hypercube (seed 1)",
        "Speed-up: ",
        "over all of that lowest with",
        "overhead.launch_us",
    ):
        assert words in said
    written = {path.name for path in (tmp_path / "o").iterdir()}
    assert written == {"sensitivity.json", "numbers.csv", "samples.csv", "sensitivity.png", "sensitivity.svg"}
    assert len(pd.read_csv(tmp_path / "o" / "samples.csv")) == 8
    code, text, _ = simulate(*line, "--json")
    node = json.loads(text)
    assert code == 0 and node == json.loads((tmp_path / "o" / "sensitivity.json").read_text())
    assert node["band"]["speedup"]["low"] < node["band"]["speedup"]["value"] < node["band"]["speedup"]["high"]


def test_the_headline_has_the_band_that_was_asked_for(
    simulate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.command.step.sensitivity.How", lambda: How(samples=4, search=0, jobs=1))
    assert "(--band: how far everything assumed moves it)" in simulate(*A100, "--out", "a")[1]
    code, out, _ = simulate(*A100, "--band", "--out", "b")
    assert code == 0 and "x over everything assumed" in out and out.count("over everything assumed)") == 1
    loaded = load_result(tmp_path / "b")
    band = bands.known_band(loaded)
    assert band is not None and band.samples == 4 and bands.is_of(band, loaded)
    assert bands.known_band(load_result(tmp_path / "a")) is None
    assert simulate("report", "b", "--no-sensitivity")[0] == 0
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert "over everything assumed that is" in page and "4 samples of a Latin hypercube (seed 1)" in page
    card = json.loads((tmp_path / "b" / "card.json").read_text())
    card["more"]["band"]["speedup"]["low"] = "low"
    (tmp_path / "b" / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"more: band: speedup\.low"):
        load_result(tmp_path / "b")


def shipped_in(path: Path, found: Sequence[Band], monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(json.dumps([asdict(each) for each in found]))
    monkeypatch.setattr(bands, "SHIPPED", path)


def test_a_band_that_ships_stands_beside_its_very_step_alone(
    found: Found, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped_in(tmp_path / "bands.json", [found.band], monkeypatch)
    assert bands.known_band(result) == found.band
    assert (
        bands.band_words(result)
        == f", {found.band.speedup.low:.2f}x to {found.band.speedup.high:.2f}x over everything assumed"
    )
    job = result.card.job
    for other in (
        replace(job, settings=(*job.settings, "array.rows=64")),
        replace(job, settings=(*job.settings, "array.rows=32")),  # the same cycles, but set, so that it stands still
        replace(job, patterns=("2:4",)),
        replace(job, work=replace(WORK, gemms=("70x64x48",))),
        replace(job, settings=(*job.settings, "energy.tables.fpga.pj.hop=0.5")),
    ):
        assert bands.known_band(run_job(other)) is None
    assert bands.known_band(run_job(replace(job, exact=True))) == found.band
    slower = replace(found.band, cycles=found.band.cycles + 1)  # of a model that has changed since
    shipped_in(tmp_path / "stale.json", [slower], monkeypatch)
    assert bands.known_band(result) is None and "--band" in bands.band_words(result)


def test_bands_are_shipped_one_by_one_in_place_of_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    job, path = Job(Source("a100"), Work(gemms=("300x64x64",)), ("2:4",)), tmp_path / "bands.json"
    how = How(samples=4, search=0, jobs=1)
    bands.ship([job], path, how)
    assert capsys.readouterr().out.startswith("a100 gemm 2:4: 0.")  # pruning costs more than that saves
    first = path.read_bytes()
    bands.ship([job], path, how)
    assert path.read_bytes() == first and len(json.loads(first)) == 1
    assert {each.job for each in bands.shipped(path).values()} == {json.loads(first)[0]["job"]}
    other = replace(job, work=Work(gemms=("300x64x128",)))
    for each in (other, job):  # in one process, which has read the file before
        bands.ship([each], path, how)
    assert len(json.loads(path.read_bytes())) == 2


def check_shipped(jobs: Sequence[Job]) -> None:
    known = bands.shipped(bands.SHIPPED)
    for result in map(run_job, jobs):
        band = known.get(job_digest(result.card))
        if band is None:
            continue  # it is found when it is asked for
        assert bands.is_of(band, result), f"{band.work}: its band is of another machine or model: make bands"
        assert band.speedup.low < band.speedup.value < band.speedup.high
        ends = band.speedup
        for settings, wanted in ((ends.low_settings, ends.low), (ends.high_settings, ends.high)):
            again = run_job(replace(result.card.job, settings=settings))
            assert again.speedup == pytest.approx(wanted), f"{band.work}: another model gave its band: make bands"


def test_the_smallest_band_that_ships_is_of_todays_machine_and_model() -> None:
    """Bands come from `make bands`; whoever changes a machine file or a model makes them again."""
    jobs = bands.shipped_jobs()
    assert len(jobs) == 11 and len(bands.shipped(bands.SHIPPED)) <= len(jobs)
    check_shipped([job for job in jobs if job.work.model == "resnet9"])


def test_the_digest_of_a_work_that_ships_is_the_one_its_band_was_found_for() -> None:
    """A field that works get later must not change it: a band with another digest is silently no longer shown."""
    job = next(each for each in bands.shipped_jobs() if each.work.model == "resnet18")
    step = load_shipped("resnet18")
    card = SimpleNamespace(job=job, batch=step.batch, sequence=step.sequence, method="bdwp", pattern=bands.PATTERN)
    assert job_digest(cast(Card, card)) in bands.shipped(bands.SHIPPED)


# Far ends of what sat.yaml leaves open, put together by hand.
SLOW = ("vector.lanes=16", "array.adder_latency_cycles=13", "array.west_link_operands_per_cycle=1",
        "array.accumulators=1", "dram.channels=1")  # fmt: skip
FAST = ("array.rows=16", "array.cols=16", "vector.lanes=256", "array.adder_latency_cycles=0")


@pytest.mark.parametrize("settings", [SLOW, FAST])
def test_no_choice_of_ours_lies_outside_the_band_of_resnet18_that_ships(settings: tuple[str, ...]) -> None:
    job = Job(Source(bands.MACHINE), Work(model="resnet18"), (bands.PATTERN,))
    there = run_job(replace(job, settings=settings))
    assert not 1.48 < there.speedup < 1.85  # about as far as the array's size alone reaches
    band = bands.shipped(bands.SHIPPED).get(job_digest(there.card))
    if band is not None:
        assert band.speedup.low <= there.speedup <= band.speedup.high


@pytest.mark.slow
def test_all_bands_that_ship_are_of_todays_machine_and_models() -> None:
    check_shipped(bands.shipped_jobs())
