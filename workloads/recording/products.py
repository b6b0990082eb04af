"""Matrix products of a step, read off torch's operators: sizes, operands and what they are in the step.

A product whose right-hand side is a parameter is a layer's; backward, the product with the parameter is the gradient of
the input and the one with the layer's input that of the weight. Two activations multiplied (attention) are `count`
products, and both their gradients are BP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.recording.calls import Call
from workloads.recording.factors import Factors, factors_of
from workloads.recording.grouped import expert_factors
from workloads.recording.tensor_names import Key, TensorNames


@final
@dataclass(frozen=True)
class Product:
    """One recorded product with the tensors that went in: `left` and `right` are those of `op`."""

    op: MatrixOp
    left: Tensor
    right: Tensor
    weight: str | None  # the parameter's name
    left_key: Key
    right_key: Key
    shared: bool = False  # the weight was expanded over a batch


@final
@dataclass(frozen=True)
class Multiplied:
    """What is remembered of an FF product: its tensors' keys; their memory is given back to the step.

    `left_weight`: the parameter that the left factor is too, as that of two adapters multiplied.
    """

    layer: str
    weight: str | None
    left_weight: str | None
    keys: tuple[Key, Key]
    shared: bool


def remembered(product: Product, names: TensorNames) -> Multiplied:
    """What the backward pass asks for of an FF product."""
    left_weight = names.weight(product.left) if product.weight else None
    keys = (product.left_key, product.right_key)
    return Multiplied(product.op.layer, product.weight, left_weight, keys, product.shared)


def forward_products(call: Call, layer: str, names: TensorNames) -> list[Product]:
    """The FF products of one call that multiplies matrices."""
    if call.name == "_grouped_mm":
        return [_forward(each, layer, names) for each in expert_factors(call, layer)]
    return [_forward(factors_of(call, layer).folded, layer, names)]


def _forward(found: Factors, layer: str, names: TensorNames) -> Product:
    if names.weight(found.left) and not names.weight(found.right):
        found = found.turned
    weight = names.weight(found.right)
    wanted = (f"{layer}.input", f"{layer}.weight") if weight else (f"{layer}.left", f"{layer}.right")
    a = Operand(names.name(found.left, wanted[0]), Role.ACTIVATION)
    b = Operand(weight or names.name(found.right, wanted[1]), Role.WEIGHT if weight else Role.ACTIVATION)
    return product_of(found, layer, Phase.FF, a, b, weight, names)


def backward_products(call: Call, layer: str, names: TensorNames, forward: Sequence[Multiplied]) -> list[Product]:
    """The BP and WU products of one call; `forward` are the FF products of the operator that it is a gradient of."""
    if call.name == "_grouped_mm":
        return [_backward(each, layer, names, forward) for each in expert_factors(call, layer)]
    return [_backward(factors_of(call, layer), layer, names, forward)]


def _backward(found: Factors, layer: str, names: TensorNames, forward: Sequence[Multiplied]) -> Product:
    known, of = _known(found, names, forward)
    weight = (of.weight if of else None) or names.weight(known.left)
    if of is not None and weight and _is_data(known, names, of):
        known = known.summed if of.shared else known.folded
        a = Operand(names.name(known.left, f"{layer}.input"), Role.ACTIVATION)
        b = Operand(names.name(known.right, f"{layer}.grad_output"), Role.GRADIENT)
        made = product_of(known, layer, Phase.WU, a, b, weight, names)
        return replace(made, shared=of.shared)
    other = known.turned.folded
    a = Operand(names.name(other.left, f"{layer}.grad_output"), Role.GRADIENT)
    weight = names.weight(known.left) or (weight if of and names.key(known.left) == of.keys[1] else None)
    b = Operand(weight or names.name(other.right, f"{layer}.right"), Role.WEIGHT if weight else Role.ACTIVATION)
    if of is not None and of.left_weight and weight:  # the left factor is a parameter as well: this is its gradient
        turned = known.folded
        data = Operand(weight, Role.ACTIVATION)
        gradient = Operand(names.name(turned.right, f"{layer}.grad_output"), Role.GRADIENT)
        return product_of(turned, layer, Phase.WU, data, gradient, of.left_weight, names)
    return product_of(other, layer, Phase.BP, a, b, weight, names)


def _known(found: Factors, names: TensorNames, forward: Sequence[Multiplied]) -> tuple[Factors, Multiplied | None]:
    """The factors with the one on the left that the forward pass multiplied by, and which product that was.

    A factor is known as what was multiplied, else as a parameter (rounded, or masked for the backward pass alone),
    else as what a checkpoint made again.
    """
    turned, of = found.turned, forward[0] if forward else None
    for each in (found, turned):
        for product in forward:
            if names.key(each.left) in product.keys:
                return each, product
    for each in (found, turned):
        if names.weight(each.left):
            return each, of
    return (found if names.is_made_again(found.left) else turned), of


def _is_data(known: Factors, names: TensorNames, of: Multiplied) -> bool:
    """Whether what the forward pass multiplied by, on the left here, is what came in, and not the weight."""
    key = names.key(known.left)
    return key == of.keys[0] or (key != of.keys[1] and not names.weight(known.left))


def product_of(
    found: Factors, layer: str, phase: Phase, a: Operand, b: Operand, weight: str | None, names: TensorNames
) -> Product:
    """The product of two factors."""
    op = MatrixOp(layer, phase, found.rows, found.inner, found.cols, a, b, found.count)
    keys = names.key(found.left), names.key(found.right)
    return Product(op, found.left, found.right, weight, *keys, shared=found.shared)
