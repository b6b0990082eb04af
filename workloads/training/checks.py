"""The check of what is recorded: an operand that should be n:m and is not."""

from torch import Tensor

from workloads.errors import UserError
from workloads.op import MatrixOp, Phase, Role
from workloads.pattern import Pattern, PatternKind
from workloads.training.masks import largest_group_count
from workloads.training.permutations import reordered

AXES = {Phase.FF: "input channels", Phase.BP: "output channels"}


def check_operand(op: MatrixOp, role: Role, operand: Tensor, pattern: Pattern, order: Tensor | None = None) -> None:
    """Raises UserError when an operand holds more non-zeros than its pattern allows.

    operand: as the product sees it. Groups lie along the reduction and cross neither kernel positions nor convolution
    groups; with an `order`, (G, O), in that order of output channels. `fan-in` counts over the whole reduction.
    """
    if pattern.is_grouped:
        _check_groups(op, role, operand, pattern, order)
    elif pattern.kind is PatternKind.FAN_IN:
        _check_fan_in(op, role, operand, pattern)


def _check_groups(op: MatrixOp, role: Role, operand: Tensor, pattern: Pattern, order: Tensor | None) -> None:
    values, axis = _along_reduction(op, role, operand)
    if order is not None:
        values = reordered(values if op.geometry else values[None], order)
        axis = 1
    most = largest_group_count(values, pattern.m, axis)
    if most > pattern.n:
        along = AXES[op.phase] + (", in their stored order" if order is not None else "")
        raise UserError(
            f"layer '{op.layer}': the {role} of {op.phase} has {most} non-zeros in a group of {pattern.m} along "
            f"{along}; the pattern {pattern} allows {pattern.n}"
        )


def _check_fan_in(op: MatrixOp, role: Role, operand: Tensor, pattern: Pattern) -> None:
    values = operand.flatten(1) if op.geometry else operand.mT
    most = int((values != 0).sum(1).max())
    if most > pattern.fan_in:
        raise UserError(
            f"layer '{op.layer}': an output's {role} of {op.phase} has {most} non-zeros; the pattern {pattern} allows "
            f"{pattern.fan_in}"
        )


def _along_reduction(op: MatrixOp, role: Role, operand: Tensor) -> tuple[Tensor, int]:
    if op.geometry is None:
        return operand, operand.dim() - (1 if role is Role.GRADIENT else 2)
    if op.phase is Phase.FF:
        return operand, 1
    groups = op.geometry.groups
    if role is Role.GRADIENT:
        return operand.unflatten(1, (groups, -1)), 2  # type: ignore[no-untyped-call]
    return operand.reshape(groups, -1, *operand.shape[1:]), 1
