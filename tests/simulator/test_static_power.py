"""Static power follows what a machine has, and says no more of where it comes from than its parts do."""

import re
from pathlib import Path

import pytest

from simulator import UserError, load_machine
from simulator.arch.energy import EnergyTable
from simulator.arch.entries import Entry
from simulator.arch.loading import read_sheet, with_settings
from simulator.arch.machine import MachineSheet, machine_reader
from tests.command import Run
from workloads.provenance import Origin, Provenance, combined
from workloads.registry import MACHINES, load_part, names

FPGA = "energy.tables.fpga"
GUESSED = re.compile(r"assum|not public|not stated|usual|taken (as|to)|\babout\b|perhaps|probably|guess", re.I)


def table(arch: str | Path, *settings: str) -> EnergyTable:
    found = load_machine(arch, settings).energy
    assert found is not None
    return found


def powers(arch: str | Path, *settings: str) -> dict[str, Entry]:
    return {each.name.removeprefix("static."): each for each in table(arch, *settings).static}


def test_the_default_machine_draws_what_was_taken_for_the_whole() -> None:
    """The split of 8 W (3 to 20) among PEs, memories and the rest is assumed; its sums are those of the whole."""
    for name, whole, low, high in (("fpga", 8, 3, 20), ("asic", 1, 0.3, 4)):
        parts = powers("sat", f"energy.table={name}")
        chip = [parts[each] for each in ("chip", "pe", "memory")]
        assert sum(each.value for each in chip) == pytest.approx(whole, rel=1e-3)
        assert sum(each.low for each in chip) == pytest.approx(low, rel=0.01)
        assert sum(each.high for each in chip) == pytest.approx(high, rel=0.01)
        assert parts["dram"].value == pytest.approx(4 * 18 * 0.050 * 1.2)


TIMES = [
    ("sat", ("array.rows=16", "array.cols=16"), {"pe": 1 / 4}),
    ("sat", ("array.rows=64", "array.cols=64"), {"pe": 4}),
    ("sat", ("dram.channels=1",), {"dram": 1 / 4}),
    ("sat", ("dram=null",), {"dram": 0}),
    ("sat", ("memory.west_kib=5120",), {"memory": (9472 + 1024) / 9472}),
    ("sat", ("memory.west_kib=null",), {"memory": (9472 - 4096) / 9472}),
    ("sat", ("clock_mhz=300", "sore.lanes=64"), {}),
    ("dense", ("array.rows=128",), {"pe": 4}),
    ("s4", ("chips=4",), {"chip": 4, "dram": 4}),
    ("piuma", ("chips=3",), {"chip": 3, "core": 3, "dram": 3}),
    ("piuma", ("cores_per_chip=2",), {"core": 1 / 4}),
    ("piuma", ("chips=2", "dram.channels_per_chip=2"), {"chip": 2, "core": 2, "dram": 1 / 2}),
]


@pytest.mark.parametrize(("arch", "settings", "times"), TIMES)
def test_static_power_follows_what_a_machine_has(arch: str, settings: tuple[str, ...], times: dict[str, float]) -> None:
    before, after = powers(arch), powers(arch, *settings)
    for name, each in before.items():
        for end in ("value", "low", "high"):
            wanted = getattr(each, end) * times.get(name, 1)
            assert getattr(after[name], end) == pytest.approx(wanted), (name, end)


def test_a_section_left_out_counts_nothing_also_where_no_file_is_extended() -> None:
    """What a machine is described by in a run card has no lines of a file that it once extended."""
    whole = with_settings(read_sheet(load_part(MACHINES, "machine", "sat", MachineSheet).sheet), ["dram=null"])
    machine = machine_reader("mine", whole.description())(())
    assert machine.energy is not None
    assert {each.name: each.value for each in machine.energy.static}["static.dram"] == 0


