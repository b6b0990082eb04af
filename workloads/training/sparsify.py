"""Put a method on a model: every convolution and linear layer is swapped for one the method trains."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import final

from torch import Tensor, nn

from workloads.errors import UserError
from workloads.methods.base import Method
from workloads.models.transformer import MatMul
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern, PatternMap
from workloads.training.layers import MethodConvolution, MethodLayer, MethodLinear, MixedMatMul, Treatment

Layers = (nn.Conv1d, nn.Conv2d, nn.Linear)


def sparsify(
    model: nn.Module, method: Method, patterns: PatternMap, kept_dense: Sequence[str] = (), mixed: bool = False
) -> list[str]:
    """Swap the layers in place and make the masks of step 0. Returns the names of the layers that became sparse.

    `kept_dense` layers stay dense unless a glob of `patterns` names them; in mixed precision they are swapped too.
    Raises UserError for a glob that names no layer, and for a layer that cannot be made sparse.
    """
    found = {name: module for name, module in model.named_modules() if isinstance(module, (*Layers, MatMul))}
    chosen = {
        name: patterns.of(name, name in kept_dense) if isinstance(module, Layers) else DENSE
        for name, module in found.items()
    }
    _check_globs(patterns, [name for name, module in found.items() if isinstance(module, Layers)])
    for name, module in found.items():
        model.set_submodule(name, _swapped(name, module, Treatment(method, chosen[name], mixed)))
    make_masks(model, step=0)
    return [name for name, layer in method_layers(model) if layer.masks or not layer.pattern.is_dense]


def method_layers(model: nn.Module) -> Iterator[tuple[str, MethodLayer]]:
    """The layers that `sparsify` swapped in, with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, MethodLayer))


def make_masks(model: nn.Module, step: int) -> None:
    """Make the masks for a step in every layer whose method makes new ones then.

    Raises UserError, with the layer's name, for a layer or pattern that the method cannot mask.
    """
    for name, layer in method_layers(model):
        try:
            layer.make_masks(step)
        except UserError as error:
            raise UserError(f"layer '{name}': {error}") from None


@final
class InForce:
    """What is in force in a model's layers while a step is recorded."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = dict(method_layers(model))

    def pattern(self, layer: str, phase: Phase, role: Role) -> Pattern:
        """The pattern of one operand of a layer; dense where there is no such layer."""
        found = self._layers.get(layer)
        return found.pattern_of(phase, role) if found else DENSE

    def order(self, layer: str, phase: Phase, role: Role) -> Tensor | None:
        """The order of output channels, (G, O), in which an operand of a layer is grouped; None: as they are."""
        found = self._layers.get(layer)
        return found.permutation_of(phase, role) if found else None


def _check_globs(patterns: PatternMap, layers: Sequence[str]) -> None:
    for glob, _ in patterns.globs:
        if not any(fnmatchcase(layer, glob) for layer in layers):
            raise UserError(f"pattern '{glob}': no layer has such a name (there are {', '.join(layers)})")


def _swapped(name: str, module: nn.Module, treatment: Treatment) -> nn.Module:
    if isinstance(module, MatMul):
        return MixedMatMul() if treatment.mixed else module
    if isinstance(module, nn.Linear):
        return MethodLinear(module, treatment)
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        if treatment.pattern.is_dense and not treatment.mixed:
            return module
        raise UserError(f"layer '{name}': only convolutions padded with zeros, by a number, can be trained by a method")
    return MethodConvolution(module, treatment)
