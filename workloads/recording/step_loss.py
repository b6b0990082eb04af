"""What a recorded step differentiates: the module's own loss, or one made of its output."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import final

import torch
from torch import Tensor, nn

from workloads.errors import UserError, unknown_name
from workloads.models.loss import CrossEntropy
from workloads.recording.trace_request import Loss, Request

OWN, LOGITS = "loss", "logits"


@final
class StepLoss(nn.Module):
    """The loss of whatever a module returns. `words` say which it was, once it was asked for."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._entropy = CrossEntropy()
        self.words = "none, the forward pass alone"

    def forward(self, output: object) -> Tensor:
        """A scalar. Raises UserError where there is no tensor to take a loss of."""
        place, chosen = self.chosen(output)
        shown = f"the output {sizes_of(chosen)}" if not place else f"{place} {sizes_of(chosen)}"
        if self._kind(chosen, place) is Loss.CROSS_ENTROPY:
            self.words = f"cross-entropy on random targets, with {shown}{'' if place == LOGITS else ' as logits'}"
            targets = torch.randint(0, chosen.shape[-1], chosen.shape[:-1], device=chosen.device)
            made: Tensor = self._entropy(chosen, targets)
            return made
        if chosen.dim() == 0 and self._request.loss is Loss.AUTO:
            self.words = f"the module's own, {place}" if place else "the module's own"
            return chosen
        self.words = f"the sum of squares of {shown}"
        return (chosen.abs() if chosen.is_complex() else chosen).square().sum()

    def chosen(self, output: object) -> tuple[str, Tensor]:
        """The part of an output that the loss is of, and its name: the one asked for, else the loss, the logits, or
        the first tensor that has a gradient."""
        parts, target, wanted = list(parts_of("", output)), self._request.target, self._request.output
        if wanted:
            if isinstance(output, Tensor):
                raise UserError(f"--output {wanted}: {target} returns one tensor; leave it out")
            if wanted not in dict(parts):
                raise unknown_name(f"part of the output of {target}", wanted, [name for name, _ in parts], "--output")
            return wanted, dict(parts)[wanted]
        numbers = [(name, each) for name, each in parts if each.dtype.is_floating_point or each.is_complex()]
        if not numbers:
            kinds = {str(each.dtype) for _, each in parts}
            what = f"{', '.join(sorted(kinds))}, which has no gradient" if parts else f"a {type(output).__name__}"
            raise UserError(f"{target}: returns {what}; wanted is a tensor of real numbers, or a container with one")
        known = dict(numbers)
        if OWN in known and known[OWN].dim() == 0:
            return OWN, known[OWN]
        if LOGITS in known:
            return LOGITS, known[LOGITS]
        return next((each for each in numbers if each[1].requires_grad), numbers[0])

    def _kind(self, output: Tensor, place: str) -> Loss:
        asked = self._request.loss
        tokens = any(each.is_whole for each in self._request.inputs)
        could_be = output.dim() >= 2 and output.shape[-1] >= 2
        if asked is Loss.CROSS_ENTROPY and not could_be:
            raise UserError(f"--loss cross-entropy: the output {sizes_of(output)} has no last axis of classes")
        if asked is not Loss.AUTO:
            return asked
        looks = could_be and (output.dim() == 2 or (output.dim() == 3 and (tokens or place == LOGITS)))
        return Loss.CROSS_ENTROPY if looks and not output.is_complex() else Loss.SQUARES


def parts_of(place: str, value: object) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a nested output with its place: `logits`, `0`, `hidden.2`."""
    if isinstance(value, Tensor):
        yield place, value
        return
    inner: Mapping[object, object] = {}
    if isinstance(value, Mapping):
        inner = value
    elif isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", range(len(value)))
        inner = dict(zip(names, value, strict=True))
    elif is_dataclass(value):
        inner = {each.name: getattr(value, each.name) for each in fields(value)}
    for name, each in inner.items():
        yield from parts_of(f"{place}.{name}" if place else str(name), each)


def sizes_of(tensor: Tensor) -> str:
    """Such as 8x10."""
    return "x".join(str(int(size)) for size in tensor.shape) or "scalar"
