"""Offline scheduling of a step: a mapping for each product, and where sparse weights are made.

The place where a layer's weights are made sparse couples its FF, BP and UP, so places are enumerated layer by layer. A
sparse product may also be done as the dense one with masked weights, whose zeros the array multiplies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dataflows import systolic
from dataflows.systolic.elementwise import Packing, update_program, vector_program
from dataflows.systolic.following import following
from dataflows.systolic.lowering import Product, lower
from dataflows.systolic.mapping import Dataflow
from dataflows.systolic.objective import Objective
from dataflows.systolic.places import Way, Ways, places_of
from dataflows.systolic.search import Choice, Search, Tolerances, once
from dataflows.systolic.target import Target, packed_bytes
from rtl.timing import Reduction
from simulator.machines.systolic import SystolicArch
from simulator.program import Program
from simulator.runs import Runs
from simulator.schedule import ArrayPart, ScheduledOp
from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.pattern import DENSE
from workloads.workload import Mode, Workload

if TYPE_CHECKING:
    from dataflows.systolic.core_updates import CoreUpdate, UpdatePlan

Uses = Mapping[str, list[MatrixOp]]


class Planner:
    """Plans ops for one machine. Products met before, in any step planned on the same runs, are not planned again."""

    def __init__(
        self,
        arch: SystolicArch,
        dataflows: Sequence[Dataflow],
        runs: Runs,
        tolerances: Tolerances = Tolerances(),  # noqa: B008  # a constant
        objective: Objective = Objective(),  # noqa: B008
    ) -> None:
        self.target = Target.of(arch)
        self.search = Search(self.target, dataflows, runs, tolerances, objective)
        self.runs = runs
        self._known = runs.memory(("vector work", arch))
        # ops are kept, so that their ids stay their own
        self._lowered: dict[int, tuple[MatrixOp, tuple[Product, ...]]] = {}
        self._chosen: dict[tuple[int, bool], tuple[MatrixOp, list[Choice] | None]] = {}
        self._masked: dict[int, tuple[MatrixOp, MatrixOp]] = {}

    def plan(self, workload: Workload) -> tuple[ScheduledOp, ...]:
        """Every op of a step with its programs. Raises UserError for a pattern or size the machine cannot take."""
        uses = _uses(workload)
        ways = self._places(workload, uses)
        gradients = {op.layer: op for op in workload.ops if isinstance(op, MatrixOp) and op.phase is Phase.WU}
        every = (self._scheduled(op, uses, gradients, ways.get(op.layer, {})) for op in workload.ops)
        schedule = tuple(scheduled for scheduled in every if scheduled is not None)
        return (
            following(schedule, self.target, self.runs) if self.target.arch.schedule.overlap == "overlap" else schedule
        )

    def choose(self, op: MatrixOp, way: Way = Way.PACKED) -> list[Choice]:
        """The best mapping of each of an op's products. Raises UserError where none fits the machine."""
        found = self.found(op, way)
        if found is None:
            names = " or ".join(dataflow.name for dataflow in self.search.dataflows)
            raise UserError(f"{op.layer} {op.phase}: no {names} mapping fits the on-chip memories of this machine")
        return found

    def found(self, op: MatrixOp, way: Way) -> list[Choice] | None:
        """The same; None where none fits."""
        if way is Way.MASKED:
            return self.found(self.masked(op), Way.PACKED)
        inline = way is Way.INLINE
        known = self._chosen.get((id(op), inline))
        if known is None:
            choices = [self.search.choice(product, inline) for product in self.products(op)]
            fitting = [choice for choice in choices if choice]
            known = (op, fitting if len(fitting) == len(choices) else None)
            self._chosen[id(op), inline] = known
        return known[1]

    def products(self, op: MatrixOp) -> tuple[Product, ...]:
        """The plain products of an op."""
        found = self._lowered.get(id(op))
        if found is None:
            found = self._lowered[id(op)] = (op, self._lower(op))
        return found[1]

    def masked(self, op: MatrixOp) -> MatrixOp:
        """The dense op that gives the same results with masked weights."""
        known = self._masked.get(id(op))
        if known is None:
            known = self._masked[id(op)] = (op, replace(op, right=replace(op.right, pattern=DENSE)))
        return known[1]

    def _lower(self, op: MatrixOp) -> tuple[Product, ...]:
        arch = self.target.arch
        products = lower(op, arch.lowering, arch.format.operand_bytes, arch.format.master_bytes)
        return tuple(map(compress, products)) if arch.array.pe == "compressed" else products

    def may_be_masked(self, op: MatrixOp) -> bool:
        """Whether an op's dense mapping is shorter than that with packed weights, or the only one that fits."""
        if op.right.pattern.is_dense or not self.target.arch.schedule.offline:
            return False
        if self.target.words is not None:  # the core's SORE lanes give what is kept, and no zeros in place of the rest
            return False
        packed = self.found(op, Way.PACKED)
        if packed is None:
            return self.found(op, Way.MASKED) is not None
        cycles = sum(choice.cycles for choice in packed)
        dense = self.products(self.masked(op))
        if sum(self.search.drafts(product)[0][1].floor_cycles for product in dense) >= cycles:
            return False
        masked = self.found(op, Way.MASKED)
        return masked is not None and sum(choice.cycles for choice in masked) < cycles

    def inline_floor(self, op: MatrixOp) -> int:
        """Cycles that an op is taken not to get below by making its weights sparse on the way in.

        Those with packed weights: the others come dense, through SORE, which is shorter only where its staging happens
        to fetch ahead (by up to 6 % of a product in trials of odd machines). Where n is near m packed weights can be
        the larger ones, and there may be no room for them: there the floor of all mappings holds.
        """
        products, packed = self.products(op), self.found(op, Way.PACKED)
        dense = sum(product.count * product.cols * product.inner for product in products) * self.target.operand_bytes
        if packed is None or self.packing(op).total_bytes > dense:
            return sum(self.search.drafts(product)[0][1].floor_cycles for product in products)
        return sum(choice.cycles for choice in packed)

    def _places(self, workload: Workload, uses: Uses) -> dict[str, Ways]:
        """For every layer, how the sparse weights of its products come into the array, where not packed."""
        updates = {op.layer: op for op in workload.ops if isinstance(op, VectorOp) and op.masks}
        if self.target.arch.sore is None or workload.mode is Mode.INFERENCE:
            updates = {}
        found = {layer: places_of(self, op, uses.get(layer, [])) for layer, op in updates.items()}
        for op in workload.ops:
            if isinstance(op, MatrixOp) and op.phase not in found.get(op.layer, {}) and self.may_be_masked(op):
                found[op.layer] = {**found.get(op.layer, {}), op.phase: Way.MASKED}
        return found

    def update(self, update: VectorOp, uses: Sequence[MatrixOp], ways: Ways) -> Program | None:
        """The program of an update that makes the copies of the weight which these products use."""
        core = self._core_update(update, uses, ways)
        if core is not None:
            made: Program = once(self._known, (core.optimizer, core.weight, core.copies), core.program)
            return made
        masks = dict(update.masks)
        of = [(op, ways.get(op.phase, Way.PACKED)) for op in uses]
        sparse = [(op, way) for op, way in of if op.phase in masks and way is not Way.INLINE]
        dense = not uses or any(op.right.pattern.is_dense or way is Way.INLINE for op, way in of)
        packings = tuple(self.packing(op, way is Way.MASKED) for op, way in sparse)
        if self.target.arch.sore is None:
            packings = ()
        alike = (replace(update, layer=""), packings, dense)
        program: Program | None = once(self._known, alike, lambda: update_program(self.target, *alike))
        return program

    def _core_update(self, update: VectorOp, uses: Sequence[MatrixOp], ways: Ways) -> "CoreUpdate | None":
        """The update as the core's hardware does it; None on another machine."""
        if self.target.words is None:
            return None
        inline = [phase for phase, way in ways.items() if way is Way.INLINE]
        return systolic.core_update(self.target, update, uses, inline)

    def _update_plans(
        self, update: VectorOp, uses: Sequence[MatrixOp], gradient: MatrixOp | None, ways: Ways
    ) -> "tuple[UpdatePlan, ...]":
        """How the core's hardware does an update, with the products around it."""
        core = self._core_update(update, uses, ways)
        if core is None:
            return ()
        products = {op.phase: [each.plan for each in self.choose(op, ways.get(op.phase, Way.PACKED))] for op in uses}
        if gradient is not None:
            products[Phase.WU] = [each.plan for each in self.choose(gradient)]
        return (systolic.UpdatePlan(core, products),)

    def packing(self, op: MatrixOp, masked: bool = False) -> Packing:
        """The copy of an op's weight with what its pattern keeps; with `masked`, of all of it, zeros in the rest."""
        pattern, products = op.right.pattern, self.products(op)
        kept = sum(product.cols * product.reduction.kept * product.count for product in products)
        size = packed_bytes(kept, self.target.operand_bytes, pattern.index_bits)
        if masked:
            size = sum(each.cols * each.inner * each.count for each in products) * self.target.operand_bytes
        return Packing(size, pattern.n, pattern.m, across_outputs=op.phase is Phase.BP)

    def _scheduled(self, op: Op, uses: Uses, gradients: Mapping[str, MatrixOp], ways: Ways) -> ScheduledOp | None:
        plans: tuple[UpdatePlan, ...] = ()
        if isinstance(op, MatrixOp):
            return self._matrix(op, ways.get(op.phase, Way.PACKED))
        if op.kind is VectorKind.UPDATE:
            used = uses.get(op.layer, [])
            program = self.update(op, used, ways)
            plans = self._update_plans(op, used, gradients.get(op.layer), ways)
        else:
            alike = replace(op, layer="", phase=Phase.FF)
            program = once(self._known, alike, lambda: vector_program(self.target, alike))
        if program is None:
            return None
        return ScheduledOp(op, (program,), program.lead, "", plans=plans)

    def _matrix(self, op: MatrixOp, way: Way) -> ScheduledOp:
        choices = self.choose(op, way)
        arch, done = self.target.arch, self.masked(op) if way is Way.MASKED else op
        skips = arch.lowering.skip_stride_zeros
        real = self.products(op) if skips else lower(op, replace(arch.lowering, skip_stride_zeros=True), 1, 1)
        useful = sum(product.macs_kept for product in real)
        details = ["weights=masked"] if way is Way.MASKED else []
        return ScheduledOp(
            op=op,
            programs=tuple(choice.program for choice in choices),
            dataflow=", ".join(sorted({choice.dataflow for choice in choices})),
            detail="; ".join([*details, *(choice.plan.mapping().describe() for choice in choices)]),
            macs_useful=useful,
            macs_skipped=op.macs - useful,
            pes=arch.array.rows * arch.array.cols,
            last_cycle_index=arch.lowering.cycles_from_zero,
            parts=tuple(map(array_part, self.products(done), choices)),
            plans=tuple(choice.plan for choice in choices),
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
