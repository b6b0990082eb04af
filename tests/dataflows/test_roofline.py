"""A GPU as a roofline: it holds the laws, and moves with what bounds it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.roofline import ROOFLINE
from simulator.arch.machine import load_machine
from simulator.machines.gpu import RooflineArch
from simulator.runs import Runs
from tests.cards import X, steps
from tests.executed import Executed, execute, planned
from tests.simulator.test_laws_s4 import sparse
from workloads.apply_method import for_inference
from workloads.errors import UserError
from workloads.named import with_method
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, PatternMap, parse_pattern, parse_patterns
from workloads.shipped import load_shipped
from workloads.stated import from_gemms
from workloads.workload import Mode, Workload

T4: RooflineArch = load_machine("t4").spec
A100: RooflineArch = load_machine("a100").spec
HALF = replace(A100, inference="fp16")
PATTERNS = ["dense", "2:4", "1:4", "2:8", "1:2", "bank 2:64"]


def result(step: Workload, arch: RooflineArch, exact: bool = False) -> Executed:
    runs = Runs(exact)
    return execute(planned(ROOFLINE, step, arch, runs), runs)


@given(steps(), st.sampled_from(PATTERNS))
@settings(max_examples=100, deadline=None)
def test_laws(step: Workload, pattern: str) -> None:
    chosen = sparse(step, parse_pattern(pattern))
    found = result(chosen, A100)
    assert found.ops.equals(result(chosen, A100, exact=True).ops)
    read = found.actions[found.actions["kind"].str.startswith("dram")].groupby("op")["amount"].sum()
    for number, (op, (_, row)) in enumerate(zip(chosen.ops, found.ops.iterrows(), strict=True)):
        assert row["busy_cycles"] + row.filter(like="stall_").sum() == row["cycles"]
        assert row["cycles"] >= read.get(number, 0) / A100.dram_channel().bytes_per_tick  # type: ignore[operator]
        if isinstance(op, MatrixOp):
            assert row["macs_useful"] + row["macs_skipped"] == op.macs
            assert row["macs_padded"] >= 0 and row["cycles"] >= A100.launch_ticks()
            if op.right.role is Role.WEIGHT and pattern == "2:4" and op.inner % 4 == 0 and op.geometry is None:
                assert row["macs_skipped"] == op.macs // 2


def step_of(batch: int) -> Workload:
    return for_inference(load_shipped("bert-large", batch, 384))


def test_the_bound_in_force_decides_what_doubling_does() -> None:
    halves = replace(A100.tensor, efficiency=0.5, two_of_four_efficiency=0.5)  # a bound that 1.0 then halves
    step, still = step_of(64), replace(A100, tensor=halves, overhead=replace(A100.overhead, launch_us=0))
    base = result(step, still).cycles
    faster = replace(still, tensor=replace(still.tensor, efficiency=1.0))
    wider = replace(still, memory=replace(still.memory, bandwidth_gb_s=2 * 1555))
    assert 1.6 < base / result(step, faster).cycles < 2
    assert 1 <= base / result(step, wider).cycles < 1.2
    assert result(step_of(128), still).cycles == pytest.approx(2 * base, rel=0.03)
    assert result(sparse(step, parse_pattern("2:4")), still).cycles < 0.7 * base


def product(rows: int, inner: int, cols: int, pattern: str = "dense") -> Workload:
    """One product of a forward pass."""
    return sparse(for_inference(from_gemms([f"{rows}x{cols}x{inner}"])), parse_pattern(pattern))


def working(step: Workload, arch: RooflineArch) -> int:
    """Cycles without the launch."""
    return result(step, arch).cycles - arch.launch_ticks()


def test_dense_and_sparse_products_have_efficiencies_of_their_own() -> None:
    """The fault was one efficiency for both, so that 2:4 was always twice as fast."""
    size = 16384
    dense, half = (working(product(size, size, size, pattern), HALF) for pattern in ("dense", "2:4"))
    share = HALF.tensor.two_of_four_efficiency
    assert share is not None and share < HALF.tensor.efficiency
    assert dense / half == pytest.approx(2 * share / HALF.tensor.efficiency, rel=1e-3)
    other = replace(HALF, tensor=replace(HALF.tensor, two_of_four_efficiency=share / 2))
    assert working(product(size, size, size), other) == dense
    assert working(product(size, size, size, "2:4"), other) == pytest.approx(2 * half, rel=1e-3)


def test_the_last_wave_of_tiles_counts_whole() -> None:
    """Tiles of 128 x 256, half or a quarter as wide, 108 at once: one row more takes another wave of narrow ones."""
    wave = 128 * 256 * 8192 / (110638 / 108 * HALF.tensor.efficiency)
    assert working(product(108 * 128, 8192, 256), HALF) == pytest.approx(wave, rel=1e-3)
    assert working(product(107 * 128 + 1, 8192, 256), HALF) == pytest.approx(wave, rel=1e-3)
    assert working(product(108 * 128 + 1, 8192, 256), HALF) == pytest.approx(1.25 * wave, rel=1e-3)
    (row,) = result(product(108 * 128 + 1, 8192, 256), HALF).ops.to_dict("records")
    assert row["detail"] == "5 waves of 108 tiles of 128 x 64"
    tall = replace(HALF, tensor=replace(HALF.tensor, tile_rows=256))
    assert working(product(108 * 128, 8192, 256), tall) == pytest.approx(wave, rel=1e-3)  # 108 of 256 x 128
    assert working(product(128, 8192, 256), tall) == pytest.approx(wave / 2, rel=1e-3)  # half of each tile is empty


@given(st.tuples(*[st.integers(1, 5000)] * 3), st.sampled_from(["dense", "2:4"]), st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_no_product_beats_its_efficiency_and_more_rows_are_never_faster(
    sizes: tuple[int, int, int], pattern: str, more: int
) -> None:
    rows, inner, cols = sizes
    share = HALF.tensor.efficiency if pattern == "dense" else 2 * (HALF.tensor.two_of_four_efficiency or 0)
    found = working(product(rows, inner, cols, pattern), HALF)
    assert found >= int(rows * inner * cols / (110638 * share))
    assert working(product(rows + more, inner, cols, pattern), HALF) >= found


def test_weights_are_pruned_and_packed_every_training_step() -> None:
    """4096 x 1024 weights of two bytes are read, and half of them written with two bits each, for both directions."""
    step = with_method(from_gemms(["13008x4096x1024"]), "torch24", parse_patterns(["2:4"]))
    rows, dense = result(step, A100), result(with_method(step, "dense", PatternMap()), A100)
    (first, pruned) = rows.ops.iloc[0], rows.actions[rows.actions["op"] == 0].set_index("kind")["amount"]
    assert (first["kind"], first["layer"], first["phase"]) == ("pruning", "gemm0", "FF")
    assert first["detail"] == "packed for FF and BP" and first["dataflow"] == "roofline"
    assert pruned.to_dict() == {"dram.read": 8 * 2**20, "dram.write": 9 * 2**20}
    assert first["cycles"] == A100.launch_ticks() + A100.dram_channel().ticks(17 * 2**20)
    assert dense.ops.iloc[0]["kind"] == "pruning" and dense.ops.iloc[0]["cycles"] == 0
    once = with_method(from_gemms(["13008x4096x1024"]), "ste", parse_patterns(["2:4"]))
    amounts = result(once, A100).actions.query("op == 0 and kind == 'dram.write'")["amount"]
    assert amounts.tolist() == [9 * 2**19]


@given(steps(training=True), st.sampled_from(["dense", "2:4", "1:4"]))
@settings(max_examples=60, deadline=None)
def test_pruning_stands_before_the_first_product_of_a_weight(step: Workload, pattern: str) -> None:
    """Alike for dense and sparse weights, so that rows of both runs stand beside each other; never in inference."""
    chosen = sparse(step, parse_pattern(pattern))
    rows = result(chosen, A100)
    assert rows.ops.equals(result(chosen, A100, exact=True).ops)
    assert result(sparse(step, DENSE), A100).ops["layer"].tolist() == rows.ops["layer"].tolist()
    unpruned = [result(replace(chosen, mode=Mode.INFERENCE), A100), result(sparse(step, DENSE), T4)]
    assert not any((each.ops["kind"] == "pruning").any() for each in unpruned)
    users = [op.layer for op in chosen.ops if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT]
    pruned = rows.ops[rows.ops["kind"] == "pruning"]
    assert pruned["layer"].tolist() == users[:1]  # all products of these steps share one weight
    if users:
        assert rows.ops.iloc[pruned.index[0] + 1]["layer"] == users[0]
        assert (pruned["cycles"] > 0).all() == (pattern != "dense")


def test_small_steps_are_launches() -> None:
    tiny = result(for_inference(load_shipped("resnet18", 1)), A100)
    instant = replace(A100, overhead=replace(A100.overhead, launch_us=0))
    launches = int(tiny.ops["stall_launch"].sum())
    assert launches > 0.2 * tiny.cycles
    assert result(for_inference(load_shipped("resnet18", 1)), instant).cycles == tiny.cycles - launches
    assert tiny.ops["stall_launch"].sum() == (tiny.ops["stall_launch"] > 0).sum() * A100.launch_ticks()


def test_work_is_fused_where_libraries_do_it() -> None:
    found = result(step_of(8), T4).ops
    kinds = found[found["dataflow"] == "fused"]["kind"].unique()
    assert set(kinds) == {"elementwise", "activation", "softmax"}
    apart = replace(T4, overhead=replace(T4.overhead, fuse_attention=False))
    softmax = result(step_of(8), apart).ops.query("kind == 'softmax'")
    assert (softmax["dataflow"] == "roofline").all() and (softmax["cycles"] > 0).all()
    eager = replace(T4, overhead=replace(T4.overhead, fuse_elementwise=False))
    alone = result(step_of(8), eager).ops.query("kind in ('elementwise', 'activation')")
    assert (alone["dataflow"] == "roofline").all() and (alone["cycles"] > 0).all()
    norms = result(for_inference(load_shipped("resnet18", 8)), T4).ops.query("kind == 'normalisation'")
    assert (norms["dataflow"] == "fused").all()


@pytest.mark.parametrize(
    ("arch", "pattern", "said"),
    [
        (T4, "2:4", "layer: pattern 2:4: NVIDIA T4 has no sparse tensor units; leave --pattern out"),
        (A100, "4:64", "pattern 4:64 may keep more than 2 of 4 in a row, which the sparse tensor units of NVIDIA A100"),
        (A100, "density 0.5", "pattern density 0.5 may keep more than 2 of 4"),
    ],
)
def test_patterns_it_cannot_use_are_refused(arch: RooflineArch, pattern: str, said: str) -> None:
    op = MatrixOp("layer", Phase.FF, 8, 64, 8, X, Operand("w", Role.WEIGHT, parse_pattern(pattern)))
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        planned(ROOFLINE, replace(step_of(1), ops=(op,)), arch, Runs())
    dense = replace(step_of(1), ops=(replace(op, right=replace(op.right, pattern=DENSE)),))
    assert planned(ROOFLINE, dense, arch, Runs())
