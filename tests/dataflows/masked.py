"""Is the sparse product ever slower than the dense one? python -m tests.dataflows.masked 2000 tries so many."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dataflows.systolic.places import Way
from dataflows.systolic.planner import Planner
from dataflows.systolic.search import BYTE_TOLERANCE
from simulator.runs import Runs
from tests.machines import DATAFLOWS
from tests.simulator.floors import random_arch, random_op
from workloads.pattern import DENSE


@dataclass(frozen=True)
class Pair:
    """Cycles of a sparse product as it is planned, with packed weights, and of the dense one."""

    pattern: str
    sparse: int
    packed: int
    dense: int

    @property
    def holds(self) -> bool:
        return self.sparse <= self.dense * (1 + BYTE_TOLERANCE)


def random_pairs(count: int, seed: int = 1) -> Iterator[Pair]:
    """So many sparse products on random machines on which both they and the dense ones fit."""
    rng, made = np.random.default_rng(seed), 0
    while made < count:
        arch, op = random_arch(rng), random_op(rng)
        if op.right.pattern.is_dense:
            continue
        arch = replace(arch, array=replace(arch.array, group_max=max(op.right.pattern.n, arch.array.group_max)))
        planner = Planner(arch, DATAFLOWS, Runs())
        packed, dense = (
            planner.found(op, Way.PACKED),
            planner.found(replace(op, right=replace(op.right, pattern=DENSE)), Way.PACKED),
        )
        if packed is None or dense is None:
            continue
        way = Way.MASKED if planner.may_be_masked(op) else Way.PACKED
        taken = [sum(each.cycles for each in choices) for choices in (planner.choose(op, way), packed, dense)]
        made += 1
        yield Pair(str(op.right.pattern), *taken)


def main() -> None:
    """Run as many as the first argument says, and say how many took masked weights."""
    found = list(random_pairs(int(sys.argv[1])))
    slower, masked = [each for each in found if not each.holds], sum(each.sparse < each.packed for each in found)
    print(f"{len(found)} products, {masked} with masked weights, {len(slower)} slower than the dense one")
    for each in slower[:5]:
        print(each)


if __name__ == "__main__":
    main()
