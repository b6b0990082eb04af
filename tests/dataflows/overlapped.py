"""Steps whose ops overlap, by both readers and beside barriers: python -m tests.dataflows.overlapped 1000 runs more."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from dataflows.systolic.planner import Planner
from simulator.machines.systolic import SystolicArch
from simulator.program import Program
from simulator.rows import op_rows
from simulator.runs import Runs
from simulator.schedule import Schedule
from tests.machines import DATAFLOWS
from tests.simulator.floors import random_arch
from workloads.apply_method import apply_method
from workloads.errors import UserError
from workloads.methods.bdwp import BDWP
from workloads.op import Op, Phase, VectorKind, VectorOp
from workloads.pattern import parse_patterns
from workloads.stated import from_gemms
from workloads.workload import Workload

KINDS = (VectorKind.NORMALISATION, VectorKind.ACTIVATION, VectorKind.ELEMENTWISE, VectorKind.SOFTMAX)


@dataclass(frozen=True)
class Overlapped:
    """Cycles of a step with barriers, and overlapping by both readers, op by op; the work of its busiest engine."""

    ops: int
    barriers: int
    fast: tuple[int, ...]
    exact: tuple[int, ...]
    busiest: int
    adds_up: bool

    @property
    def holds(self) -> bool:
        total = sum(self.fast)
        return self.fast == self.exact and self.busiest <= total <= self.barriers and self.adds_up


def random_steps(count: int, seed: int = 1) -> Iterator[Overlapped]:
    """So many random steps of 2 to 12 ops on random machines."""
    rng, made = np.random.default_rng(seed), 0
    while made < count:
        arch, work = random_arch(rng), _step(rng)
        try:
            found = overlapped(arch, work)
        except UserError:  # nothing fits so small a memory
            continue
        made += 1
        yield found


def overlapped(arch: SystolicArch, work: Workload) -> Overlapped:
    """A step with barriers and without. Raises UserError where no mapping fits."""
    schedules, runs = {}, Runs()
    for how in ("barriers", "overlap"):
        spec = replace(arch, schedule=replace(arch.schedule, overlap=how))
        schedules[how] = Planner(spec, DATAFLOWS, runs).plan(work)
    apart = op_rows(schedules["barriers"], runs)
    fast, exact = (op_rows(schedules["overlap"], each) for each in (runs, Runs(exact=True)))
    sums = [int(row["busy_cycles"]) + sum(int(v) for k, v in row.items() if k.startswith("stall_")) for row in fast]
    cycles = [tuple(int(row["cycles"]) for row in rows) for rows in (fast, exact)]
    total = sum(int(row["cycles"]) for row in apart)
    return Overlapped(len(fast), total, *cycles, _busiest(schedules["barriers"]), tuple(sums) == cycles[0])


def _busiest(schedule: Schedule) -> int:
    ticks: Counter[str] = Counter()
    for scheduled in schedule:
        for program in scheduled.programs:
            assert isinstance(program, Program)
            ticks.update(program.engine_ticks())
    return max(ticks.values(), default=0)  # vector work that is fused has no commands


def _step(rng: Generator) -> Workload:
    """Some layers' products with vector work anywhere between them, cut to a run of 2 to 12 ops."""
    sizes = [[int(2 ** rng.uniform(0, top)) for top in (7, 6, 7)] for _ in range(rng.integers(1, 4))]
    patterns = parse_patterns([("2:8", "1:4", "dense")[rng.integers(3)]])
    work = apply_method(from_gemms(["x".join(map(str, each)) for each in sizes]), BDWP, patterns)
    ops = list[Op]()
    for op in work.ops:
        ops.append(op)
        if op.phase is not Phase.UP and rng.random() < 0.5:
            ops += [_vector(rng, op.phase) for _ in range(rng.integers(1, 4))]
    start = int(rng.integers(0, len(ops) - 1))
    return replace(work, ops=tuple(ops[start : start + int(rng.integers(2, 13))]))


def _vector(rng: Generator, phase: Phase) -> VectorOp:
    elements = int(2 ** rng.uniform(0, 18))
    kind = KINDS[rng.integers(len(KINDS))]
    written = Phase.BP if phase is Phase.WU else phase
    return VectorOp("vector", written, kind, elements, elements * int(rng.integers(1, 4)), elements)


def main() -> None:
    """Run as many as the first argument says, and say how much overlapping gave."""
    found = list(random_steps(int(sys.argv[1])))
    wrong = [each for each in found if not each.holds]
    gains = [each.barriers / max(1, sum(each.fast)) for each in found]
    print(f"{len(found)} steps of {min(e.ops for e in found)} to {max(e.ops for e in found)} ops, {len(wrong)} wrong")
    print(f"barriers over overlap: median {np.median(gains):.3f}, at most {max(gains):.3f}")
    for each in wrong[:5]:
        print(each)


if __name__ == "__main__":
    main()
