"""The check of what is recorded: an operand that should be n:m and is not."""

from torch import Tensor

from workloads.errors import UserError
from workloads.op import MatrixOp, Phase, Role
from workloads.pattern import Pattern
from workloads.training.masks import largest_group_count

AXES = {Phase.FF: "input channels", Phase.BP: "output channels"}


def check_groups(op: MatrixOp, role: Role, operand: Tensor, pattern: Pattern) -> None:
    """Raises UserError when a group of the operand holds more than n non-zeros.

    operand: as the product sees it. Groups lie along the reduction and cross neither kernel positions nor convolution
    groups.
    """
    if not pattern.is_grouped:
        return
    values, axis = _along_reduction(op, role, operand)
    most = largest_group_count(values, pattern.m, axis)
    if most > pattern.n:
        raise UserError(
            f"layer '{op.layer}': the {role} of {op.phase} has {most} non-zeros in a group of {pattern.m} along "
            f"{AXES[op.phase]}; the pattern {pattern} allows {pattern.n}"
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
