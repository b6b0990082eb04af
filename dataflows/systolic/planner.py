"""Offline scheduling: which dataflow and mapping carries out each product, and where sparse weights are made.

Mappings are tried in the order of their floor, and timed by simulation, until no other can be better by more than
the tolerance. The place where a layer's weights are made sparse couples its FF, BP and UP, so the places are
enumerated together, layer by layer.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product as combinations
from typing import Any

from dataflows.systolic.elementwise import Packing, update_program, vector_program
from dataflows.systolic.lowering import Product, lower
from dataflows.systolic.mapping import Dataflow, Draft, Plan
from dataflows.systolic.target import Target, packed_bytes
from rtl.timing import Reduction
from simulator.machines.systolic import SystolicArch
from simulator.program import Program
from simulator.runs import Runs
from simulator.schedule import ArrayPart, ScheduledOp
from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.workload import Mode, Workload

TOLERANCE = 0.002
Uses = Mapping[str, list[MatrixOp]]
Drafts = list[tuple[str, Draft]]  # with the name of the dataflow each is of


@dataclass(frozen=True)
class Choice:
    """The chosen mapping of one product, the dataflow it is of, its program and how long that takes."""

    dataflow: str
    plan: Plan
    program: Program
    cycles: int


class Planner:
    """Plans ops for one machine. Products met before, in any step planned on the same runs, are not planned again."""

    def __init__(
        self, arch: SystolicArch, dataflows: Sequence[Dataflow], runs: Runs, tolerance: float = TOLERANCE
    ) -> None:
        self.target = Target.of(arch)
        self.dataflows = dataflows
        self.runs = runs
        self.tolerance = tolerance
        # ops are kept, so that their ids stay their own
        self._lowered: dict[int, tuple[MatrixOp, tuple[Product, ...]]] = {}
        self._chosen: dict[tuple[int, bool], tuple[MatrixOp, list[Choice]]] = {}
        self._known = runs.memory((arch, tuple(flow.name for flow in dataflows), tolerance))

    def plan(self, workload: Workload) -> tuple[ScheduledOp, ...]:
        """Every op of a step with its programs. Raises UserError for a pattern or size the machine cannot take."""
        uses = _uses(workload)
        inline = self._places(workload, uses)
        schedule = (self._scheduled(op, uses, inline) for op in workload.ops)
        return tuple(scheduled for scheduled in schedule if scheduled is not None)

    def choose(self, op: MatrixOp, inline: bool) -> list[Choice]:
        """The best mapping of each of an op's products. Raises UserError where none fits the machine."""
        known = self._chosen.get((id(op), inline))
        if known is None:
            known = self._chosen[id(op), inline] = (op, self._choose(op, inline))
        return known[1]

    def _choose(self, op: MatrixOp, inline: bool) -> list[Choice]:
        choices = [self._choice(product, inline) for product in self._products(op)]
        found = [choice for choice in choices if choice]
        if len(found) < len(choices):
            names = " or ".join(dataflow.name for dataflow in self.dataflows)
            raise UserError(f"{op.layer} {op.phase}: no {names} mapping fits the on-chip memories of this machine")
        return found

    def _products(self, op: MatrixOp) -> tuple[Product, ...]:
        found = self._lowered.get(id(op))
        if found is None:
            found = self._lowered[id(op)] = (op, self._lower(op))
        return found[1]

    def _lower(self, op: MatrixOp) -> tuple[Product, ...]:
        arch = self.target.arch
        products = lower(op, arch.lowering, arch.format.operand_bytes, arch.format.master_bytes)
        return tuple(map(compress, products)) if arch.array.pe == "compressed" else products

    def _choice(self, product: Product, inline: bool) -> Choice | None:
        choice: Choice | None = self._once((product, inline), lambda: self._found(product, inline))
        return choice

    def _found(self, product: Product, inline: bool) -> Choice | None:
        """What is best does not hang on whose tensors a product has: FF's mapping is often BP's.

        The direction of groups matters only where SORE reads weights twice for it.
        """
        alike = product.renamed("", "", "", across_outputs=inline and product.across_outputs)
        known: tuple[str, Plan] | None = self._known.get(("mapping", alike, inline))
        if known is not None:
            return self._better(known[0], known[1].renamed(product), None)
        choice = self._search(product, inline)
        if choice is not None:
            self._known["mapping", alike, inline] = choice.dataflow, choice.plan
        return choice

    def _once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        found = self._known.get(key, self)  # a key may be large: it is hashed once
        if found is self:
            found = self._known[key] = make()
        return found

    def _search(self, product: Product, inline: bool) -> Choice | None:
        offline = self.target.arch.schedule.offline
        best = self._as_packed(product) if inline and offline else None
        for dataflow, draft in self._drafts(product):
            for family in draft.families(inline):
                if self._cannot_win(draft.floor_cycles, best):
                    return best
                if offline or family.usual:
                    best = self._best_of(dataflow, family.plans(self._worth(best)), best)
        return best

    def _as_packed(self, product: Product) -> Choice | None:
        """The mapping that is best with packed weights, which is rarely far from the best with weights made sparse."""
        packed = self._choice(product, False)
        plan = packed.plan.inlined() if packed else None
        return self._better(packed.dataflow, plan, None) if packed and plan else None

    def _worth(self, best: Choice | None) -> int | None:
        """Cycles a mapping must be able to stay below to be tried; None for any number."""
        if best is None or not self.target.arch.schedule.offline:
            return None
        return math.ceil(best.cycles / (1 + self.tolerance))

    def _best_of(self, dataflow: str, plans: Iterator[Plan], best: Choice | None) -> Choice | None:
        for plan in plans:
            if not self._cannot_win(plan.least_cycles(), best):
                best = self._better(dataflow, plan, best)
        return best

    def _drafts(self, product: Product) -> Drafts:
        """Families of mappings, the lowest floor first; without offline scheduling in the order of their dataflows."""
        drafts: Drafts = self._once(("drafts", product), lambda: self._sorted_drafts(product))
        return drafts

    def _sorted_drafts(self, product: Product) -> Drafts:
        every = [(flow.name, draft) for flow in self.dataflows for draft in flow.drafts(self.target, product)]
        if not self.target.arch.schedule.offline:
            return every
        return sorted(every, key=lambda each: each[1].floor_cycles)

    def _cannot_win(self, floor_cycles: int, best: Choice | None) -> bool:
        """True when no such mapping can be better by more than the tolerance.

        Without offline scheduling the first of the usual ones that fits is taken.
        """
        if best is None:
            return False
        return not self.target.arch.schedule.offline or floor_cycles * (1 + self.tolerance) >= best.cycles

    def _better(self, dataflow: str, plan: Plan, best: Choice | None) -> Choice:
        program = plan.program()
        if not self.target.fits(program.buffers):
            raise ValueError(f"{dataflow} wrote a program whose buffers do not fit the machine's memories")
        cycles = self.runs.tried(program, best.cycles if best else None)
        return Choice(dataflow, plan, program, cycles) if best is None or cycles < best.cycles else best

    def _places(self, workload: Workload, uses: Uses) -> dict[str, frozenset[Phase]]:
        """For every layer, the phases whose sparse weights are made on the way into the array."""
        arch = self.target.arch
        updates = [op for op in workload.ops if isinstance(op, VectorOp) and op.masks]
        if arch.sore is None or workload.mode is Mode.INFERENCE:
            return {}
        return {op.layer: self._place(op, uses.get(op.layer, [])) for op in updates}

    def _place(self, update: VectorOp, uses: Sequence[MatrixOp]) -> frozenset[Phase]:
        phases = [phase for phase, _ in update.masks]
        everywhere = frozenset(phases)
        if not self.target.arch.schedule.pregenerate:
            return everywhere
        if not self.target.arch.schedule.offline:
            return frozenset()
        options = [
            frozenset(phase for phase, inline in zip(phases, places, strict=True) if inline)
            for places in combinations((False, True), repeat=len(phases))
        ]
        return self._best_place(update, uses, options)

    def _best_place(
        self, update: VectorOp, uses: Sequence[MatrixOp], options: Sequence[frozenset[Phase]]
    ) -> frozenset[Phase]:
        """The option of the shortest FF, BP and UP together, or one within about the tolerance of it."""
        floor = sum(self._inline_floor(op) for op in uses)
        best, best_cycles = options[0], 0
        for option in options:
            program = self._update(update, uses, option)
            cycles = self.runs.cycles(program) if program else 0
            if best_cycles and (floor + cycles) * (1 + self.tolerance) >= best_cycles:
                continue
            if option and not self._possible(uses, option):
                continue
            cycles += sum(choice.cycles for op in uses for choice in self.choose(op, op.phase in option))
            if not best_cycles or cycles < best_cycles:
                best, best_cycles = option, cycles
        return best

    def _inline_floor(self, op: MatrixOp) -> int:
        """Cycles that an op is taken not to get below by making its weights sparse on the way in.

        Those with packed weights: the others come dense, through SORE, which is shorter only where its staging happens
        to fetch ahead (by up to 6 % of a product in trials of odd machines). Where n is near m packed weights can be
        the larger ones: there the floor of all mappings holds.
        """
        products = self._products(op)
        dense = sum(product.count * product.cols * product.inner for product in products) * self.target.operand_bytes
        if self.packing(op).total_bytes > dense:
            return sum(self._drafts(product)[0][1].floor_cycles for product in products)
        return sum(choice.cycles for choice in self.choose(op, False))

    def _possible(self, uses: Sequence[MatrixOp], inline: frozenset[Phase]) -> bool:
        """Whether every product has a mapping with weights made sparse in these phases."""
        return all(self._choice(product, op.phase in inline) for op in uses for product in self._products(op))

    def _update(self, update: VectorOp, uses: Sequence[MatrixOp], inline: frozenset[Phase]) -> Program | None:
        masks = dict(update.masks)
        packings = tuple(self.packing(op) for op in uses if op.phase in masks and op.phase not in inline)
        dense = not uses or any(op.right.pattern.is_dense or op.phase in inline for op in uses)
        if self.target.arch.sore is None:
            packings = ()
        alike = (replace(update, layer=""), packings, dense)
        program: Program | None = self._once(alike, lambda: update_program(self.target, *alike))
        return program

    def packing(self, op: MatrixOp) -> Packing:
        pattern = op.right.pattern
        kept = sum(product.cols * product.reduction.kept * product.count for product in self._products(op))
        size = packed_bytes(kept, self.target.operand_bytes, pattern.index_bits)
        return Packing(size, pattern.n, pattern.m, across_outputs=op.phase is Phase.BP)

    def _scheduled(self, op: Op, uses: Uses, inline: dict[str, frozenset[Phase]]) -> ScheduledOp | None:
        if isinstance(op, MatrixOp):
            return self._matrix(op, op.phase in inline.get(op.layer, frozenset()))
        if op.kind is VectorKind.UPDATE:
            program = self._update(op, uses.get(op.layer, []), inline.get(op.layer, frozenset()))
        else:
            alike = replace(op, layer="", phase=Phase.FF)
            program = self._once(alike, lambda: vector_program(self.target, alike))
        if program is None:
            return None
        return ScheduledOp(op, (program,), program.lead, "")

    def _matrix(self, op: MatrixOp, inline: bool) -> ScheduledOp:
        choices = self.choose(op, inline)
        arch = self.target.arch
        skips = arch.lowering.skip_stride_zeros
        real = self._products(op) if skips else lower(op, replace(arch.lowering, skip_stride_zeros=True), 1, 1)
        useful = sum(product.macs_kept for product in real)
        return ScheduledOp(
            op=op,
            programs=tuple(choice.program for choice in choices),
            dataflow=", ".join(sorted({choice.dataflow for choice in choices})),
            detail="; ".join(choice.plan.mapping().describe() for choice in choices),
            macs_useful=useful,
            macs_skipped=op.macs - useful,
            pes=arch.array.rows * arch.array.cols,
            last_cycle_index=arch.lowering.cycles_from_zero,
            parts=tuple(map(array_part, self._products(op), choices)),
        )


def array_part(product: Product, choice: Choice) -> ArrayPart:
    """What the array does for a product; dense work has the group depth that the plan chose."""
    chosen, reduction = choice.plan.mapping(), product.reduction
    if product.pattern.is_dense:
        reduction = reduction._replace(n=chosen.depth, m=chosen.depth)
    return ArrayPart(
        dataflow=choice.dataflow,
        rows=product.rows,
        cols=product.cols,
        count=product.count,
        reduction=reduction,
        interleave=chosen.interleave,
        share_weights=chosen.shared != "operands",
        block=chosen.block,
        array_cycles=choice.plan.floor_cycles(),
    )


def compress(product: Product) -> Product:
    """Kept weights in the place of dense ones, one a PE."""
    return replace(product, reduction=Reduction(1, product.reduction.kept, 1, 1))


def _uses(workload: Workload) -> Uses:
    """The products that use each layer's weight."""
    uses: dict[str, list[MatrixOp]] = {}
    for op in workload.ops:
        if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT:
            uses.setdefault(op.layer, []).append(op)
    return uses
