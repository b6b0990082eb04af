"""Whether a workload file agrees with itself: names, sizes, patterns and orders of channels, once each has its type."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Operand, Orders, Phase, Role, name_fault
from workloads.pattern import parse_pattern


def check_ops(ops: tuple[Op, ...], orders: Mapping[str, Orders], path: Path) -> None:
    """Raises UserError for ops that cannot be, with the layer and what is wrong."""
    if not ops:
        raise UserError(f"{path}: ops: a workload has at least one")
    for op in ops:
        where = f"{path}: {op.layer} {op.phase}"
        if wrong := name_fault(op.layer):
            raise UserError(f"{path}: ops: {wrong}")
        if not isinstance(op, MatrixOp):
            for _, pattern in op.masks:
                parse_pattern(str(pattern), f"{where}: masks")
            continue
        if wrong := op.mismatch() or name_fault(op.left.tensor) or name_fault(op.right.tensor):
            raise UserError(f"{where}: {wrong}")
        for operand in (op.left, op.right):
            parse_pattern(str(operand.pattern), f"{where}: {operand.tensor}")
            _check_order(op, operand, orders, where)
    for name, order in orders.items():
        for channels in order:
            if sorted(channels) != list(range(len(channels))):
                raise UserError(f"{path}: orders: {name}: is no order; it names each of its channels once, from 0 on")


def _check_order(op: MatrixOp, operand: Operand, orders: Mapping[str, Orders], where: str) -> None:
    """Raises UserError for an order of output channels that a weight does not have. It need not be recorded."""
    order = orders.get(operand.permutation or "")
    if order is None or operand.role is not Role.WEIGHT:
        return
    groups = op.geometry.groups if op.geometry else 1
    each = op.geometry.out_channels // groups if op.geometry else op.inner if op.phase is Phase.BP else op.cols
    if [len(channels) for channels in order] != [each] * groups:
        raise UserError(f"{where}: permutation: '{operand.permutation}' does not order {groups} x {each} channels")


def has_pattern(ops: Iterable[Op]) -> bool:
    """Whether an operand is sparse."""
    return any(not (op.left.pattern.is_dense and op.right.pattern.is_dense) for op in ops if isinstance(op, MatrixOp))
