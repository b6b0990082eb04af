"""The compiler of systolic machines: SAT and the idealised dense array."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from dataflows.systolic.mapping import Dataflow
from dataflows.systolic.planner import Planner
from simulator.compiler import Compiler, StepOptions, registered
from simulator.machines.systolic import SystolicArch
from simulator.runs import Runs
from simulator.schedule import Schedule
from workloads.registry import DATAFLOWS, load_part, load_parts
from workloads.workload import Workload


@dataclass(frozen=True)
class SystolicOptions(StepOptions):
    """dataflow: the one to use throughout; None for the best, layer by layer."""

    dataflow: str | None = field(default=None, metadata=registered(DATAFLOWS))


class SystolicCompiler(Compiler[SystolicArch, SystolicOptions]):
    """Plans every op by simulated time."""

    Options = SystolicOptions
    engines: ClassVar[Mapping[str, str]] = {"array": "compute", "dram": "DRAM"}

    def compile(self, workload: Workload, spec: SystolicArch, options: SystolicOptions, runs: Runs) -> Schedule:
        """Raises UserError where no mapping of a product fits the on-chip memories."""
        return Planner(spec, chosen(options, spec.schedule.offline), runs).plan(workload)

    def parts(self, schedule: Schedule, options: SystolicOptions) -> Mapping[str, str]:
        """The dataflows that carried anything out."""
        return {part.dataflow: DATAFLOWS for scheduled in schedule for part in scheduled.parts}


def chosen(options: SystolicOptions, offline: bool) -> list[Dataflow]:
    """The dataflows that may be used: the one named, all of them, or the default ones where nothing is to be chosen."""
    if options.dataflow is not None:
        return [load_part(DATAFLOWS, "dataflow", options.dataflow, Dataflow)]
    every = load_parts(DATAFLOWS, "dataflow", Dataflow).values()
    return [flow for flow in every if offline or flow.is_default]


SYSTOLIC = SystolicCompiler()
