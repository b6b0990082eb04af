"""Energy: counts times entries, sums that are totals, ranges, and what happens without an entry."""

import math
from pathlib import Path

import pandas as pd
import pytest

from simulator import Job, Result, UserError, load_machine, load_result, run_job
from simulator.arch.energy import EnergyTable
from simulator.card import EnergyCard
from simulator.energy import component, joules
from simulator.job import Source
from tests.command import Run
from workloads.registry import MACHINES, names
from workloads.work import Work

GEMMS = ("--gemm", "300x40x64", "--gemm", "70x64x40", "--pattern", "2:8")


def small(*settings: str) -> Result:
    return run_job(Job(Source("sat"), Work(gemms=("300x40x64", "70x64x40")), ("2:8",), settings=settings))


def card(result: Result) -> EnergyCard:
    assert result.card.energy is not None
    return result.card.energy


def table(arch: str, *settings: str) -> EnergyTable:
    found = load_machine(arch, settings).energy
    assert found is not None
    return found


@pytest.fixture(scope="module")
def result() -> Result:
    return small()


def test_every_action_is_its_count_times_its_entry(result: Result) -> None:
    entries = card(result).entries
    for row in result.actions.itertuples():
        entry = entries[row.entry]
        per_cycle = 1e6 / 200 if entry.unit == "W" else 1.0
        assert row.energy_pj == pytest.approx(row.amount * entry.value * per_cycle, rel=1e-12)
        assert row.energy_low_pj <= row.energy_pj <= row.energy_high_pj


def test_static_power_is_drawn_as_long_as_the_step_takes(result: Result) -> None:
    actions, entries = result.actions, card(result).entries
    chip = actions[actions["kind"] == "static.chip"]["energy_pj"].sum()
    assert chip == pytest.approx(entries["static.chip"].value * result.cycles / 200e6 * 1e12)


@pytest.mark.parametrize("by", [["component"], ["tensor"], ["kind"], ["op"], ["entry"]])
def test_every_split_sums_to_the_total(result: Result, by: list[str]) -> None:
    actions = result.actions
    assert actions.groupby(by, dropna=False)["energy_pj"].sum().sum() == pytest.approx(actions["energy_pj"].sum())


def test_both_tables_of_sat_and_the_numbers_in_them_change_the_result() -> None:
    def energy(*settings: str) -> float:
        return small(*settings).energy_j

    fpga = energy()
    assert energy("energy.table=asic") < fpga
    assert energy("energy.tables.fpga.pj.mac.fp16=8") > fpga
    assert energy("energy.tables.fpga.static_w.chip=80") > fpga
    assert energy("energy.tables.asic.pj.mac.fp16=8") == fpga
    assert energy("energy.format=int8") < fpga


@pytest.mark.parametrize("kind", ["mac.fp16", "west.read", "dram.write", "sore.element", "wuve.momentum", "hop"])
def test_an_action_without_an_entry_names_it(kind: str) -> None:
    missing = kind.removesuffix(".fp16")
    with pytest.raises(UserError, match=f"energy.tables.fpga.pj: no energy entry for the action '{missing}'"):
        small(f"energy.tables.fpga.pj.{kind}=null")


