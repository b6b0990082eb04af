"""A method put on a module before a step of it is recorded, and what is said of layers that cannot take it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from workloads.apply_method import TOO_SHORT
from workloads.ends import ends_of, weight_layers_of
from workloads.errors import UserError
from workloads.methods.base import END_OF_RUN
from workloads.op import Op, Phase, Role
from workloads.pattern import DENSE, Pattern
from workloads.recording.recorder import Recorder
from workloads.recording.trace_request import Request
from workloads.recording.user_module import layers_of
from workloads.training.layers import InForce, make_masks, sparsify


@final
@dataclass(frozen=True)
class Put:
    """What a method was put on: the layers left dense unless named, those that became sparse, those whose weights are
    read by the module they belong to, and what is in force."""

    kept: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    in_force: InForce | None = None

    def pattern_of(self, layer: str, phase: Phase, role: Role) -> Pattern:
        return self.in_force.pattern(layer, phase, role) if self.in_force else DENSE

    def order_of(self, layer: str, phase: Phase, role: Role) -> Tensor | None:
        return self.in_force.order(layer, phase, role) if self.in_force else None

    def notes(self, request: Request, ops: Sequence[Op]) -> list[str]:
        """A sentence for every layer that the patterns name and that stays dense."""
        asked = [each for each in weight_layers_of(ops) if not request.patterns.of(each, each in self.kept).is_dense]
        left = (*(each for each in asked if each not in self.sparse), *self.idle)
        return [f"layer '{each}': stays dense; {self._why(each)}" for each in left]

    def _why(self, layer: str) -> str:
        if layer in self.idle:
            return "the module that it belongs to reads its weight by itself"
        if self.in_force and layer in self.in_force.layers:
            return TOO_SHORT
        return "its weight is multiplied outside a linear layer or convolution, where no method is put on it"


def put_method(request: Request, model: nn.Module, order: Sequence[str]) -> Put:
    """Make a module's layers sparse. order: those that multiply by a weight, as they run.

    Raises UserError where there is none that can, and where none becomes sparse.
    """
    assert request.method is not None
    layers = list(layers_of(model))
    if not layers:
        raise UserError(f"{request.target}: has no convolution and no linear layer, so --pattern does nothing")
    kept, idle = ends_of(order), tuple(each for each in layers if each not in order)
    sparse = sparsify(model, request.method, request.patterns, (*kept, *idle))
    make_masks(model, END_OF_RUN)
    if not sparse:
        raise UserError(
            f"--pattern {request.patterns}: no layer became sparse; the first and the last stay dense unless "
            f"--pattern LAYER=n:m names them (layers: {', '.join(layers)})"
        )
    idle = tuple(each for each in idle if each not in sparse)
    return Put(kept, tuple(sparse), idle, InForce(model))


def weight_layers(model: nn.Module, forward: Callable[[], object]) -> list[str]:
    """The layers that multiply by a weight, in the order they run, found by running the module once."""
    recorder = Recorder([("", model)], lambda product: product)
    with recorder:
        forward()
    return weight_layers_of(recorder.ops)
