"""The layers that stay dense unless a pattern names them: the first and the last that multiply by a weight."""

from collections.abc import Sequence

from workloads.op import MatrixOp, Op, Phase, Role


def first_and_last(ops: Sequence[Op]) -> tuple[str, ...]:
    """The first and the last layer of a step that multiply by a weight."""
    return ends_of(weight_layers_of(ops))


def ends_of(layers: Sequence[str]) -> tuple[str, ...]:
    """The first and the last of some layers, which may be one."""
    return tuple(dict.fromkeys((*layers[:1], *layers[-1:])))


def weight_layers_of(ops: Sequence[Op]) -> list[str]:
    """The layers that multiply by a weight, in the order they run forward."""
    found = (op for op in ops if isinstance(op, MatrixOp) and op.phase is Phase.FF and not op.again)
    return list(dict.fromkeys(op.layer for op in found if op.right.role is Role.WEIGHT))
