"""A method put on a module before a step of it is recorded, and what is said of weights that cannot take it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from workloads.apply_method import TOO_SHORT
from workloads.ends import ends_of, weight_layers_of
from workloads.errors import UserError
from workloads.methods.base import END_OF_RUN
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern
from workloads.recording.recorder import Recorder
from workloads.recording.trace_request import Request
from workloads.sparsity.in_force import InForce
from workloads.sparsity.layers import needs_window
from workloads.sparsity.pruned import is_known, take_over
from workloads.sparsity.sparsify import Asked, Candidate, candidates, check_patterns, put, set_step, works_in_window


@final
@dataclass(frozen=True)
class Ran:
    """The layers that multiply by weights, in the order they run, and the layer of each parameter that is multiplied.

    The layer is the module whose forward pass multiplies: for a parent that reads the weight of its child, the parent.
    """

    order: tuple[str, ...]
    layer_of: Mapping[str, str]
    names: Mapping[int, str]  # of parameters, each once, by identity

    def layer(self, weight: Candidate) -> str | None:
        """The layer that multiplies by a weight; None where it did not run, or another tool makes the weight."""
        parameter = weight.module._parameters.get(weight.name)
        return None if parameter is None else self.layer_of.get(self.names[id(parameter)])


@final
@dataclass(frozen=True)
class Put:
    """What a method was put on: the layers left dense unless named, the weights that became sparse, those that are
    asked for and stay dense, each with the reason, and what is in force."""

    kept: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    in_force: InForce | None = None

    def pattern_of(self, parameter: str, phase: Phase, role: Role) -> Pattern:
        return self.in_force.pattern(parameter, phase, role) if self.in_force else DENSE

    def order_of(self, parameter: str, phase: Phase, role: Role) -> Tensor | None:
        return self.in_force.order(parameter, phase, role) if self.in_force else None


OUTSIDE = "its weight is multiplied outside a linear layer or convolution, where no method is put on it"
IDLE = "it did not run"
MADE = "its weight is made by another tool, of other parameters"


def put_method(request: Request, model: nn.Module, ran: Ran) -> Put:
    """Make a module's layers sparse. Raises UserError where there is none that can, and where none becomes sparse."""
    assert request.method is not None
    found = list(candidates(model))
    if not found:
        raise UserError(f"{request.target}: has no convolution and no linear layer, so --pattern does nothing")
    check_patterns(model, request.patterns)
    kept = ends_of(ran.order)
    patterns = {each.layer: _pattern(request, each, ran, kept) for each in found}
    readers = readers_of(model, ran)
    sparse = put(model, Asked(request.method, patterns.__getitem__, readers, words=str(request.patterns)))
    set_step(model, END_OF_RUN)
    if not sparse:
        raise UserError(
            f"--pattern {request.patterns}: no layer became sparse; the first and the last stay dense unless "
            f"--pattern LAYER=n:m names them (layers: {', '.join(patterns)})"
        )
    return Put(kept, tuple(sparse), tuple(_notes(request, found, ran, kept, sparse)), InForce(model))


def readers_of(model: nn.Module, ran: Ran) -> tuple[str, ...]:
    """The names of modules that multiply by weights of others."""
    multiply = {layer for each in candidates(model) if (layer := ran.layer(each)) not in (None, each.owner)}
    return tuple("" if each == "model" else str(each) for each in multiply)


def kept_of(model: nn.Module, ran: Ran) -> tuple[str, ...]:
    """The layers that stay dense unless they are named: the first, the last, and those that do not run."""
    kept = ends_of(ran.order)
    return tuple(each.layer for each in candidates(model) if (layer := ran.layer(each)) is None or layer in kept)


def _pattern(request: Request, weight: Candidate, ran: Ran, kept: Sequence[str]) -> Pattern:
    """The pattern of a weight. Raises UserError for one that is named and does not run."""
    layer = ran.layer(weight)
    named = request.patterns.of(weight.layer, kept_dense=True)
    if not named.is_dense and layer is None:
        raise UserError(
            f"layer '{weight.layer}': {_idle(weight)}, so it cannot be made sparse; leave it out with "
            f"--pattern {weight.layer}=dense"
        )
    assert request.method is not None
    unfit = _needs_window(weight, layer) and not works_in_window(request.method)
    return request.patterns.of(weight.layer, kept_dense=layer is None or layer in kept or unfit)


def _notes(
    request: Request, found: Sequence[Candidate], ran: Ran, kept: Sequence[str], sparse: Sequence[str]
) -> Iterator[str]:
    """A sentence for everything that the patterns ask for and that stays dense."""
    assert request.method is not None
    for layer in ran.order:
        asked = not request.patterns.of(layer, layer in kept).is_dense
        if asked and layer not in map(ran.layer, found):
            yield f"layer '{layer}': stays dense; {OUTSIDE}"
    for weight in found:
        place = ran.layer(weight)
        if weight.layer in sparse or request.patterns.of(weight.layer, place in kept).is_dense:
            continue
        unfit = _needs_window(weight, place) and not works_in_window(request.method)
        own = f"it is multiplied in a forward pass of its own, where method '{request.method.name}' does nothing"
        yield f"layer '{weight.layer}': stays dense; {_idle(weight) if place is None else own if unfit else TOO_SHORT}"


def _needs_window(weight: Candidate, layer: str | None) -> bool:
    """Whether a weight is multiplied in the forward pass of a module that is no plain layer."""
    return needs_window(weight.module) or layer != weight.owner


def _idle(weight: Candidate) -> str:
    return IDLE if weight.name in weight.module._parameters else MADE


def weights_that_run(model: nn.Module, forward: Callable[[], object]) -> Ran:
    """What multiplies by weights, found by running the module once. Weights of pruning tools become plain ones."""
    for each in candidates(model):
        if is_known(each.module):
            take_over(each.layer, each.module)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    recorder = Recorder([("", model)], lambda product: product)
    with recorder:
        forward()
    return Ran(tuple(weight_layers_of(recorder.ops)), recorder.layer_of_parameter, names)
