"""A GPU as a roofline: it holds the laws, and moves with what bounds it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.roofline import ROOFLINE
from simulator.arch.machine import load_machine
from simulator.machines.gpu import RooflineArch
from simulator.runs import Runs
from tests.cards import steps
from tests.executed import Executed, execute, planned
from tests.simulator.test_laws_s4 import sparse
from workloads.apply_method import for_inference
from workloads.errors import UserError
from workloads.op import MatrixOp, Role
from workloads.pattern import DENSE, parse_pattern
from workloads.shipped import load_shipped
from workloads.workload import Workload

T4: RooflineArch = load_machine("t4").spec
A100: RooflineArch = load_machine("a100").spec
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
    step, still = step_of(64), replace(A100, overhead=replace(A100.overhead, launch_us=0))
    base = result(step, still).cycles
    faster = replace(still, tensor=replace(still.tensor, efficiency=1.0))
    wider = replace(still, memory=replace(still.memory, bandwidth_gb_s=2 * 1555))
    assert 1.6 < base / result(step, faster).cycles < 2
    assert 1 <= base / result(step, wider).cycles < 1.2
    assert result(step_of(128), still).cycles == pytest.approx(2 * base, rel=0.03)
    assert result(sparse(step, parse_pattern("2:4")), still).cycles < 0.7 * base


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
    from tests.cards import X
    from workloads.op import Operand, Phase

    op = MatrixOp("layer", Phase.FF, 8, 64, 8, X, Operand("w", Role.WEIGHT, parse_pattern(pattern)))
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        planned(ROOFLINE, replace(step_of(1), ops=(op,)), arch, Runs())
    dense = replace(step_of(1), ops=(replace(op, right=replace(op.right, pattern=DENSE)),))
    assert planned(ROOFLINE, dense, arch, Runs())
