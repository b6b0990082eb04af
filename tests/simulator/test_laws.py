"""What must hold for any machine, dataflow, product and plan."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataflows.systolic.lowering import lower
from dataflows.systolic.planner import Planner, compress
from dataflows.systolic.target import Target
from dataflows.systolic.weight_stationary import WeightStationary
from simulator.kernel import run
from simulator.machines.systolic import SystolicArch
from simulator.runs import Runs
from tests.executed import execute
from tests.machines import DATAFLOWS, MACHINES, all_families, all_plans, archs, ops, patterns
from workloads.errors import UserError
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.workload import Capture, Mode, Workload

relaxed = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def alone(op: MatrixOp) -> Workload:
    return Workload("one", "dense", "dense", 1, 1, Mode.TRAINING, (op,), 0, 0, (), Capture("test", "test"))


@relaxed
@given(archs(), ops())
def test_every_multiply_accumulate_is_useful_or_skipped(arch: SystolicArch, op: MatrixOp) -> None:
    runs = Runs()
    planner = Planner(arch, DATAFLOWS, runs)
    try:
        row = execute(planner.plan(alone(op)), runs).ops.iloc[0]
    except UserError as refused:
        assert "no output-stationary or weight-stationary mapping fits" in str(refused)
        return
    assert row["macs_useful"] + row["macs_skipped"] == op.macs
    assert row["macs_padded"] >= 0
    quirk = 1 if arch.lowering.cycles_from_zero else 0
    assert (row["cycles"] + quirk) * arch.array.rows * arch.array.cols >= row["macs_useful"]
    assert row["busy_cycles"] + row.filter(like="stall_").sum() == row["cycles"]


@relaxed
@given(archs(), ops(), st.data())
def test_no_run_is_shorter_than_the_floor_that_the_planner_trusts(
    arch: SystolicArch, op: MatrixOp, data: st.DataObject
) -> None:
    sparse = arch.sore is not None and op.right.role is Role.WEIGHT and op.right.pattern.is_grouped
    families = all_families(arch, op, inline=sparse and data.draw(st.booleans()))
    assume(families)
    for family in families:
        for plan in family.plans():
            cycles = run(plan.program()).cycles
            assert cycles >= plan.least_cycles(), plan.mapping()
            assert plan in family.plans(cycles + 1), plan.mapping()


@relaxed
@given(archs(), ops(), st.data())
def test_floors_of_compute_bandwidth_and_bytes(arch: SystolicArch, op: MatrixOp, data: st.DataObject) -> None:
    plans = all_plans(arch, op, False)
    assume(plans)
    plan = data.draw(st.sampled_from(plans))
    timing = run(plan.program())
    moved = {kind: sum(v for (k, _), v in timing.actions.items() if k == kind) for kind in ("dram.read", "dram.write")}
    channel = arch.dram_channel()
    if channel.bytes_per_tick is not None:
        assert timing.cycles >= sum(moved.values()) / channel.bytes_per_tick
    product = lower(op, arch.lowering, arch.format.operand_bytes, arch.format.master_bytes)[0]
    kept = product.reduction.kept * product.cols
    unique_left = product.left_elements(product.rows, product.inner) if arch.array.pe == "unified" else 0
    assert moved["dram.read"] >= product.count * arch.format.operand_bytes * (unique_left + kept)
    assert moved["dram.write"] >= product.count * product.rows * product.cols * product.final_bytes
    macs = sum(amount for (kind, _), amount in timing.actions.items() if kind == "mac")
    assert macs == product.macs_kept


@relaxed
@given(archs(), ops(), st.integers(2, 9), st.data())
def test_more_bandwidth_is_never_slower(arch: SystolicArch, op: MatrixOp, times: int, data: st.DataObject) -> None:
    plans = all_plans(arch, op, False)
    assume(plans and arch.dram is not None)
    plan = data.draw(st.sampled_from(plans))
    target = plan.operands.target
    rate = target.channel.bytes_per_tick
    assert isinstance(rate, Fraction)
    faster = replace(target, channel=replace(target.channel, bytes_per_tick=rate * times / 2))
    sped_up = replace(plan, operands=replace(plan.operands, target=faster))
    assert run(sped_up.program()).cycles <= run(plan.program()).cycles


@relaxed
@given(archs(), ops(), patterns())
def test_fewer_kept_elements_never_more_multiplications(arch: SystolicArch, op: MatrixOp, pattern: Pattern) -> None:
    assume(op.phase is not Phase.WU and pattern.is_grouped and pattern.n > 1)
    fewer = replace(pattern, n=pattern.n - 1)
    kept = []
    for each in (fewer, pattern, DENSE):
        products = lower(replace(op, right=replace(op.right, pattern=each)), arch.lowering, 2, 4)
        kept.append(sum(product.macs_kept for product in products))
    assert kept == sorted(kept)


@relaxed
@given(archs(), ops(), st.sampled_from([1, 2, 4]))
def test_all_of_m_equals_dense_of_the_same_depth(arch: SystolicArch, op: MatrixOp, depth: int) -> None:
    assume(op.phase is not Phase.WU and arch.array.pe == "unified" and op.segments == 1)
    assume(op.inner >= depth and op.right.pattern.is_dense)
    pattern = Pattern(PatternKind.NM, depth, depth)
    sparse = replace(op, right=replace(op.right, pattern=pattern))

    arch = replace(arch, memory=replace(arch.memory, west_kib=None, north_kib=None, output_kib=None))

    def floors(of: MatrixOp) -> list[int]:
        product = lower(of, arch.lowering, 2, 4)[0]
        drafts = WeightStationary().drafts(Target.of(arch), product)
        families = (family for draft in drafts for family in draft.families(False))
        plans = [plan for family in families for plan in family.plans() if plan.mapping().resident == "none"]
        return sorted(plan.floor_cycles() for plan in plans if plan.mapping().depth == depth)

    mine, dense = floors(sparse), floors(op)
    assert mine == dense


@relaxed
@given(archs(), ops(), st.data())
def test_buffers_of_every_plan_fit(arch: SystolicArch, op: MatrixOp, data: st.DataObject) -> None:
    plans = all_plans(arch, op, False)
    assume(plans)
    used = data.draw(st.sampled_from(plans)).program().memory_bytes()
    for memory in ("west", "north", "output"):
        capacity = Target.of(arch).capacity_bytes(memory)
        assert capacity is None or used.get(memory, 0) <= capacity


def test_compressed_products_keep_their_multiplications() -> None:
    arch = MACHINES["dense"]
    right = Operand("w", Role.WEIGHT, Pattern(PatternKind.NM, 2, 8))
    op = MatrixOp("layer", Phase.FF, 10, 21, 5, Operand("x", Role.ACTIVATION), right)
    product = lower(op, arch.lowering, 2, 4)[0]
    assert compress(product).macs_kept == product.macs_kept == 10 * 5 * (2 + 2 + 2)