@pytest.mark.parametrize(
    ("power", "said"),
    [
        ("{each: EACH, of: array.rwos}", "static_w.pe.of: unknown field 'array.rwos'; did you mean 'array.rows'?"),
        ("{each: EACH, of: array.pe}", "static_w.pe.of: 'array.pe' is 'unified', which is no number"),
        ("{each: EACH, of: 1 - array.rows}", "static_w.pe.of: '1 - array.rows' is -31, which is no number"),
        ("{each: EACH, of: dram}", "static_w.pe.of: 'dram' is {'channels': 4, "),
        ("{each: EACH, of: null}", "static_w.pe: a static power is a number of watts, or {each: WATTS, of: FIELDS}"),
        ("{each: EACH, a: EACH}", "static_w.pe: a static power is a number of watts, or {each: WATTS, of: FIELDS}"),
        ("{each: null}", "static_w.pe.each: None is not allowed"),
    ],
)
def test_a_power_that_cannot_be_counted_is_a_sentence(tmp_path: Path, power: str, said: str) -> None:
    each = power.replace("EACH", "{value: 1, provenance: assumed, source: x, low: 0, high: 2}")
    file = tmp_path / "a.yaml"
    file.write_text(f"extends: sat\nenergy: {{tables: {{fpga: {{static_w: {{pe: {each}}}}}}}}}\n")
    with pytest.raises(UserError, match=re.escape(said)) as error:
        load_machine(file)
    assert str(error.value).startswith("a.yaml:2: ")


def test_what_is_set_for_a_run_has_no_range_and_no_value_lies_outside_its_own(tmp_path: Path) -> None:
    entry = table("sat", f"{FPGA}.pj.mac.fp16=8").entry("mac")
    assert (entry.low, entry.value, entry.high) == (8, 8, 8)
    file = tmp_path / "a.yaml"
    price = "{value: 9, provenance: secondary, source: x, low: 1, high: 8}"
    file.write_text(f"extends: sat\nenergy: {{tables: {{fpga: {{pj: {{hop: {price}}}}}}}}}\n")
    with pytest.raises(UserError, match=f"a.yaml:2: {FPGA}.pj.hop: 9 lies outside its own range, 1 to 8"):
        load_machine(file)


def test_a_number_is_no_better_than_what_it_is_worked_out_from() -> None:
    for one in Provenance:
        for other in Provenance:
            assert combined(one, other) is combined(other, one)
            doubtful = {one, other} & {Provenance.ASSUMED, Provenance.UNKNOWN, Provenance.SET}
            assert (combined(one, other) in doubtful) if doubtful else combined(one, other) is Provenance.DERIVED
    assert combined(Provenance.SET, Provenance.ASSUMED) is Provenance.ASSUMED


@pytest.mark.parametrize(
    ("price", "channels", "wanted"),
    [("published", "published", "derived"), ("published", "assumed", "assumed"), ("assumed", "published", "assumed"),
     ("secondary", "set", "set")],
)  # fmt: skip
def test_a_power_counted_by_an_assumed_number_is_assumed(
    tmp_path: Path, price: str, channels: str, wanted: str
) -> None:
    power = f"{{value: 2, provenance: {price}, source: a data sheet}}"
    file = tmp_path / "a.yaml"
    file.write_text(
        f"extends: sat\ndram: {{channels: {{value: 2, provenance: {channels}, source: x}}}}\n"
        f"energy: {{tables: {{fpga: {{static_w: {{dram: {{each: {power}}}}}}}}}}}\n"
    )
    entry = powers(file)["dram"]
    assert (entry.value, entry.origin.provenance.value) == (4, wanted)
    assert entry.origin.source == "2 x 2 W (dram.channels): a data sheet"


def all_numbers() -> list[tuple[str, Origin]]:
    """Every number of every shipped machine file, also of the energy tables that are not in force."""
    sheets = {name: read_sheet(load_part(MACHINES, "machine", name, MachineSheet).sheet) for name in names(MACHINES)}
    return [(f"{name}: {path}", origin) for name, sheet in sheets.items() for path, origin in sheet.origins.items()]


