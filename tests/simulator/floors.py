"""Are the planner's floors floors? python -m tests.simulator.floors 20000 runs so many random plans.

Machines are drawn from the whole ranges: links of a quarter of an operand a cycle to none, groups of up to 64, one row
or column, memories and bandwidths that bind and that do not.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from dataflows.systolic.lowering import lower
from dataflows.systolic.target import Target
from simulator.kernel import run
from simulator.machines.systolic import SystolicArch
from tests.machines import DATAFLOWS, MACHINES
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, Pattern, PatternKind

LINKS = (None, 0.25, 0.5, 0.7, 1.0, 1.5, 2.5, 4.0, 16.0)
PLANS_A_PRODUCT = 6


@dataclass(frozen=True)
class Floor:
    """A plan: its draft's floor, its own two, and what it takes, in cycles."""

    draft: int
    array: int
    least: int
    cycles: int
    mapping: str

    @property
    def holds(self) -> bool:
        return max(self.draft, self.array, self.least) <= self.cycles


def random_floors(count: int, seed: int = 1) -> Iterator[Floor]:
    """So many plans of random products on random machines, a few of each."""
    rng, made = np.random.default_rng(seed), 0
    while made < count:
        arch, op = random_arch(rng), random_op(rng)
        product = lower(op, arch.lowering, arch.format.operand_bytes, arch.format.master_bytes)[0]
        target, plans = Target.of(arch), []
        for dataflow in DATAFLOWS:
            for draft in dataflow.drafts(target, product):
                plans += [(draft, plan) for family in draft.families(False) for plan in family.plans()]
        for at in rng.permutation(len(plans))[: min(PLANS_A_PRODUCT, count - made)]:
            draft, plan = plans[at]
            cycles = run(plan.program()).cycles
            made += 1
            yield Floor(draft.floor_cycles, plan.floor_cycles(), plan.least_cycles(), cycles, plan.mapping().describe())


def random_arch(rng: Generator) -> SystolicArch:
    spec = MACHINES["sat"]
    assert spec.dram is not None
    link = lambda: LINKS[rng.integers(len(LINKS))]  # noqa: E731
    array = replace(
        spec.array,
        rows=int(rng.integers(1, 13)),
        cols=int(rng.integers(1, 13)),
        accumulators=int(rng.integers(1, 17)),
        group_max=int(rng.integers(1, 17)),
        adder_latency_cycles=int(rng.integers(0, 14)),
        multiplier_latency_cycles=int(rng.integers(0, 7)),
        west_link_operands_per_cycle=link(),
        north_link_weights_per_cycle=link(),
        sum_link_values_per_cycle=link(),
        drains=bool(rng.integers(2)),
    )
    kib = lambda: (0.5, 2.0, 16.0, 4096.0)[rng.integers(4)]  # noqa: E731
    ports: dict[str, float | None] = {"west_port_bytes_per_row_cycle": None, "north_port_bytes_per_col_cycle": None}
    memory = replace(spec.memory, west_kib=kib(), north_kib=kib(), output_kib=kib(), **ports)
    dma = (16, 640, None)[rng.integers(3)]
    memory = replace(memory, output_port_bytes_per_col_cycle=None, dma_port_bytes_per_cycle=dma)
    bandwidth = float((0.3, 2.0, 19.2, 100_000.0)[rng.integers(4)])
    dram = replace(spec.dram, channel_bandwidth_gb_s=bandwidth, latency_ns=float((0, 100, 250)[rng.integers(3)]))
    return replace(spec, array=array, memory=memory, dram=dram)


def random_op(rng: Generator) -> MatrixOp:
    m = int(rng.integers(1, 65))
    sparse = Pattern(PatternKind.NM, int(rng.integers(1, min(m, 8) + 1)), m)
    pattern = DENSE if rng.random() < 0.4 else sparse
    rows, inner, cols = (int(2 ** rng.uniform(0, top)) for top in (7, 9, 6))
    right = Operand("w", Role.WEIGHT, pattern)
    return MatrixOp("layer", Phase.FF, rows, inner, cols, Operand("x", Role.ACTIVATION), right)


def main() -> None:
    """Run as many as the first argument says, and say how close the floors are."""
    found = list(random_floors(int(sys.argv[1])))
    below = [each for each in found if not each.holds]
    for name in ("draft", "array", "least"):
        close = np.median([getattr(each, name) / each.cycles for each in found])
        print(f"{name}: median floor over true time {close:.4f}")
    print(f"{len(found)} plans, {len(below)} below a floor")
    for each in below[:5]:
        print(each)


if __name__ == "__main__":
    main()
