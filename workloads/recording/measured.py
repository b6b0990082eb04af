"""Operands of recorded products against their patterns: what they may hold, the zeros that they do hold, and the n:m
of weights that came with it."""

from collections.abc import Callable
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from workloads.apply_method import some_layers
from workloads.errors import UserError
from workloads.op import MatrixOp, Operand, Phase, Role, order_name
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.recording.found_pattern import found_pattern
from workloads.recording.products import Product
from workloads.recording.tensor_names import Key, is_fake, storage_of
from workloads.training.masks import largest_group_count, nonzeros, reordered

PatternOf = Callable[[str, Phase, Role], Pattern]  # by the name of the parameter
AXES = {Phase.FF: "input channels", Phase.BP: "output channels"}


@final
class Zeros:
    """Shares of zeros, counted once for all products of the same data."""

    def __init__(self) -> None:
        self._shares: dict[tuple[int, Key], float] = {}
        self._weights: dict[Key, tuple[int, float]] = {}  # elements and share of each weight of FF

    def share(self, tensor: Tensor, key: Key) -> float | None:
        """The share of elements that are zero; None for a tensor without values."""
        if is_fake(tensor):
            return None
        known = storage_of(tensor), key  # a copy in FP16 has the key of what it copies, and more zeros
        if known not in self._shares:
            counted = torch.view_as_real(tensor.detach().resolve_conj()) if tensor.is_complex() else tensor
            self._shares[known] = round(1 - nonzeros(counted) / max(1, counted.numel()), 6)
        return self._shares[known]

    def weigh(self, product: Product) -> None:
        """Count the weight of an FF product, once however often it is multiplied."""
        zeros = product.op.right.zeros
        if product.op.phase is Phase.FF and product.op.right.role is Role.WEIGHT and zeros is not None:
            self._weights[product.right_key] = (product.right.numel(), zeros)

    @property
    def of_weights(self) -> float | None:
        """The share of zeros in all weights of FF; None without values."""
        sizes = sum(size for size, _ in self._weights.values())
        return sum(size * zeros for size, zeros in self._weights.values()) / sizes if sizes else None


@final
class Found:
    """Weights that are n:m though nobody asked for it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Key, Phase], Pattern] = {}
        self._layers: dict[tuple[Phase, Pattern], list[str]] = {}

    def looked_at(self, product: Product) -> MatrixOp:
        """The op, its weight with the n:m that it keeps along the reduction."""
        op, zeros = product.op, product.op.right.zeros
        if op.right.role is not Role.WEIGHT or zeros is None or not op.right.pattern.is_dense:
            return op
        key = (product.right_key, op.form)
        if key not in self._known:
            self._known[key] = found_pattern(*_along_reduction(op, Role.WEIGHT, product.right), zeros)
        pattern = self._known[key]
        layers = self._layers.setdefault((op.phase, pattern), [])
        if op.layer not in layers:
            layers.append(op.layer)
        return replace(op, right=replace(op.right, pattern=pattern))

    def sentences(self) -> tuple[str, ...]:
        """Which layers came with which pattern."""
        return tuple(
            f"{some_layers(layers)}: its weight is {pattern} along its {AXES[phase]} already, and taken so in "
            f"{phase}; --pattern dense takes it as a dense one"
            for (phase, pattern), layers in self._layers.items()
            if not pattern.is_dense
        )


def measured(product: Product, pattern_of: PatternOf, order: Tensor | None, zeros: Zeros) -> MatrixOp:
    op = product.op
    left = _checked(product, op.left, product.left, pattern_of, None)
    right = _checked(product, op.right, product.right, pattern_of, order)
    left = replace(left, zeros=zeros.share(product.left, product.left_key), stored=_stored(product.left))
    right = replace(right, zeros=zeros.share(product.right, product.right_key), stored=_stored(product.right))
    return replace(op, left=left, right=right)


def _stored(tensor: Tensor) -> str:
    """The number format of an operand, empty for FP32."""
    return "" if tensor.dtype is torch.float32 else str(tensor.dtype).removeprefix("torch.")


def _checked(
    product: Product, operand: Operand, tensor: Tensor, pattern_of: PatternOf, order: Tensor | None
) -> Operand:
    """The operand with the pattern that its weight should have. Raises UserError where it holds more."""
    pattern = pattern_of(product.weight, product.op.phase, operand.role) if product.weight else DENSE
    if not is_fake(tensor):
        check_operand(product.op, operand.role, tensor, pattern, order)
    return replace(operand, pattern=pattern, permutation=None if order is None else order_name(operand.tensor))


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
    values = operand.mT
    if op.geometry:
        values = operand.transpose(0, 1).flatten(1) if op.geometry.transposed else operand.flatten(1)
    most = int((values != 0).sum(1).max())
    if most > pattern.fan_in:
        raise UserError(
            f"layer '{op.layer}': an output's {role} of {op.phase} has {most} non-zeros; the pattern {pattern} allows "
            f"{pattern.fan_in}"
        )


def _along_reduction(op: MatrixOp, role: Role, operand: Tensor) -> tuple[Tensor, int]:
    if op.geometry is None:
        return operand, operand.dim() - (1 if role is Role.GRADIENT else 2)
    if op.form is Phase.FF:
        return operand, 1
    groups = op.geometry.groups
    if role is Role.GRADIENT:
        return operand.unflatten(1, (groups, -1)), 2  # type: ignore[no-untyped-call]
    return operand.reshape(groups, -1, *operand.shape[1:]), 1
