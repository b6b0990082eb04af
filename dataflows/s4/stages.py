"""A step as stages: ops with programs of their own, each with the vector work done on its results on their way out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulator.machines.s4 import VectorSpec
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.workload import Mode

TRAINING_FUSES = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)
TWICE = 2  # normalisation and softmax read their input twice


@dataclass(frozen=True)
class Cost:
    """Vector work: operations, elements of special functions, elements that a second operand has."""

    operations: int = 0
    special: int = 0
    beside: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.operations + other.operations, self.special + other.special, self.beside + other.beside)


@dataclass(frozen=True)
class Stage:
    """An op and the vector ops behind it that need no pass of their own. `exchanged`: the next product needs results
    of all cores."""

    op: Op
    fused: tuple[VectorOp, ...] = ()
    exchanged: bool = True

    @property
    def inputs(self) -> int:
        """Distinct elements of activations or gradients that come in."""
        if isinstance(self.op, VectorOp):
            return min(self.op.reads, 2 * self.op.elements)
        return sum(_elements(self.op, side) for side in ("left", "right"))

    @property
    def outputs(self) -> int:
        """Elements that go out, behind a pooling where there is one."""
        pooled = [op.writes for op in self.fused if op.kind is VectorKind.POOLING]
        made = self.op.rows * self.op.cols * self.op.count if isinstance(self.op, MatrixOp) else self.op.writes
        return pooled[-1] if pooled else made


def stages_of(ops: Sequence[Op], mode: Mode) -> list[Stage]:
    """The ops in order. In inference everything between two products follows the first of them."""
    out: list[Stage] = []
    for op in ops:
        last = out[-1] if out else None
        if isinstance(op, VectorOp) and last is not None and _follows(op, last, mode):
            out[-1] = Stage(last.op, (*last.fused, op))
        else:
            out.append(Stage(op))
    return [Stage(each.op, each.fused, _exchanged(out[number + 1 :])) for number, each in enumerate(out)]


def reserves(stages: Sequence[Stage]) -> list[int]:
    """Elements that must wait on chip beside each stage: what a residual sum or a later attention product will read."""
    waiting = [0] * len(stages)
    start = 0
    for number, stage in enumerate(stages):
        beside = max((max(0, op.reads - op.elements) for op in _sums(stage)), default=0)
        if beside:
            for between in range(start, number + 1):
                waiting[between] = max(waiting[between], beside)
            start = number + 1
    for number, (stage, after) in enumerate(pairwise(stages)):
        if _of_activations(stage.op) and _of_activations(after.op):
            assert isinstance(after.op, MatrixOp)
            waiting[number] += after.op.inner * after.op.cols * after.op.count
    return waiting


def cost_of(stage: Stage, spec: VectorSpec, mode: Mode, requantised: bool) -> Cost:
    """Vector work of a stage, its own op's included."""
    if isinstance(stage.op, VectorOp):
        return _cost(stage.op, spec, folded=False)
    total = Cost()
    for number, op in enumerate(stage.fused):
        behind_convolution = number == 0 and stage.op.geometry is not None and mode is Mode.INFERENCE
        total += _cost(op, spec, folded=behind_convolution and op.kind is VectorKind.NORMALISATION)
    made = stage.op.rows * stage.op.cols * stage.op.count
    return total + Cost(round(made * (spec.requantise_ops if requantised else 1)))


def _cost(op: VectorOp, spec: VectorSpec, folded: bool) -> Cost:
    elements, reads = op.elements, op.reads / TWICE
    match op.kind:
        case VectorKind.NORMALISATION if not folded:
            cost = Cost(round(spec.normalisation_ops * reads))
        case VectorKind.SOFTMAX | VectorKind.LOSS:
            cost = Cost(round(spec.softmax_ops * reads), elements)
        case VectorKind.ACTIVATION if "relu" not in op.layer.rpartition(".")[2].lower():
            cost = Cost(0, elements)
        case VectorKind.UPDATE:
            cost = Cost(round(spec.update_ops * elements))
        case VectorKind.POOLING:
            cost = Cost(op.reads)
        case VectorKind.ELEMENTWISE:
            cost = Cost(elements, beside=max(0, op.reads - elements))
        case _:
            cost = Cost(elements)
    return Cost(cost.operations * op.count, cost.special * op.count, cost.beside * op.count)


def _follows(op: VectorOp, last: Stage, mode: Mode) -> bool:
    if not isinstance(last.op, MatrixOp) or op.kind in (VectorKind.UPDATE, VectorKind.EMBEDDING):
        return False
    if op.elements * op.count > last.op.rows * last.op.cols * last.op.count or op.phase is not last.op.phase:
        return False
    return mode is Mode.INFERENCE or (op.kind in TRAINING_FUSES and op.phase is Phase.FF)


def _exchanged(after: Iterable[Stage]) -> bool:
    """False where the next product works on samples and heads of its own."""
    following = next((each.op for each in after if isinstance(each.op, MatrixOp)), None)
    return not _of_activations(following)


def _of_activations(op: Op | None) -> bool:
    return isinstance(op, MatrixOp) and op.right.role is Role.ACTIVATION


def _sums(stage: Stage) -> list[VectorOp]:
    own = [stage.op] if isinstance(stage.op, VectorOp) else []
    return [op for op in (*own, *stage.fused) if op.kind is VectorKind.ELEMENTWISE]


def _elements(op: MatrixOp, side: str) -> int:
    """Distinct elements of an operand; none for a weight, which is no activation."""
    if side == "right":
        return 0 if op.right.role is Role.WEIGHT else op.inner * op.cols * op.count
    if op.geometry is None:
        return op.rows * op.inner * op.count
    geometry = op.geometry
    if op.phase is Phase.BP:
        return op.images * geometry.output_positions * geometry.out_channels
    return op.images * geometry.input_positions * geometry.in_channels
