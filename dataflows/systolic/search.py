"""The best mapping of one product: tried in the order of floors, timed by simulation.

The search stops when no other mapping can be better by more than the tolerance. By time, the mapping that moves the
fewest bytes is then taken among those that take at most `BYTE_TOLERANCE` more than the shortest found. Example: of
100,000 cycles with 50 MB, 100,600 with 20 MB and 102,000 with 10 MB the second one is taken.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dataflows.systolic.lowering import Product
from dataflows.systolic.mapping import Dataflow, Draft, Plan
from dataflows.systolic.objective import Objective
from dataflows.systolic.target import Target
from simulator.program import Program
from simulator.runs import Memory, Runs

TOLERANCE = 0.002
BYTE_TOLERANCE = 0.01  # cycles that fewer bytes are worth; reports/results/byte-tolerance has other values
MOVED = ("dram.read", "dram.write")
Drafts = list[tuple[str, Draft]]  # with the name of the dataflow each is of


@dataclass(frozen=True)
class Choice:
    """The chosen mapping of a product, the dataflow it is of, its program, its time, and its value to the objective."""

    dataflow: str
    plan: Plan
    program: Program
    cycles: int
    value: float


@dataclass
class _Tried:
    """The best mapping so far, and those that may be no longer than it by more than the byte tolerance."""

    best: Choice | None = None
    near: list[tuple[str, Plan]] = field(default_factory=list)


class Tolerances(NamedTuple):
    """Share of the value within which no better mapping is looked for; share of the time that fewer bytes are worth."""

    search: float = TOLERANCE
    bytes: float = BYTE_TOLERANCE


class Search:
    """Looks for mappings on one machine. What was found for a product, in any step on the same runs, is not looked for
    again."""

    def __init__(
        self,
        target: Target,
        dataflows: Sequence[Dataflow],
        runs: Runs,
        tolerances: Tolerances = Tolerances(),  # noqa: B008  # a constant
        objective: Objective = Objective(),  # noqa: B008
    ) -> None:
        self.target = target
        self.dataflows = dataflows
        self.runs = runs
        self.tolerances = tolerances
        self.objective = objective
        owner = (target.of_products, tuple(flow.name for flow in dataflows), tolerances, objective.key)
        self._known = runs.memory(owner)

    def choice(self, product: Product, inline: bool) -> Choice | None:
        """The best mapping of a product; None where none fits the machine."""
        choice: Choice | None = once(self._known, (product, inline), lambda: self._found(product, inline))
        return choice

    def drafts(self, product: Product) -> Drafts:
        """Families of mappings, the lowest floor first; without offline scheduling in the order of their dataflows."""
        drafts: Drafts = once(self._known, ("drafts", product), lambda: self._sorted_drafts(product))
        return drafts

    def _found(self, product: Product, inline: bool) -> Choice | None:
        """What is best does not hang on whose tensors a product has: FF's mapping is often BP's.

        The direction of groups matters only where SORE reads weights twice for it.
        """
        alike = product.renamed("", "", "", across_outputs=inline and product.across_outputs)
        known: tuple[str, Plan] | None = self._known.get(("mapping", alike, inline))
        if known is not None:
            return self._timed(known[0], known[1].renamed(product), None)
        choice = self._search(product, inline)
        if choice is not None:
            self._known["mapping", alike, inline] = choice.dataflow, choice.plan
        return choice

    def _search(self, product: Product, inline: bool) -> Choice | None:
        if not self._offline:
            return self._usual(product, inline)
        tried = _Tried(self._as_packed(product) if inline else None)
        for dataflow, draft in self.drafts(product):
            if self._is_beyond(draft.floor_cycles, tried.best):
                break
            for family in draft.families(inline):
                self._try(dataflow, family.plans(self._limit(tried.best)), tried)
        return self._leanest(tried)

    def _usual(self, product: Product, inline: bool) -> Choice | None:
        """Without offline scheduling, the first of the usual mappings that fits."""
        for dataflow, draft in self.drafts(product):
            for family in draft.families(inline):
                for plan in family.plans() if family.usual else ():
                    return self._timed(dataflow, plan, None)
        return None

    def _as_packed(self, product: Product) -> Choice | None:
        """The mapping that is best with packed weights, which is rarely far from the best with weights made sparse."""
        packed = self.choice(product, False)
        plan = packed.plan.inlined() if packed else None
        return self._timed(packed.dataflow, plan, None) if packed and plan else None

    def _try(self, dataflow: str, plans: Iterator[Plan], tried: _Tried) -> None:
        for plan in plans:
            least = plan.least_cycles()
            if self._is_beyond(least, tried.best):
                continue
            if not self._cannot_win(least, tried.best):
                found = self._timed(dataflow, plan, tried.best)
                if found is not None:
                    if tried.best is not None:
                        tried.near.append((tried.best.dataflow, tried.best.plan))
                    tried.best = found
                    continue
            tried.near.append((dataflow, plan))

    def _leanest(self, tried: _Tried) -> Choice | None:
        """Among mappings within the byte tolerance of the best one, the one that moves the fewest bytes."""
        shortest = tried.best
        if shortest is None or not self.objective.is_time or not self.tolerances.bytes:
            return shortest
        best, limit = shortest, math.floor(shortest.cycles * (1 + self.tolerances.bytes))
        moved = _moved(best.program)
        near = [(plan.least_bytes(), number) for number, (_, plan) in enumerate(tried.near)]
        for least, number in sorted(near):
            dataflow, plan = tried.near[number]
            if least >= moved:
                break
            if plan.least_cycles() > limit or _moved(program := plan.program()) >= moved:
                continue
            cycles = self.runs.tried(program, limit + 1)
            if cycles <= limit:
                best, moved = Choice(dataflow, plan, program, cycles, cycles), _moved(program)
        return best

    @property
    def _offline(self) -> bool:
        return self.target.arch.schedule.offline

    def _limit(self, best: Choice | None) -> int | None:
        """Cycles a mapping must be able to stay below to be of use; None for any number."""
        if best is None:
            return None
        if self.objective.is_time:
            return math.floor(best.cycles * (1 + self.tolerances.bytes)) + 1
        return self.objective.most_cycles(best.value)

    def _is_beyond(self, floor_cycles: int, best: Choice | None) -> bool:
        """True when a mapping is no good whatever it moves."""
        limit = self._limit(best)
        return limit is not None and floor_cycles >= limit

    def _cannot_win(self, floor_cycles: int, best: Choice | None) -> bool:
        """True when no such mapping can be better by more than the tolerance."""
        if best is None:
            return False
        most = self.objective.most_cycles(best.value / (1 + self.tolerances.search))
        return most is not None and floor_cycles >= most

    def _timed(self, dataflow: str, plan: Plan, best: Choice | None) -> Choice | None:
        """The mapping with its time, if it is better than the best so far."""
        program = plan.program()
        if not self.target.fits(program.buffers):
            raise ValueError(f"{dataflow} wrote a program whose buffers do not fit the machine's memories")
        objective = self.objective
        if best and not objective.is_time and objective.value(plan.least_cycles(), program) >= best.value:
            return None
        cycles = self.runs.tried(program, best.cycles if best and objective.is_time else None)
        value = objective.value(cycles, program)
        return Choice(dataflow, plan, program, cycles, value) if best is None or value < best.value else None

    def _sorted_drafts(self, product: Product) -> Drafts:
        every = [(flow.name, draft) for flow in self.dataflows for draft in flow.drafts(self.target, product)]
        return sorted(every, key=lambda each: each[1].floor_cycles) if self._offline else every


def once(memory: Memory, key: Hashable, make: Callable[[], Any]) -> Any:
    """What was made for a key, made now if it never was."""
    found = memory.get(key, memory)  # a key may be large: it is hashed once
    if found is memory:
        found = memory[key] = make()
    return found


def _moved(program: Program) -> int:
    """Bytes that a program moves between DRAM and chip."""
    return sum(amount for (kind, _), amount in program.actions().items() if kind in MOVED)
