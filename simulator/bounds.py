"""What bounds a step: of every op the engine that has most to do, and the cycles ops spend under each.

In a step with sparse products, those that stay dense (attention, first and last layers) are bound by "dense compute".
"""

from collections import Counter
from collections.abc import Mapping

from simulator.program import Program
from simulator.runs import Runs
from simulator.schedule import Schedule
from workloads.op import MatrixOp

COMPUTE = "compute"


def cycles_by_bound(schedule: Schedule, runs: Runs, engines: Mapping[str, str]) -> Mapping[str, int]:
    """Cycles of the step by the bound of the op they are spent in; their sum is the step's.

    engines: what those of the programs stand for, as the machine's compiler says; any other goes by its own name.
    """
    some_sparse = any(isinstance(each.op, MatrixOp) and not each.op.right.pattern.is_dense for each in schedule)
    total: Counter[str] = Counter()
    for scheduled in schedule:
        stays = some_sparse and isinstance(scheduled.op, MatrixOp) and scheduled.op.right.pattern.is_dense
        for program in scheduled.programs:
            name = bound(program, engines) if isinstance(program, Program) else COMPUTE
            total[f"dense {COMPUTE}" if stays and name == COMPUTE else name] += runs.timing(program).cycles
    return total


def bound(program: Program, engines: Mapping[str, str]) -> str:
    """The engine that is occupied longest; of engines alike the first by name."""
    ticks = program.engine_ticks()
    engine = max(sorted(ticks), key=lambda name: ticks[name], default=program.lead)
    return engines.get(engine, engine)
