"""The S4 card on real models: what bounds it decides what doubling does, banks, residence, mappings, cards of chips."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from dataflows.s4.jobs import passes
from dataflows.s4.planner import S4 as COMPILER
from dataflows.s4.stages import RATIOS, check_banks
from simulator.arch.machine import load_machine
from simulator.bounds import cycles_by_bound
from simulator.library import simulate
from simulator.machines.s4 import S4Arch
from simulator.runs import Runs
from tests.executed import Executed, execute, planned
from workloads.apply_method import apply_method, for_inference
from workloads.errors import UserError
from workloads.methods.bdwp import BDWP
from workloads.op import MatrixOp, VectorOp
from workloads.pattern import parse_pattern, parse_patterns
from workloads.shipped import load_shipped
from workloads.workload import Workload

S4: S4Arch = load_machine("s4").spec
PEAK = 943.6e12  # published, INT8 at 32x, one chip


@cache
def dense_step(model: str, batch: int, sequence: int | None = None) -> Workload:
    return for_inference(load_shipped(model, batch, sequence))


def step(model: str, batch: int, pattern: str, sequence: int | None = None) -> Workload:
    patterns = parse_patterns([] if pattern == "dense" else [pattern, f"*={pattern}"])
    return apply_method(dense_step(model, batch, sequence), BDWP, patterns)


def result(work: Workload, arch: S4Arch = S4) -> Executed:
    runs = Runs()
    return execute(planned(COMPILER, work, arch, runs), runs)


def cycles(work: Workload, **parts: Any) -> int:
    return result(work, replace(S4, **parts)).cycles


def test_the_published_peak_is_the_units() -> None:
    assert 2 * S4.macs_per_cycle("int8") * S4.clock_mhz * 1e6 * 32 == pytest.approx(PEAK, rel=1e-4)
    assert 2 * S4.macs_per_cycle("int8") * S4.clock_mhz * 1e6 * 32 <= PEAK
    assert S4.macs_per_cycle("bf16") * 2 == S4.macs_per_cycle("int8")
    other = replace(S4, clock_mhz=799.89, units=replace(S4.units, rows=18))
    assert 0.9999 * PEAK <= 2 * other.macs_per_cycle("int8") * other.clock_mhz * 1e6 * 32 <= PEAK


@pytest.mark.parametrize(("model", "batch", "sequence"), [("resnet50", 16, None), ("bert-large", 32, 384)])
def test_peaks_are_never_passed_and_time_never_rises_with_the_ratio(
    model: str, batch: int, sequence: int | None
) -> None:
    ideal = replace(S4, units=replace(S4.units, efficiency=1.0))
    taken = []
    for ratio in RATIOS:
        work = step(model, batch, "dense" if ratio == 1 else f"{64 // ratio}:64", sequence)
        taken.append(result(work, ideal).cycles)
        assert 2 * work.macs / (taken[-1] / (S4.clock_mhz * 1e6)) <= PEAK / 32 * ratio
    assert taken == sorted(taken, reverse=True)
    assert taken[0] / taken[-1] < 32


# --- the bound in force ---------------------------------------------------------------------------------------------


def layer(rows: int, cols: int, inner: int, pattern: str, batch: int = 8) -> Workload:
    """One linear layer, no vector work behind it; the same number of rows a sample."""
    from tests.cards import X
    from workloads.op import Operand, Phase, Role

    op = MatrixOp("layer", Phase.FF, rows * batch, inner, cols, X, Operand("w", Role.WEIGHT, parse_pattern(pattern)))
    return replace(dense_step("resnet18", 1), ops=(op,), batch=batch)


FAST_VECTOR = replace(S4.vector, peak_tops=1000.0)
FAST_HOST = replace(S4.host, bandwidth_gb_s=1e6)
FAST_DRAM = replace(S4.dram, bandwidth_gb_s=1e5, latency_ns=0.0)
FAST_NOC = replace(S4.noc, bandwidth_gb_s=1e5)
QUICK = {"vector": FAST_VECTOR, "host": FAST_HOST, "dram": FAST_DRAM, "noc": FAST_NOC}


def bound_of(work: Workload, **parts: Any) -> str:
    runs = Runs()
    spent = cycles_by_bound(planned(COMPILER, work, replace(S4, **parts), runs)[:1], runs, COMPILER.engines)
    return max(spent, key=lambda name: spent[name])


def test_bound_by_compute_batch_and_ratio_count_and_bandwidth_does_not() -> None:
    work = layer(1024, 1024, 1024, "16:64")
    assert bound_of(work, **QUICK) == "compute"
    base = cycles(work, **QUICK)
    assert cycles(layer(1024, 1024, 1024, "16:64", batch=16), **QUICK) == pytest.approx(2 * base, rel=0.02)
    assert cycles(layer(1024, 1024, 1024, "8:64"), **QUICK) == pytest.approx(base / 2, rel=0.03)
    twice = replace(FAST_DRAM, bandwidth_gb_s=2e5)
    assert cycles(work, **{**QUICK, "dram": twice}) == pytest.approx(base, rel=0.01)


def test_bound_by_vector_work_the_ratio_does_nothing_and_vector_units_everything() -> None:
    slow = {**QUICK, "vector": replace(S4.vector, peak_tops=0.1)}
    work = layer(1024, 1024, 1024, "4:64")
    assert bound_of(work, **slow) == "vector"
    base = cycles(work, **slow)
    assert cycles(layer(1024, 1024, 1024, "2:64"), **slow) == pytest.approx(base, rel=0.02)
    faster = {**slow, "vector": replace(S4.vector, peak_tops=0.2)}
    assert cycles(work, **faster) == pytest.approx(base / 2, rel=0.05)
    assert cycles(layer(1024, 1024, 1024, "4:64", batch=16), **slow) == pytest.approx(2 * base, rel=0.02)


def test_bound_by_dram_bandwidth_counts_and_the_ratio_shrinks_bytes_with_their_indices() -> None:
    slow = {**QUICK, "l2_mib": 1.0, "dram": replace(S4.dram, bandwidth_gb_s=1.0, latency_ns=0.0)}
    work = layer(4, 8192, 8192, "16:64", batch=4)
    assert bound_of(work, **slow) == "DRAM"
    base = cycles(work, **slow)
    twice = {**slow, "dram": replace(S4.dram, bandwidth_gb_s=2.0, latency_ns=0.0)}
    assert cycles(work, **twice) == pytest.approx(base / 2, rel=0.02)
    assert cycles(layer(4, 8192, 8192, "8:64", batch=4), **slow) == pytest.approx(base / 2, rel=0.02)
    assert cycles(layer(4, 8192, 8192, "16:64", batch=8), **slow) == pytest.approx(base, rel=0.02)
    dense = cycles(layer(4, 8192, 8192, "dense", batch=4), **slow)
    assert dense / base == pytest.approx(4 * 8 / 14, rel=0.02)  # a kept byte has six bits of index


def test_bound_by_the_network_its_bandwidth_counts() -> None:
    split = {**QUICK, "noc": replace(S4.noc, bandwidth_gb_s=2.0), "schedule": replace(S4.schedule, mapping="four-core")}
    work = layer(1024, 1024, 1024, "2:64")
    assert bound_of(work, **split) == "NoC"
    base = cycles(work, **split)
    twice = {**split, "noc": replace(S4.noc, bandwidth_gb_s=4.0)}
    assert cycles(work, **twice) == pytest.approx(base / 2, rel=0.05)
    multicast = {**split, "noc": replace(S4.noc, bandwidth_gb_s=2.0, multicast=True)}
    assert cycles(work, **multicast) == pytest.approx(base / 3, rel=0.05)


def test_bound_by_the_host_only_its_link_counts() -> None:
    slow = {**QUICK, "host": replace(S4.host, bandwidth_gb_s=0.01)}
    work = step("resnet18", 4, "4:64")
    base = cycles(work, **slow)
    assert base == pytest.approx(4 * 3 * 224 * 224 / (0.01e9 * 0.8) * S4.clock_mhz * 1e6, rel=1e-3)
    assert cycles(work, **{**slow, "host": replace(S4.host, bandwidth_gb_s=0.02)}) == pytest.approx(base / 2, rel=1e-3)


# --- what it runs and what it refuses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("2:4", 2), ("2:8", 4), ("1:8", 8), ("4:64", 16), ("bank 2:64", 32), ("1:32", 32), ("4:4", 1), ("1:2", 2)],
)
def test_patterns_with_a_supported_number_in_every_bank_run(text: str, ratio: int) -> None:
    assert check_banks(parse_pattern(text), 64, "layer") == ratio
    found = result(layer(16, 64, 128, text)).ops.iloc[0]
    assert (found["macs_useful"] + found["macs_skipped"]) / found["macs_useful"] == ratio


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3:8", r"layer FF: pattern 3:8 keeps 24 in a bank of 64; a bank of 64 keeps 64, 32, 16, 8, 4 or 2 .* 32:64\)"),
        ("1:64", r"keeps 1 in a bank of 64; .* \(the nearest is 2:64\)"),
        ("2:6", r"groups of 6 do not fill banks of 64"),
        ("8:128", r"groups of 128 do not fill banks of 64"),
        ("fan-in 32", r"does not keep the same number in every bank"),
        ("density 0.5", r"does not keep the same number in every bank"),
    ],
)
def test_other_patterns_are_refused_with_a_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        result(layer(16, 64, 128, text))


def test_convolutions_of_odd_channels_stay_dense_and_say_so() -> None:
    runs = Runs()
    rows = [each for each in planned(COMPILER, step("resnet18", 4, "1:16"), S4, runs) if isinstance(each.op, MatrixOp)]
    assert "dense: 3 channels are no multiple of 4" in rows[0].detail
    assert str(rows[0].op.right.pattern) == "dense" and rows[0].macs_skipped == 0
    assert all(each.macs_skipped > 0 for each in rows[1:])


def test_vector_work_overlaps_and_normalisation_behind_convolutions_is_folded() -> None:
    rows = result(step("resnet18", 16, "4:64")).ops
    assert (rows[rows["kind"] != "product"].iloc[:-1]["dataflow"] == "fused").all()
    heavy = replace(S4.vector, normalisation_ops=100.0)
    assert cycles(step("resnet18", 16, "4:64"), vector=heavy) == rows["cycles"].sum()
    assert cycles(step("vit-s", 4, "4:64"), vector=heavy) > cycles(step("vit-s", 4, "4:64"))


def test_activations_stay_on_chip_as_far_as_l2_reaches() -> None:
    def moved(l2_mib: float) -> int:
        actions = result(step("resnet50", 16, "4:64"), replace(S4, l2_mib=l2_mib)).actions
        return int(actions[actions["kind"].str.startswith("dram") & (actions["tensor"] != "weight")]["amount"].sum())

    small, middle, large = moved(1.0), moved(4.0), moved(16.0)
    assert small > 2 * middle and middle >= large
    images = 16 * 3 * 224 * 224
    assert large == pytest.approx(2 * images, rel=0.01)  # written by the host, read by the first layer


def test_weights_are_resident_where_everything_fits() -> None:
    runs = Runs()
    rows = planned(COMPILER, step("resnet18", 4, "2:64"), replace(S4, l2_mib=64.0), runs)
    assert all("weights=resident" in each.detail for each in rows if isinstance(each.op, MatrixOp))
    result_ = execute(rows, runs)
    assert result_.actions.query("kind == 'dram.read' and tensor == 'weight'").empty
    assert {"broadcast", "streamed"} & {
        word
        for each in planned(COMPILER, step("resnet50", 16, "4:64"), S4, Runs())
        for word in each.detail.replace("=", " ").split()
    }


@pytest.mark.parametrize("mapping", ["single-core", "four-core"])
def test_both_mappings_run_and_the_scheduler_takes_the_better(mapping: str) -> None:
    for batch in (1, 16):
        work = step("resnet50", batch, "4:64")
        best = result(work)
        asked = result(work, replace(S4, schedule=replace(S4.schedule, mapping=mapping)))
        assert set(asked.ops["dataflow"]) <= {mapping, "fused", "host"}
        assert best.cycles <= asked.cycles
    single = result(step("resnet50", 1, "4:64"), replace(S4, schedule=replace(S4.schedule, mapping="single-core")))
    assert result(step("resnet50", 1, "4:64")).cycles < single.cycles  # one image: three cores would idle


@pytest.mark.parametrize("chips", [2, 3, 4])
def test_cards_of_chips_share_the_batch(chips: int) -> None:
    one, card = result(step("bert-base", 32, "4:64", 384)), replace(S4, chips=chips)
    many = result(step("bert-base", 32 * chips, "4:64", 384), card)
    assert many.cycles == pytest.approx(one.cycles, rel=0.001)
    mac = "kind == 'mac'"
    assert many.actions.query(mac)["amount"].sum() == chips * one.actions.query(mac)["amount"].sum()
    uneven = result(step("bert-base", 32 * chips - 1, "4:64", 384), card)
    assert uneven.cycles <= 1.001 * many.cycles


def test_bf16_takes_twice_the_time_of_int8_and_twice_the_bytes() -> None:
    work = layer(1024, 1024, 1024, "16:64")
    form = replace(S4.format, inference="bf16")
    assert cycles(work, **QUICK, format=form) == pytest.approx(2 * cycles(work, **QUICK), rel=0.02)


@pytest.mark.parametrize("model", ["resnet50", "bert-base", "gpt2-small", "vit-b"])
def test_a_training_step_runs_in_bf16(model: str) -> None:
    work = apply_method(load_shipped(model, 8), BDWP, parse_patterns(["2:8"]))
    found = result(work)
    assert set(found.ops["phase"]) == {"FF", "BP", "WU", "UP"}
    assert found.ops["macs_useful"].sum() + found.ops["macs_skipped"].sum() == work.macs
    assert set(found.ops[found.ops["kind"] == "product"]["pes"]) == {S4.macs_per_cycle("bf16")}
    with pytest.raises(UserError, match="chips=2: a training step is modelled on one chip; add --mode inference"):
        result(work, replace(S4, chips=2))


def test_passes_deal_a_batch_out() -> None:
    for batch in range(1, 40):
        for lanes in (1, 3, 4):
            for samples in (1, 2, 5):
                dealt = passes(batch, lanes, samples)
                assert sum(each.total * each.count for each in dealt) == batch
                assert sum(each.busiest * each.count for each in dealt) == -(-batch // lanes)
                assert all(each.busiest <= samples and each.total <= each.busiest * lanes for each in dealt)


def test_a_step_too_large_for_the_card_is_refused() -> None:
    small = replace(S4, dram=replace(S4.dram, capacity_gib=0.01))
    with pytest.raises(UserError, match=r"more than the card's 0\.0 GiB"):
        result(step("bert-base", 8, "dense", 128), small)
    with pytest.raises(UserError, match="more than half of a core's L2: l2_mib=4 is too small for this step"):
        result(layer(64, 64, 1 << 18, "dense"))
    assert all(isinstance(op, MatrixOp | VectorOp) for op in dense_step("bert-base", 8, 128).ops)


def test_larger_cards_have_a_link_of_their_own() -> None:
    """PCIe 4.0 x16 on cards of several chips, 3.0 on the card of one; inputs of small images bound this step."""
    assert (S4.host.bandwidth_gb_s, S4.host.several_chips_gb_s) == (15.75, 31.51)
    work, job = ("s4", "2:64", "resnet50"), {"batch": 64, "mode": "inference"}
    assert simulate(*work, settings={"chips": 4}, **job).cycles == 526_175
    assert simulate(*work, settings={"chips": 4, "host.several_chips_gb_s": 15.75}, **job).cycles == 688_037
