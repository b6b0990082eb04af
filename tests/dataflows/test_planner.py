"""Offline scheduling against enumeration of every mapping and every generation place, with simulated time."""

from dataclasses import replace
from itertools import product as every

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataflows.systolic.elementwise import update_program
from dataflows.systolic.objective import Objective
from dataflows.systolic.places import Way
from dataflows.systolic.planner import Planner
from dataflows.systolic.search import BYTE_TOLERANCE, MOVED, TOLERANCE, Tolerances
from simulator.kernel import run
from simulator.machines.systolic import SystolicArch
from simulator.program import Program
from simulator.runs import Runs
from tests.executed import execute
from tests.machines import DATAFLOWS, EVERY, MACHINES, all_plans, archs, ops
from workloads.apply_method import apply_method
from workloads.errors import UserError
from workloads.methods.bdwp import BDWP
from workloads.op import MatrixOp, Phase, VectorOp
from workloads.pattern import parse_patterns
from workloads.stated import from_gemms

EXACT = Tolerances(0, 0)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(archs(), ops())
def test_no_mapping_within_the_tolerance_moves_less(arch: SystolicArch, op: MatrixOp) -> None:
    """Against every mapping of every dataflow: none takes as few cycles, all but the tolerance, and fewer bytes."""
    plans = [plan for plan in all_plans(arch, op, False) if not op.geometry or op.phase is not Phase.BP]
    assume(plans and op.right.pattern.is_dense)
    found = [(run(program).cycles, moved(program)) for program in (plan.program() for plan in plans)]
    shortest = min(cycles for cycles, _ in found)
    (choice,) = Planner(arch, DATAFLOWS, Runs()).choose(op)
    assert choice.cycles <= shortest * (1 + TOLERANCE) * (1 + BYTE_TOLERANCE)
    near = [size for cycles, size in found if cycles <= shortest * (1 + BYTE_TOLERANCE)]
    assert moved(choice.program) <= min(near)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(archs(), ops(), st.sampled_from(["energy", "edp"]))
def test_no_mapping_takes_less_energy(arch: SystolicArch, op: MatrixOp, name: str) -> None:
    plans = [plan for plan in all_plans(arch, op, False) if not op.geometry or op.phase is not Phase.BP]
    assume(plans)
    objective = Objective(name, EVERY["sat"].energy, arch.clock_mhz * 1e6)
    programs = [plan.program() for plan in plans]
    best = min(objective.value(run(program).cycles, program) for program in programs)
    (choice,) = Planner(arch, DATAFLOWS, Runs(), objective=objective).choose(op)
    assert choice.value <= best * (1 + TOLERANCE) * (1 + 1e-9)


def moved(program: Program) -> int:
    return sum(amount for (kind, _), amount in run(program).actions.items() if kind in MOVED)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(archs(), ops())
def test_the_chosen_mapping_is_the_best_of_all(arch: SystolicArch, op: MatrixOp) -> None:
    plans = all_plans(arch, op, False)
    assume(plans)
    best = min(run(plan.program()).cycles for plan in plans)
    one = replace(op, geometry=None) if op.geometry else op
    assume(one == op or op.phase is not Phase.BP)
    exact = Planner(arch, DATAFLOWS, Runs(), EXACT).choose(op)
    quick = Planner(arch, DATAFLOWS, Runs(), Tolerances(bytes=0)).choose(op)
    assert sum(choice.cycles for choice in exact) == best
    assert sum(choice.cycles for choice in quick) <= best * (1 + TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 80), st.integers(8, 200), st.integers(8, 200)),
    st.sampled_from([0.2, 2.0, 19.2]),
    st.sampled_from(["2:8", "4:4", "7:8", "8:8"]),
    st.sampled_from([1, 2]),
)
def test_the_chosen_generation_places_are_the_best_of_all(
    sizes: tuple[int, int, int], bandwidth: float, pattern: str, operand_bytes: int
) -> None:
    """All but exactly: with packed weights smaller than dense ones, making them on the way in is taken to cost time."""
    sat = MACHINES["sat"]
    assert sat.dram is not None
    arch = replace(sat, dram=replace(sat.dram, channel_bandwidth_gb_s=bandwidth))
    arch = replace(arch, format=replace(arch.format, operand_bytes=operand_bytes))
    work = apply_method(from_gemms(["x".join(map(str, sizes))]), BDWP, parse_patterns([pattern]))
    runs = Runs()
    planner = Planner(arch, DATAFLOWS, runs, EXACT)
    planned = execute(planner.plan(work), runs).ops
    coupled = planned[planned["phase"].isin(["FF", "BP", "UP"])]
    forward, backward = (next(op for op in work.ops if op.phase is phase) for phase in (Phase.FF, Phase.BP))
    update = next(op for op in work.ops if isinstance(op, VectorOp))
    assert isinstance(forward, MatrixOp) and isinstance(backward, MatrixOp)
    totals = []
    for in_forward, in_backward in every((False, True), repeat=2):
        behind = [planner.packing(op) for op, on in ((forward, in_forward), (backward, in_backward)) if not on]
        program = update_program(planner.target, update, tuple(behind), in_forward or in_backward)
        assert program is not None
        ways = [Way.INLINE if inline else Way.PACKED for inline in (in_forward, in_backward)]
        products = [*planner.choose(forward, ways[0]), *planner.choose(backward, ways[1])]
        totals.append(run(program).cycles + sum(choice.cycles for choice in products))
    assert coupled["cycles"].sum() <= min(totals) * (1 if pattern == "8:8" else 1.01)


def test_a_place_where_no_mapping_fits_is_not_taken() -> None:
    """Weights made sparse on the way in need room for the dense ones."""
    sat = MACHINES["sat"]
    arch = replace(sat, memory=replace(sat.memory, north_kib=1.5))
    work = apply_method(from_gemms(["64x64x64"]), BDWP, parse_patterns(["8:8"]))
    assert all("inline" not in op.detail for op in Planner(arch, DATAFLOWS, Runs()).plan(work))


def test_a_memory_too_small_for_any_mapping_is_an_error() -> None:
    arch = replace(MACHINES["sat"], memory=replace(MACHINES["sat"].memory, west_kib=0.01))
    forward = from_gemms(["64x64x64"])
    try:
        Planner(arch, DATAFLOWS, Runs()).plan(forward)
    except UserError as refused:
        assert "gemm0 FF: no output-stationary or weight-stationary mapping fits" in str(refused)
    else:
        raise AssertionError("a program larger than the memory was accepted")