def test_no_shipped_number_passes_an_assumption_off_as_stated() -> None:
    """What is derived follows from stated numbers: a range of its own, or a guess in its source, is an assumption."""
    found = all_numbers()
    assert len(found) > 250
    for place, origin in found:
        if origin.provenance not in (Provenance.ASSUMED, Provenance.UNKNOWN):
            assert not GUESSED.search(origin.source), f"{place}: {origin.source}"
        if origin.provenance is Provenance.DERIVED:
            assert (origin.low, origin.high) == (None, None), f"{place}: what leaves its range open is assumed"


HBM = "dram: {channel_bandwidth_gb_s: {value: 57.5, provenance: secondary, source: a pseudo-channel}}\n"
OWN = "{value: 31, provenance: assumed, source: HBM2E, low: 20, high: 60}"
ENTRIES = (
    f"energy: {{tables: {{fpga: {{pj: {{dram: {{read: {OWN}, write: {OWN}}}}}, "
    f"static_w: {{dram: {{each: {{value: 0.2, provenance: assumed, source: a share, low: 0.1, high: 1}}}}}}}}}}}}\n"
)
RATE = "dram.channel_bandwidth_gb_s is 57.5 instead of 19.2, and the energy of DRAM is still DDR4's: give "
ALL = f"static_w.dram, pj.dram.read, pj.dram.write under {FPGA}"


@pytest.mark.parametrize(
    ("files", "settings", "note"),
    [
        (["extends: sat\n" + HBM], (), RATE + ALL),
        (["extends: sat\n"], ("dram.channel_bandwidth_gb_s=57.5",), RATE + ALL),
        (["extends: sat\n" + HBM, "extends: a0.yaml\n"], (), RATE + ALL),
        (["extends: sat\n" + HBM], (f"{FPGA}.pj.dram.read=31", f"{FPGA}.pj.dram.write=31"),
         RATE + f"static_w.dram under {FPGA}"),
        (["extends: sat\n" + HBM + ENTRIES], (), ""),
        (["extends: sat\n" + HBM + ENTRIES], ("dram.channel_bandwidth_gb_s=60",), ""),
        (["extends: sat\n" + HBM, "extends: a0.yaml\n" + ENTRIES], (), ""),
        (["extends: sat\n" + ENTRIES], (), ""),
        (["extends: sat\n"], ("dram.channels=8", "dram.latency_ns=50"), ""),
        (["extends: sat\n"], ("dram.channel_bandwidth_gb_s=19.2",), ""),
        (["extends: sat\n"], ("dram=null",), ""),
    ],
)  # fmt: skip
def test_a_variant_with_another_memory_is_told_whose_energy_it_has(
    tmp_path: Path, files: list[str], settings: tuple[str, ...], note: str
) -> None:
    for number, text in enumerate(files):
        (tmp_path / f"a{number}.yaml").write_text(text)
    assert table(tmp_path / f"a{len(files) - 1}.yaml", *settings).note == note


def test_every_shipped_machine_knows_its_own_memory(simulate: Run) -> None:
    for name in names(MACHINES):
        energy = load_machine(name).energy
        assert energy is None or energy.note == ""
    for arch, rate, kind in (
        ("s4", "dram.bandwidth_gb_s", "LPDDR4X"),
        ("t4", "memory.bandwidth_gb_s", "GDDR6"),
        ("a100", "memory.bandwidth_gb_s", "HBM2e"),
        ("piuma", "dram.channel_bandwidth_gb_s", "DDR5"),
    ):
        assert f"the energy of DRAM is still {kind}'s" in table(arch, f"{rate}=12345").note
    shown = simulate("show", "sat", "--set", "dram.channel_bandwidth_gb_s=57.5")[1]
    assert RATE in " ".join(shown.split())
    assert "static power: chip 3 W, PEs 4 W, on-chip memory 1 W, DRAM 4.32 W" in shown
