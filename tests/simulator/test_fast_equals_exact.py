"""Jumps give the rows that running every tile gives, on random machines, products, patterns and plans."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from simulator.kernel import run
from simulator.machines.systolic import SystolicArch
from tests.machines import all_plans, archs, ops
from workloads.op import MatrixOp

LARGEST = 3000  # commands an exact run may take


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(archs(), ops(), st.booleans(), st.data())
def test_fast_equals_exact(arch: SystolicArch, op: MatrixOp, inline: bool, data: st.DataObject) -> None:
    plans = all_plans(arch, op, inline and op.right.pattern.is_grouped and arch.sore is not None)
    assume(plans)
    program = data.draw(st.sampled_from(plans)).program()
    assume(sum(count for _, count in program.commands()) <= LARGEST)
    fast, exact = run(program), run(program, exact=True)
    assert (fast.cycles, fast.busy) == (exact.cycles, exact.busy)
    assert fast.stalls == exact.stalls
    assert fast.actions == exact.actions
    assert fast.busy + sum(fast.stalls.values()) == fast.cycles
