"""From one recorded step to a Workload: the products' patterns, checked, their measured zeros, and the updates."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import final

from torch import Tensor, nn

from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Operand, Optimizer, Orders, Phase, Role, VectorKind, VectorOp, order_name
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.training.masks import largest_group_count, nonzeros, reordered
from workloads.training.products import Product
from workloads.training.recorder import Recorder
from workloads.training.tensor_names import Key, is_fake, storage_of

PatternOf = Callable[[str, Phase, Role], Pattern]
OrderOf = Callable[[str, Phase, Role], Tensor | None]
Watcher = Callable[[Product], None]
AXES = {Phase.FF: "input channels", Phase.BP: "output channels"}
PACKAGES = ("torch", "numpy", "scikit-learn")


@final
@dataclass(frozen=True)
class Recorded:
    """What one step did: its ops (FF, then BP and WU, then UP) and the elements it kept for the backward pass.

    `orders` are the orders of output channels that operands name as their `permutation`: for each convolution group,
    where each channel comes from.
    """

    ops: tuple[Op, ...]
    saved_elements: int
    parameters: int
    orders: Mapping[str, Orders] = field(default_factory=dict)


def record_pass(
    model: nn.Module,
    loss: nn.Module,
    run: Callable[[], object],
    optimizer: Optimizer,
    pattern_of: PatternOf | None = None,
    watch: Watcher | None = None,
    order_of: OrderOf | None = None,
) -> Recorded:
    """Record `run`, which calls the model, the loss and backward.

    `pattern_of` gives the pattern of a layer's operand in a phase, and `order_of` the order of output channels, (G, O),
    in which it holds; an operand that holds more than its pattern allows is a UserError. `watch` sees every product
    after it was checked. Updates are not run: one is recorded for every parameter that got a gradient.
    """

    orders: dict[str, Orders] = {}
    zeros = Zeros()

    def checked(product: Product) -> Product:
        order = order_of(product.op.layer, product.op.phase, Role.WEIGHT) if order_of and product.weight else None
        shown = replace(product, op=_measured(product, pattern_of or _dense, order, zeros))
        if order is not None and shown.op.right.permutation and not is_fake(order):
            orders[shown.op.right.permutation] = tuple(tuple(int(channel) for channel in group) for group in order)
        if watch:
            watch(shown)
        return shown

    recorder = Recorder([("", model), ("loss", loss)], checked)
    with recorder:
        run()
    ops = _sorted(recorder.ops)
    ops += updates(model, optimizer, recorder.layer_of_parameter, pattern_of or _dense)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Recorded(tuple(ops), recorder.saved_elements, parameters, orders)


def updates(
    model: nn.Module, optimizer: Optimizer, layer_of: Mapping[str, str], pattern_of: PatternOf
) -> list[VectorOp]:
    """The UP ops: one for every weight that is multiplied by, named as its layer, with the masks made of it.

    The other parameters of a module (biases, norms, embeddings) are one op, named as the module, or `MODULE.bias` where
    its weight has an op of its own.
    """
    sizes: dict[str, int] = {}
    weights = {}
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0] or "model"
        if parameter.grad is None:
            continue
        if name in layer_of:
            weights[layer_of[name]] = sizes[layer_of[name]] = parameter.numel()
        else:
            rest = f"{module}.bias" if module in layer_of.values() else module
            sizes[rest] = sizes.get(rest, 0) + parameter.numel()
    ops = []
    for layer, size in sizes.items():
        found = (
            [(phase, pattern_of(layer, phase, Role.WEIGHT)) for phase in (Phase.FF, Phase.BP)]
            if layer in weights
            else []
        )
        masks = tuple((phase, pattern) for phase, pattern in found if not pattern.is_dense)
        reads, writes = (2 + optimizer.states) * size, (1 + optimizer.states) * size
        ops.append(VectorOp(layer, Phase.UP, VectorKind.UPDATE, size, reads, writes, 1, optimizer, masks))
    return ops


def _dense(layer: str, phase: Phase, role: Role) -> Pattern:  # noqa: ARG001  a PatternOf
    return DENSE


@final
class Zeros:
    """Shares of zeros, counted once for all products of the same data."""

    def __init__(self) -> None:
        self._shares: dict[tuple[int, Key], float] = {}

    def share(self, tensor: Tensor, key: Key) -> float | None:
        """The share of elements that are zero; None for a tensor without values."""
        if is_fake(tensor):
            return None
        known = storage_of(tensor), key  # a copy in FP16 has the key of what it copies, and more zeros
        if known not in self._shares:
            self._shares[known] = round(1 - nonzeros(tensor) / max(1, tensor.numel()), 6)
        return self._shares[known]


def _measured(product: Product, pattern_of: PatternOf, order: Tensor | None, zeros: Zeros) -> MatrixOp:
    op = product.op
    left = _checked(product, op.left, product.left, pattern_of, None)
    right = _checked(product, op.right, product.right, pattern_of, order)
    left = replace(left, zeros=zeros.share(product.left, product.left_key))
    return replace(op, left=left, right=replace(right, zeros=zeros.share(product.right, product.right_key)))


def _checked(
    product: Product, operand: Operand, tensor: Tensor, pattern_of: PatternOf, order: Tensor | None
) -> Operand:
    """The operand with the pattern that its layer should have. Raises UserError where it holds more."""
    pattern = pattern_of(product.op.layer, product.op.phase, operand.role) if product.weight else DENSE
    if not is_fake(tensor):
        check_operand(product.op, operand.role, tensor, pattern, order)
    return replace(operand, pattern=pattern, permutation=None if order is None else order_name(operand.tensor))


def _sorted(ops: list[Op]) -> list[Op]:
    """FF before the rest, each in the order it ran, with neighbouring vector work of one kind made one."""
    result: list[Op] = []
    for op in sorted(ops, key=lambda op: op.phase is not Phase.FF):
        last = result[-1] if result else None
        if isinstance(op, VectorOp) and isinstance(last, VectorOp) and _whose(last) == _whose(op):
            sums = (last.elements + op.elements, last.reads + op.reads, last.writes + op.writes)
            result[-1] = VectorOp(op.layer, op.phase, op.kind, *sums)
        else:
            result.append(op)
    return result


def _whose(op: VectorOp) -> tuple[str, Phase, VectorKind]:
    return op.layer, op.phase, op.kind


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


def versions() -> dict[str, str]:
    """Version by package, Python's included; a package that is not installed is left out."""
    found = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **{name: text for name, text in found.items() if text}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
