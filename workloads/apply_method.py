"""A method put on a captured dense workload, and workloads made from it: inference, or with the stem's BP."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from math import comb

from workloads.methods.base import END_OF_RUN, MaskSource, Method
from workloads.op import MatrixOp, Op, Operand, Phase, Role, VectorKind, VectorOp, convolution_sizes, order_name
from workloads.pattern import DENSE, Pattern, PatternKind, PatternMap
from workloads.workload import Mode, Workload


def apply_method(workload: Workload, method: Method, patterns: PatternMap, step: int = END_OF_RUN) -> Workload:
    """The workload with the method's operands sparse and its masks made by the updates.

    Layers in `workload.kept_dense` stay dense unless a glob of `patterns` names them. The result's masks are
    `derived`, unless the workload was trained under this very method and pattern: then it is returned as it is.
    By default the method's schedule, if it has one, is over: the patterns asked for are in force.
    """
    if (workload.method, workload.pattern) == (method.name, str(patterns)):
        return workload
    weights = (op for op in workload.ops if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT)
    layers = dict.fromkeys(op.layer for op in weights)
    kept_dense = set(workload.kept_dense)
    chosen = {layer: patterns.of(layer, layer in kept_dense) for layer in layers}
    at_step = {layer: method.pattern_at(pattern, step) for layer, pattern in chosen.items()}
    lengths = _lengths(workload.ops)
    ops = tuple(_with_method(op, method, at_step.get(op.layer, DENSE), lengths) for op in workload.ops)
    return replace(
        workload,
        method=method.name,
        pattern=str(patterns),
        ops=ops,
        capture=replace(workload.capture, masks="derived", notes=_left_dense(ops, at_step)),
        orders={},
    )


TOO_SHORT = "its groups are too short for the pattern to drop anything"
Lengths = Mapping[tuple[str, Phase], tuple[int, int]]


def _lengths(ops: Iterable[Op]) -> Lengths:
    """Channels and kernel positions that each layer's products with its weight reduce over, by phase."""
    products = (op for op in ops if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT)
    return {(op.layer, op.phase): (op.inner // op.segments, op.segments) for op in products}


def _left_dense(ops: Iterable[Op], patterns: Mapping[str, Pattern]) -> tuple[str, ...]:
    """A sentence on layers that a pattern was asked for and whose products have none."""
    products = [op for op in ops if isinstance(op, MatrixOp)]
    sparse = {op.layer for op in products if not (op.left.pattern.is_dense and op.right.pattern.is_dense)}
    left = {layer: pattern for layer, pattern in patterns.items() if not pattern.is_dense and layer not in sparse}
    return (f"{some_layers(list(left))}: stays dense; {TOO_SHORT}",) if left else ()


def some_layers(layers: Sequence[str]) -> str:
    """Up to three layers by name, more by how many they are."""
    if len(layers) > 3:
        return f"each of {len(layers)} layers ({layers[0]} to {layers[-1]})"
    return "layer " + ", ".join(f"'{layer}'" for layer in layers)


def _with_method(op: Op, method: Method, pattern: Pattern, lengths: Lengths) -> Op:
    if isinstance(op, MatrixOp):
        left, right = (_with_pattern(op, operand, method, pattern) for operand in (op.left, op.right))
        return replace(op, left=left, right=right)
    if op.kind is not VectorKind.UPDATE or pattern.is_dense:
        return replace(op, masks=())
    phases = [operand.phase for operand in method.sparse if operand.role is Role.WEIGHT]
    masks = ((phase, pattern.on(*lengths.get((op.layer, phase), (pattern.m + 1, 1)))) for phase in phases)
    return replace(op, masks=tuple((phase, each) for phase, each in masks if not each.is_dense))


def _with_pattern(op: MatrixOp, operand: Operand, method: Method, pattern: Pattern) -> Operand:
    """Measured zeros of an operand whose pattern changes no longer hold."""
    sparse = method.operand(op.phase, operand.role)
    taps = op.geometry.taps if op.geometry else 1
    wanted = pattern.on(op.inner // taps, taps) if sparse else DENSE
    zeros = operand.zeros if wanted == operand.pattern else None
    if op.phase is Phase.BP and operand.role is Role.WEIGHT and not pattern.is_dense:
        zeros = _backward_zeros(op, method, pattern, zeros)
    order = order_name(operand.tensor) if sparse and sparse.permuted and not wanted.is_dense else None
    return replace(operand, pattern=wanted, permutation=order, zeros=zeros)


def _backward_zeros(op: MatrixOp, method: Method, pattern: Pattern, otherwise: float | None) -> float | None:
    """The zeros that BP's weight has from the forward mask, where the backward pattern does not say it.

    A part of the forward mask holds at most n of each m of random survivors: fewer than n on average.
    """
    taps = op.geometry.taps if op.geometry else 1
    length = op.cols * taps if pattern.kind is PatternKind.FAN_IN else op.cols
    share = pattern.kept(length) / length
    match method.backward_from:
        case MaskSource.FORWARD_MASK if method.operand(Phase.BP, Role.WEIGHT) is None:
            return round(1 - share, 6)
        case MaskSource.PART_OF_FORWARD_MASK:
            m = pattern.m
            odds = [comb(m, count) * share**count * (1 - share) ** (m - count) for count in range(m + 1)]
            kept = sum(min(pattern.n, count) * chance for count, chance in enumerate(odds)) / m
            return round(1 - kept, 6)
    return otherwise


def for_inference(workload: Workload) -> Workload:
    """The forward pass alone, without the loss, layers that only training needs, and what a checkpoint does again.

    Nothing is kept for a backward pass.
    """
    ops = tuple(op for op in workload.ops if op.phase is Phase.FF and not _for_training(op, workload.training_only))
    return replace(workload, mode=Mode.INFERENCE, ops=ops, saved_elements=0)


def _for_training(op: Op, layers: Iterable[str]) -> bool:
    is_loss = isinstance(op, VectorOp) and op.kind is VectorKind.LOSS
    return is_loss or op.again or any(fnmatchcase(op.layer, glob) for glob in layers)


def with_input_gradient(workload: Workload) -> Workload:
    """The training step with a BP product also where the input needs no gradient: the first layer.

    Some published counts include it. The product stands before the layer's WU.
    """
    have = {op.layer for op in _of_phase(workload.ops, Phase.BP)}
    forward = {op.layer: op for op in _of_phase(workload.ops, Phase.FF)}
    ops: list[Op] = []
    for op in workload.ops:
        if isinstance(op, MatrixOp) and op.phase is Phase.WU and op.layer not in have:
            ops.append(_input_gradient(forward[op.layer], op.right))
        ops.append(op)
    return replace(workload, ops=tuple(ops))


def _of_phase(ops: Iterable[Op], phase: Phase) -> Iterator[MatrixOp]:
    return (op for op in ops if isinstance(op, MatrixOp) and op.phase is phase)


def _input_gradient(forward: MatrixOp, gradient: Operand) -> MatrixOp:
    weight, geometry = replace(forward.right, pattern=DENSE), forward.geometry
    if geometry is None:
        rows, inner, cols = forward.rows, forward.cols, forward.inner
    else:
        rows, inner, cols = convolution_sizes(geometry, Phase.BP, forward.images)
    return replace(forward, phase=Phase.BP, rows=rows, inner=inner, cols=cols, left=gradient, right=weight)
