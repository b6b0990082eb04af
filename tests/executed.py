"""Compiling and running for tests that want the rows of a schedule, without a job around them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from simulator.compiler import Compiler
from simulator.rows import actions_of, op_rows
from simulator.runs import Runs
from simulator.schedule import Schedule
from workloads.workload import Workload


@dataclass(frozen=True)
class Executed:
    """The rows of ops and of their actions, as results have them."""

    ops: pd.DataFrame
    actions: pd.DataFrame

    @property
    def cycles(self) -> int:
        return int(self.ops["cycles"].sum())


def execute(schedule: Schedule, runs: Runs) -> Executed:
    """Run a schedule."""
    counted = [
        {"op": number, "kind": kind, "tensor": tensor, "amount": amount}
        for number, amounts in enumerate(actions_of(schedule, runs))
        for (kind, tensor), amount in amounts.items()
    ]
    actions = pd.DataFrame(counted, columns=["op", "kind", "tensor", "amount"])
    return Executed(pd.DataFrame(op_rows(schedule, runs)), actions)


def planned(
    compiler: Compiler[Any, Any], workload: Workload, spec: object, runs: Runs, check_capacity: bool = True
) -> Schedule:
    """The schedule of a workload on a machine. Raises UserError for what the machine cannot take."""
    options = compiler.Options(check_capacity=check_capacity)
    compiler.check(workload, spec, options)
    return compiler.compile(workload, spec, options, runs)
