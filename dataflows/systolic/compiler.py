"""The compiler of systolic machines: SAT and the idealised dense array."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from dataflows.systolic.mapping import Dataflow
from dataflows.systolic.objective import Objective
from dataflows.systolic.planner import Planner
from dataflows.systolic.search import BYTE_TOLERANCE, Tolerances
from simulator.arch.energy import EnergyTable
from simulator.compiler import Compiler, StepOptions, of_machine, registered
from simulator.machines.systolic import SystolicArch
from simulator.runs import Runs
from simulator.schedule import Schedule
from workloads.errors import UserError
from workloads.registry import DATAFLOWS, load_part, load_parts
from workloads.workload import Workload


@dataclass(frozen=True)
class SystolicOptions(StepOptions):
    """dataflow: the one to use throughout; None for the best, layer by layer.

    objective: what the best is, `time`, `energy` or `edp` (energy times time). byte_tolerance: the share of a product's
    time that fewer bytes are worth, where time is asked for. `prices` are the machine's.

    A text is read as a number. Raises UserError for values that cannot be.
    """

    dataflow: str | None = field(default=None, metadata=registered(DATAFLOWS))
    objective: str = "time"
    byte_tolerance: float = BYTE_TOLERANCE
    prices: EnergyTable | None = field(default=None, metadata=of_machine("energy"), repr=False)

    def __post_init__(self) -> None:
        self.best(1.0)
        object.__setattr__(self, "byte_tolerance", _share(str(self.byte_tolerance)))  # once, before anybody sees it

    def best(self, clock_mhz: float) -> Objective:
        """The objective. Raises UserError for one that there is not, or that has no prices."""
        return Objective(self.objective, self.prices, clock_mhz * 1e6)


class SystolicCompiler(Compiler[SystolicArch, SystolicOptions]):
    """Plans every op by simulated time."""

    Options = SystolicOptions
    engines: ClassVar[Mapping[str, str]] = {"array": "compute", "dram": "DRAM"}

    def compile(self, workload: Workload, spec: SystolicArch, options: SystolicOptions, runs: Runs) -> Schedule:
        """Raises UserError where no mapping of a product fits the on-chip memories."""
        dataflows = chosen(options, spec.schedule.offline)
        tolerances = Tolerances(bytes=options.byte_tolerance)
        return Planner(spec, dataflows, runs, tolerances, options.best(spec.clock_mhz)).plan(workload)

    def card(
        self, schedule: Schedule, spec: SystolicArch, options: SystolicOptions, runs: Runs
    ) -> Mapping[str, object]:
        """Of a step whose ops overlap: what it takes with barriers between them."""
        if spec.schedule.overlap == "barriers":
            return {}
        return {BARRIERS: sum(runs.timing(program).cycles for each in schedule for program in each.programs)}

    def parts(self, schedule: Schedule, options: SystolicOptions) -> Mapping[str, str]:
        """The dataflows that carried anything out."""
        return {part.dataflow: DATAFLOWS for scheduled in schedule for part in scheduled.parts}


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise UserError(f"--option byte_tolerance={text}: '{text}' is not a number from 0 to 1")
    return share


def chosen(options: SystolicOptions, offline: bool) -> list[Dataflow]:
    """The dataflows that may be used: the one named, all of them, or the default ones where nothing is to be chosen."""
    if options.dataflow is not None:
        return [load_part(DATAFLOWS, "dataflow", options.dataflow, Dataflow)]
    every = load_parts(DATAFLOWS, "dataflow", Dataflow).values()
    return [flow for flow in every if offline or flow.is_default]


BARRIERS = "barriers_cycles"
SYSTOLIC = SystolicCompiler()
