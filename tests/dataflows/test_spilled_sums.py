"""Partial sums that travel through DRAM are read only after they were written."""

from hypothesis import HealthCheck, assume, given, settings

from dataflows.systolic.spilled_sums import SpilledSums
from simulator.kernel.events import ExactRun
from simulator.machines.systolic import SystolicArch
from simulator.program import Command
from tests.machines import all_plans, archs, ops
from workloads.op import MatrixOp


class SumTraffic:
    """Starts of reads and ends of writes of partial sums."""

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.writes: list[int] = []

    def command(self, command: Command, start: int, end: int) -> None:
        kinds = {(action.kind, action.tensor) for action in command.actions}
        if ("dram.read", "partial-sum") in kinds:
            self.reads.append(start)
        if ("dram.write", "partial-sum") in kinds:
            self.writes.append(end)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(archs(), ops())
def test_sums_are_read_after_they_were_written(arch: SystolicArch, op: MatrixOp) -> None:
    spilled = [plan for plan in all_plans(arch, op, False) if isinstance(plan, SpilledSums)]
    assume(spilled)
    program = spilled[0].program()
    assume(sum(count for _, count in program.commands()) < 3000)
    traffic = SumTraffic()
    ExactRun(program, traffic).run()
    assert len(traffic.reads) == len(traffic.writes) > 0
    assert all(read >= write for read, write in zip(traffic.reads, traffic.writes, strict=True))
