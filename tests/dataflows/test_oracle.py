"""The `dense` machine against the closed forms of SCALE-Sim 3.0.0 in CALC mode: exact, on any product.

P x K by K x N on R x C, stall-free:
weight stationary ceil(K/R) ceil(N/C) (P + 2R + C - 2) - 1, output stationary ceil(P/R) ceil(N/C) (K + R + C - 2) - 1.
"""

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.systolic.mapping import Dataflow
from dataflows.systolic.output_stationary import OutputStationary
from dataflows.systolic.planner import Planner
from dataflows.systolic.weight_stationary import WeightStationary
from simulator.runs import Runs
from tests.executed import execute
from tests.machines import MACHINES
from workloads.apply_method import apply_method, with_input_gradient
from workloads.methods.bdwp import BDWP
from workloads.op import MatrixOp
from workloads.pattern import parse_patterns
from workloads.shipped import load_shipped
from workloads.stated import from_gemms
from workloads.workload import Workload

WS, OS = WeightStationary(), OutputStationary()
FLOWS = {flow.name: flow for flow in (WS, OS)}
sizes = st.integers(1, 400)


def weight_stationary(rows: int, inner: int, cols: int, high: int, wide: int) -> int:
    return ceil(inner / high) * ceil(cols / wide) * (rows + 2 * high + wide - 2) - 1


def output_stationary(rows: int, inner: int, cols: int, high: int, wide: int) -> int:
    return ceil(rows / high) * ceil(cols / wide) * (inner + high + wide - 2) - 1


CLOSED = {WS.name: weight_stationary, OS.name: output_stationary}


@settings(max_examples=1000, deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 40), st.integers(1, 40), st.sampled_from(sorted(CLOSED)), st.booleans())
def test_closed_form_on_random_products(
    rows: int, cols: int, inner: int, high: int, wide: int, flow: str, exact: bool
) -> None:
    arch = replace(MACHINES["dense"], array=replace(MACHINES["dense"].array, rows=high, cols=wide))
    runs = Runs(exact and rows * cols < 5000)
    forward = from_gemms([f"{rows}x{cols}x{inner}"])
    plan = Planner(arch, [FLOWS[flow]], runs).plan(replace(forward, ops=forward.ops[:1]))
    assert execute(plan, runs).cycles == CLOSED[flow](rows, inner, cols, high, wide)


def phases(workload: Workload, flow: Dataflow, exchange: bool = False, flattened: bool = False) -> dict[str, int]:
    lowering = replace(
        MACHINES["dense"].lowering, exchange_wu=exchange, groups="flattened" if flattened else "kernel-position"
    )
    runs = Runs()
    plan = Planner(replace(MACHINES["dense"], lowering=lowering), [flow], runs).plan(workload)
    sums = execute(plan, runs).ops.groupby("phase")["cycles"].sum()
    return {str(phase): int(cycles) for phase, cycles in sums.items()}


@pytest.fixture(scope="module")
def resnet18() -> Workload:
    return load_shipped("resnet18", batch=1)


def test_resnet18_sums(resnet18: Workload) -> None:
    assert phases(resnet18, WS) == {"FF": 2_855_031, "BP": 3_293_132, "WU": 2_214_595}
    assert phases(resnet18, OS) == {"FF": 2_133_315, "BP": 2_564_420, "WU": 2_489_655}
    assert phases(with_input_gradient(resnet18), WS)["BP"] == 8_219_591
    assert phases(resnet18, WS, exchange=True)["WU"] == 3_400_155


def test_resnet18_sums_with_compressed_weights(resnet18: Workload) -> None:
    everywhere = apply_method(resnet18, BDWP, parse_patterns(["*=2:8"]))
    assert phases(everywhere, WS, flattened=True)["FF"] == 749_131
    assert phases(everywhere, WS)["FF"] == 799_683
    assert phases(apply_method(resnet18, BDWP, parse_patterns(["2:8"])), WS)["FF"] == 861_439


def test_resnet18_multiply_accumulates(resnet18: Workload) -> None:
    macs = dict.fromkeys(("FF", "BP", "WU"), 0)
    for op in resnet18.ops:
        if isinstance(op, MatrixOp):
            macs[op.phase] += op.macs
    assert macs == {"FF": 1_814_073_344, "BP": 1_696_059_392, "WU": 1_814_073_344}


def test_a_cycle_level_mesh_elsewhere_agrees_to_a_promille() -> None:
    """STONNE's 32 x 32 output-stationary mesh takes 94,712 cycles where the closed form gives 94,639."""
    forward = from_gemms(["256x144x2304"])
    cycles = phases(replace(forward, ops=forward.ops[:1]), OS)["FF"]
    assert cycles == 94_639
    assert abs(cycles - 94_712) / 94_712 < 0.001
