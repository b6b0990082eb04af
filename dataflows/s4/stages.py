"""A step as a card takes it: products as the banks hold them, each with the vector work done on its results, and what
stays in L2 between such stages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from simulator.machines.s4 import S4Arch, VectorSpec
from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, Pattern
from workloads.workload import Mode

RATIOS = (1, 2, 4, 8, 16, 32)
CHANNELS = 4  # a sparse convolution's channels come in multiples of it (Moffett's public documentation)
TRAINING_FUSES = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)
TWICE = 2  # normalisation and softmax read their input twice
FOR_WEIGHTS = 4  # a quarter of L2 is kept free for weights on their way to the units


def usable(op: MatrixOp, arch: S4Arch) -> tuple[MatrixOp, str]:
    """The op as the units take it, and why it stays dense where it was asked to be sparse, in words.

    Raises UserError for a pattern that does not keep a supported number in every bank.
    """
    if not op.left.pattern.is_dense:
        raise UserError(f"{op.layer} {op.phase}: this machine takes sparse weights only, not a sparse {op.left.role}")
    pattern = op.right.pattern
    if pattern.is_dense:
        return op, ""
    check_banks(pattern, arch.bank, f"{op.layer} {op.phase}")
    odd = _odd_channels(op)
    if op.right.role is not Role.WEIGHT or odd:
        return replace(op, right=replace(op.right, pattern=DENSE)), f"dense: {odd} channels are no multiple of 4"
    return op, ""


def check_banks(pattern: Pattern, bank: int, where: str) -> int:
    """The ratio of a pattern. Raises UserError where it keeps no supported number in every bank."""
    kept = [bank // ratio for ratio in RATIOS if bank % ratio == 0]
    allowed = f"a bank of {bank} keeps {', '.join(map(str, kept[:-1]))} or {kept[-1]}"
    if not pattern.is_grouped:
        raise UserError(f"{where}: pattern '{pattern}' does not keep the same number in every bank; {allowed}")
    if bank % pattern.m:
        raise UserError(f"{where}: pattern {pattern}: groups of {pattern.m} do not fill banks of {bank}; {allowed}")
    here = pattern.n * (bank // pattern.m)
    if here not in kept:
        near = min(kept, key=lambda number: abs(number - here))
        raise UserError(
            f"{where}: pattern {pattern} keeps {here} in a bank of {bank}; {allowed} (the nearest is {near}:{bank})"
        )
    return bank // here


def _odd_channels(op: MatrixOp) -> int:
    """The number of channels that keeps a convolution dense; 0 where none does."""
    if op.geometry is None:
        return 0
    inside, outside = op.geometry.in_channels, op.geometry.out_channels
    return next((channels for channels in (inside, outside) if channels % CHANNELS), 0)


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
        right = 0 if self.op.right.role is Role.WEIGHT else self.op.inner * self.op.cols * self.op.count
        return self.op.left_distinct + right

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


@dataclass(frozen=True)
class Spill:
    """Shares of what comes in, waits beside, and goes out that do not stay on chip."""

    inputs: float = 0.0
    beside: float = 0.0
    outputs: float = 0.0


def l2_bytes(arch: S4Arch) -> int:
    """L2 of one core."""
    return int(arch.l2_mib * 2**20)


def room_bytes(arch: S4Arch) -> int:
    """What of it activations may take."""
    return l2_bytes(arch) * (FOR_WEIGHTS - 1) // FOR_WEIGHTS


def working_sets(
    stages: Sequence[Stage], waiting: Sequence[int], batch: int, samples: int, operand_bytes: int
) -> list[int]:
    """Bytes of activations a core holds at each stage of so many samples: what comes in, goes out, and waits."""
    return [
        -(-(stage.inputs + stage.outputs + wait) * samples // batch) * operand_bytes
        for stage, wait in zip(stages, waiting, strict=True)
    ]


def spills(
    stages: Sequence[Stage], waiting: Sequence[int], sets: Sequence[int], samples_share: float, arch: S4Arch
) -> list[Spill]:
    """For every stage, the shares that do not stay. What goes in first and out last crosses the DRAM in any case.

    `samples_share` turns an op's elements into the bytes a core has of them.
    """
    room, own = room_bytes(arch), []
    for stage, wait, held in zip(stages, waiting, sets, strict=True):
        over, moving = max(0, held - room), (stage.inputs + stage.outputs + wait) * samples_share
        own.append(min(1.0, over / moving) if moving else 0.0)
    out = []
    for number, mine in enumerate(own):
        before = own[number - 1] if number else 1.0
        after = own[number + 1] if number + 1 < len(own) else 1.0
        out.append(Spill(max(before, mine), mine, max(mine, after)))
    return out
