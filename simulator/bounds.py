"""What bounds a step: of every op the engine that has most to do, and the cycles ops spend under each.

In a step with sparse products, those that stay dense (attention, first and last layers) are bound by "dense compute".
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from simulator.program import Program
from simulator.schedule import Runs, ScheduledOp
from workloads.op import MatrixOp

COMPUTE = "compute"
# Engines by what they stand for in a report; any other engine goes by its own name.
NAMES = {
    "units": COMPUTE,
    "tensor": COMPUTE,
    "array": COMPUTE,
    "special": "vector",
    "dram": "DRAM",
    "noc": "NoC",
}


def cycles_by_bound(schedule: Iterable[ScheduledOp], runs: Runs) -> Mapping[str, int]:
    """Cycles of the step by the bound of the op they are spent in; their sum is the step's."""
    every = list(schedule)
    some_sparse = any(isinstance(each.op, MatrixOp) and not each.op.right.pattern.is_dense for each in every)
    total: Counter[str] = Counter()
    for scheduled in every:
        stays = some_sparse and isinstance(scheduled.op, MatrixOp) and scheduled.op.right.pattern.is_dense
        for program in scheduled.programs:
            name = bound(program)
            total[f"dense {COMPUTE}" if stays and name == COMPUTE else name] += runs.timing(program).cycles
    return total


def bound(program: Program) -> str:
    """The engine that is occupied longest; of engines alike the first by name."""
    ticks = program.engine_ticks()
    engine = max(sorted(ticks), key=lambda name: ticks[name], default=program.lead)
    return NAMES.get(engine, engine)
