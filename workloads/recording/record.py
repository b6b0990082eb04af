"""From one recorded step to a Workload: the products' patterns, checked, their measured zeros, and the updates."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import final

from torch import Tensor, nn

from workloads.errors import UserError
from workloads.op import Op, Optimizer, Orders, Phase, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, Pattern
from workloads.recording.measured import Found, PatternOf, Zeros, measured
from workloads.recording.products import Product
from workloads.recording.recorder import Recorder
from workloads.recording.tensor_names import is_fake

OrderOf = Callable[[str, Phase, Role], Tensor | None]
Watcher = Callable[[Product], None]
NO_HOOKS = "support saved tensor hooks"  # torch.func says so
PACKAGES = ("torch", "numpy", "scikit-learn")


@final
@dataclass(frozen=True)
class Recorded:
    """What one step did: its ops (FF, then BP and WU, then UP) and the elements it kept for the backward pass.

    `orders` are the orders of output channels that operands name as their `permutation`: for each convolution group,
    where each channel comes from. `assumed` is what only values could tell, in words; `found` are sentences on weights
    that were n:m when they came. `weight_zeros` is the share of zeros in the weights of FF, each counted once.
    """

    ops: tuple[Op, ...]
    saved_elements: int
    parameters: int
    orders: Mapping[str, Orders] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    weight_zeros: float | None = None


def record_pass(
    model: nn.Module,
    loss: nn.Module,
    run: Callable[[], object],
    optimizer: Optimizer,
    pattern_of: PatternOf | None = None,
    watch: Watcher | None = None,
    order_of: OrderOf | None = None,
    find: bool = False,
) -> Recorded:
    """Record `run`, which calls the model, the loss and backward.

    `pattern_of` gives the pattern of an operand of a product with a weight, by the parameter's name and in a phase, and
    `order_of` the order of output channels, (G, O), in which it holds; an operand that holds more than its pattern
    allows is a UserError. `watch` sees every product after it was checked. Updates are not run: one is recorded for
    every parameter that got a gradient. find: weights that are n:m already get that pattern.
    """

    orders: dict[str, Orders] = {}
    zeros, found = Zeros(), Found()

    def checked(product: Product) -> Product:
        order = order_of(product.weight, product.op.phase, Role.WEIGHT) if order_of and product.weight else None
        shown = replace(product, op=measured(product, pattern_of or _dense, order, zeros))
        if product.weight:
            zeros.weigh(shown)
            shown = replace(shown, op=found.looked_at(shown)) if find else shown
        if order is not None and shown.op.right.permutation and not is_fake(order):
            orders[shown.op.right.permutation] = tuple(tuple(int(channel) for channel in group) for group in order)
        if watch:
            watch(shown)
        return shown

    modules = [("", model), ("loss", loss)]
    recorder = Recorder(modules, checked)
    try:
        with recorder:
            run()
    except (RuntimeError, UserError) as error:
        if NO_HOOKS not in str(error):
            raise
        recorder = Recorder(modules, checked, saving=False)
        recorder.assumed.add("nothing is kept for the backward pass, since torch.func hides what is")
        with recorder:
            run()
    ops = _sorted(recorder.ops)
    ops += updates(model, optimizer, recorder.layer_of_parameter, pattern_of or _dense)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Recorded(
        tuple(ops),
        recorder.saved_elements,
        parameters,
        orders,
        tuple(sorted(recorder.assumed)),
        found.sentences(),
        zeros.of_weights,
    )


def updates(
    model: nn.Module, optimizer: Optimizer, layer_of: Mapping[str, str], pattern_of: PatternOf
) -> list[VectorOp]:
    """The UP ops: one for the weights that a layer multiplies by, named as the layer, with the masks made of them.

    The other parameters of a module (biases, norms, embeddings) are one op, named as the module, or `MODULE.bias` where
    its weight has an op of its own.
    """
    sizes: dict[str, int] = {}
    masks: dict[str, dict[Phase, Pattern]] = {}
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0] or "model"
        if parameter.grad is None:
            continue
        place = layer_of.get(name) or (f"{module}.bias" if module in layer_of.values() else module)
        sizes[place] = sizes.get(place, 0) + parameter.numel()
        if name in layer_of:
            found = {phase: pattern_of(name, phase, Role.WEIGHT) for phase in (Phase.FF, Phase.BP)}
            masks.setdefault(place, {}).update({phase: each for phase, each in found.items() if not each.is_dense})
    ops = []
    for layer, size in sizes.items():
        made = tuple((phase, masks[layer][phase]) for phase in (Phase.FF, Phase.BP) if phase in masks.get(layer, {}))
        reads, writes = (2 + optimizer.states) * size, (1 + optimizer.states) * size
        ops.append(VectorOp(layer, Phase.UP, VectorKind.UPDATE, size, reads, writes, 1, optimizer, made))
    return ops


def _dense(parameter: str, phase: Phase, role: Role) -> Pattern:  # noqa: ARG001  a PatternOf
    return DENSE


def _sorted(ops: list[Op]) -> list[Op]:
    """FF before the rest, each in the order it ran, with neighbouring vector work of one kind made one."""
    result: list[Op] = []
    for op in sorted(ops, key=lambda op: op.phase is not Phase.FF):
        last = result[-1] if result else None
        if isinstance(op, VectorOp) and isinstance(last, VectorOp) and _whose(last) == _whose(op):
            sums = (last.elements + op.elements, last.reads + op.reads, last.writes + op.writes)
            result[-1] = VectorOp(op.layer, op.phase, op.kind, *sums, again=op.again)
        else:
            result.append(op)
    return result


def _whose(op: VectorOp) -> tuple[str, Phase, VectorKind, bool]:
    return op.layer, op.phase, op.kind, op.again


def versions() -> dict[str, str]:
    """Version by package, Python's included; a package that is not installed is left out."""
    found = {name: _version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **{name: text for name, text in found.items() if text}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