def test_an_entry_deleted_in_a_file_stops_the_run_with_one_sentence(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: sat\nenergy: {tables: {fpga: {pj: {sore: {element: null}}}}}\n")
    code, out, err = simulate("--arch", "./a.yaml", *GEMMS)
    assert (code, out) == (2, "")
    assert "a.yaml: energy.tables.fpga.pj: no energy entry for the action 'sore.element'" in err
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


WRONG = [
    ("energy.table=asci", "unknown energy table 'asci'; did you mean 'asic'?"),
    ("energy.tables.fpga.pj.hop=-1", "energy.tables.fpga.pj.hop: -1 is not allowed"),
    ("energy.tables.fpga.pj.hop=much", "energy.tables.fpga.pj.hop: 'much' is not allowed"),
    ("energy.tables.fpga.pj.hpo=1", "unknown field 'energy.tables.fpga.pj.hpo'; did you mean"),
]


@pytest.mark.parametrize(("setting", "sentence"), WRONG)
def test_wrong_settings(simulate: Run, setting: str, sentence: str) -> None:
    code, _, err = simulate(*GEMMS, "--set", setting)
    assert (code, err.count("\n")) == (2, 1)
    assert sentence in err


def test_wrong_sections(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: sat\nenergy: {tables: {fpga: {pjs: {}}}}\n")
    code, _, err = simulate("--arch", "./a.yaml", *GEMMS)
    assert code == 2
    assert "a.yaml:2: energy.tables.fpga.pjs: unknown field; did you mean 'pj'?" in err


def test_a_machine_without_an_energy_section_has_no_energy(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: sat\nenergy: null\n")
    assert simulate("--arch", "./a.yaml", *GEMMS, "--out", "r")[0] == 0
    bare = load_result(tmp_path / "r")
    assert bare.card.energy is None and math.isnan(bare.energy_j)
    assert bare.actions["energy_pj"].isna().all() and not bare.actions["kind"].str.startswith("static.").any()


def test_totals_are_priced_as_the_rows_are(result: Result) -> None:
    """A sweep prices a whole step at once, a result op by op."""
    counted = result.actions[~result.actions["kind"].str.startswith("static.")]
    amounts = counted.groupby(["kind", "tensor"])["amount"].sum().to_dict()
    found = joules(table("sat"), amounts, result.seconds)
    assert found["energy_j"] == pytest.approx(result.energy_j)
    for end in ("low", "high"):
        assert found[f"energy_{end}_j"] == pytest.approx(result.actions[f"energy_{end}_pj"].sum() * 1e-12)


def test_entries_by_format_and_by_what_is_counted_for() -> None:
    s4, piuma = table("s4"), table("piuma")
    assert s4.entry("mac", "weight").name == "mac.int8"
    assert table("s4", "format.inference=bf16").entry("mac", "weight").name == "mac.bf16"
    assert piuma.entry("instruction", "atomic").name == "instruction.atomic"
    with pytest.raises(UserError, match="no energy entry for the action 'instruction', counted for jump"):
        piuma.entry("instruction", "jump")


@pytest.mark.parametrize(
    ("arch", "pattern", "mode"),
    [("sat", "2:8", "training"), ("dense", "2:8", "training"), ("s4", "bank 8:64", "inference"),
     ("s4", "bank 8:64", "training"), ("t4", "dense", "inference"), ("a100", "2:4", "training"),
     ("h100", "2:4", "training")],
)  # fmt: skip
def test_every_registered_machine_prices_all_it_counts(arch: str, pattern: str, mode: str) -> None:
    work, options = Work(model="resnet9", batch=4, mode=mode), (("check_capacity", False),)
    step = run_job(Job(Source(arch), work, (pattern,), "ste", options=options))
    for result in (step, step.baseline):
        assert result.card.energy is not None
        assert (result.actions["energy_pj"] >= 0).all() and result.actions["energy_pj"].sum() > 0


def test_sparse_products_are_priced_too(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "a.mtx").write_text(
        "%%MatrixMarket matrix coordinate real general\n3 3 4\n1 1 2\n2 2 3\n3 1 1\n1 3 4\n"
    )
    assert simulate("--arch", "piuma", "--matrix", "a.mtx", "--out", "r")[0] == 0
    assert load_result(tmp_path / "r").actions["energy_pj"].sum() > 0


def test_every_number_of_every_table_has_a_source_and_assumed_ones_a_range() -> None:
    for name in names(MACHINES):
        arch = load_machine(name)
        if arch.energy is None:
            continue
        assert arch.energy.technology and arch.energy.scaling
        for entry in (*arch.energy.static, *arch.energy.entries.values()):
            assert entry.origin.source, f"{name}: {entry.name}"
            assert entry.low <= entry.value <= entry.high, f"{name}: {entry.name}"
            assert not entry.is_assumed or entry.low < entry.high or entry.value == 0, f"{name}: {entry.name}"


def test_asic_entries_come_from_the_45_nm_table() -> None:
    asic = table("sat", "energy.table=asic")
    assert asic.entry("mac").value == 1.1 + 0.9
    assert asic.entry("wuve.momentum").value == pytest.approx(2 * (3.7 + 0.9))
    fpga = table("sat")
    for name, entry in asic.entries.items():
        if not name.startswith("dram."):
            assert fpga.entries[name].value == pytest.approx(2 * entry.value, rel=0.01), name


def test_components() -> None:
    kinds = ("west.read", "wuve.write", "wuve.adam", "dram.read", "static.dram", "noc.write")
    said = ["on-chip memory", "on-chip memory", "WUVE", "DRAM", "static DRAM", "network"]
    assert [component(kind) for kind in kinds] == said


def test_energy_and_the_dense_schedule_are_in_the_result_on_disk(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "r")
    again = load_result(tmp_path / "r")
    assert again.dense is not None and again.dense.card.is_dense
    pd.testing.assert_frame_equal(again.actions, result.actions)
    pd.testing.assert_frame_equal(again.dense.ops, result.baseline.ops)
