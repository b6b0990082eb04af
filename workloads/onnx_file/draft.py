"""A product of the forward pass, and the products of the backward pass that follow from it.

| FF         | rows x inner  by inner x cols  |                                           |
| BP, left   | rows x cols   by cols x inner  | output gradient by the right factor       |
| BP, right  | cols x rows   by rows x inner  | output gradient by the left factor (data) |
| WU         | inner x rows  by rows x cols   | left factor by output gradient (weight)   |

Two weights multiplied, as those of an adapter that is merged, are a product of every step, and each has its WU.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from workloads.conv import ConvGeometry
from workloads.op import MatrixOp, Operand, Phase, Role, convolution_sizes


@dataclass(frozen=True)
class Draft:
    """A product of the forward pass. left_learns, right_learns: whether each factor's gradient is wanted. composed: the
    left factor is a weight as well."""

    op: MatrixOp
    left_learns: bool
    right_learns: bool
    composed: bool = False

    @property
    def weight(self) -> str:
        """The weight that the layer multiplies by; empty where it multiplies data by data."""
        return self.op.right.tensor if self.op.right.role is Role.WEIGHT else ""


def backward(draft: Draft) -> Iterator[MatrixOp]:
    """The BP and WU products of a product, in the order that they are run in."""
    op = draft.op
    gradient = Operand(f"{op.left.tensor}.{op.layer}.grad", Role.GRADIENT)
    rows, inner, cols = op.rows, op.inner, op.cols
    if op.geometry is not None:
        yield from _backward_convolution(draft, op.geometry, gradient)
        return
    data = replace(op.right, role=Role.ACTIVATION)
    if draft.left_learns and draft.composed:
        yield _other(op, Phase.WU, (inner, cols, rows), data, gradient)
    elif draft.left_learns:
        yield _other(op, Phase.BP, (rows, cols, inner), gradient, op.right)
    if draft.right_learns and draft.weight:
        yield _other(op, Phase.WU, (inner, rows, cols), op.left, gradient)
    elif draft.right_learns:
        yield _other(op, Phase.BP, (cols, rows, inner), gradient, op.left)


def _backward_convolution(draft: Draft, geometry: ConvGeometry, gradient: Operand) -> Iterator[MatrixOp]:
    op = draft.op
    if draft.left_learns:
        yield _other(op, Phase.BP, convolution_sizes(geometry, Phase.BP, op.images), gradient, op.right)
    if draft.right_learns:
        sides = (gradient, op.left) if geometry.transposed else (op.left, gradient)
        yield _other(op, Phase.WU, convolution_sizes(geometry, Phase.WU, op.images), *sides)


def _other(op: MatrixOp, phase: Phase, sizes: tuple[int, int, int], left: Operand, right: Operand) -> MatrixOp:
    rows, inner, cols = sizes
    return replace(op, phase=phase, rows=rows, inner=inner, cols=cols, left=left, right=right)
