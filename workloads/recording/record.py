"""From one recorded step to a Workload: the products' patterns, checked, their measured zeros, and the updates."""

import platform
from collections.abc import Callable, Container, Mapping, Sequence
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


@final
class Checks:
    """What is learned of every product as it runs, and held against the pattern of its weight. Not frozen: it learns.

    `pattern_of` gives the pattern of an operand of a product with a weight, by the parameter's name and in a phase, and
    `order_of` the order of output channels, (G, O), in which it holds. find: weights that are n:m already get that
    pattern. `watch` sees every product after it was checked.
    """

    def __init__(
        self, pattern_of: PatternOf, order_of: OrderOf | None = None, watch: Watcher | None = None, find: bool = False
    ) -> None:
        self.pattern_of = pattern_of
        self._order_of, self._watch, self._find = order_of, watch, find
        self._orders: dict[str, Orders] = {}
        self._zeros, self._found = Zeros(), Found()

    def __call__(self, product: Product) -> Product:
        """The product with its op complete. Raises UserError for an operand that holds more than its pattern allows."""
        parameter, phase = product.weight, product.op.phase
        order = self._order_of(parameter, phase, Role.WEIGHT) if self._order_of and parameter else None
        shown = replace(product, op=measured(product, self.pattern_of, order, self._zeros))
        if parameter:
            self._zeros.weigh(shown)
            shown = replace(shown, op=self._found.looked_at(shown)) if self._find else shown
        named = shown.op.right.permutation
        if order is not None and named and not is_fake(order):
            self._orders[named] = tuple(tuple(int(channel) for channel in group) for group in order)
        if self._watch:
            self._watch(shown)
        return shown

    def recorded(self, recorder: Recorder, model: nn.Module, updated: Sequence[VectorOp]) -> Recorded:
        """What a recorder has seen, and the updates."""
        return Recorded(
            (*_sorted(recorder.ops), *updated),
            recorder.saved_elements,
            sum(parameter.numel() for parameter in model.parameters()),
            self._orders,
            tuple(sorted(recorder.assumed)),
            self._found.sentences(),
            self._zeros.of_weights,
        )


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
    """Record `run`, which calls the model, the loss and backward; what else is given is that of `Checks`.

    Updates are not run: one is recorded for every parameter that got a gradient.
    """
    modules, checks = [("", model), ("loss", loss)], Checks(pattern_of or _dense, order_of, watch, find)
    recorder = Recorder(modules, checks)
    try:
        with recorder:
            run()
    except (RuntimeError, UserError) as error:
        if NO_HOOKS not in str(error):
            raise
        recorder = Recorder(modules, checks, saving=False)
        recorder.assumed.add("nothing is kept for the backward pass, since torch.func hides what is")
        with recorder:
            run()
    return checks.recorded(recorder, model, updates(model, optimizer, recorder.layer_of_parameter, checks.pattern_of))


def updates(
    model: nn.Module,
    optimizer: Optimizer,
    layer_of: Mapping[str, str],
    pattern_of: PatternOf,
    owned: Container[int] | None = None,
) -> list[VectorOp]:
    """The UP ops: one for the weights that a layer multiplies by, named as the layer, with the masks made of them.

    The other parameters of a module (biases, norms, embeddings) are one op, named as the module, or `MODULE.bias` where
    its weight has an op of its own. owned: the parameters that are updated, by identity, if not all with a gradient.
    """
    sizes: dict[str, int] = {}
    masks: dict[str, dict[Phase, Pattern]] = {}
    for name, parameter in model.named_parameters():
        module = name.rpartition(".")[0] or "model"
        if parameter.grad is None or not (owned is None or id(parameter) in owned):
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
