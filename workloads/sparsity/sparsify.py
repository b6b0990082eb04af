"""A method put on the layers of a user's own model, in place, for a training loop of their own.

>>> import torch
>>> from workloads import finalize, sparsify
>>> model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
>>> sparsify(model, "bdwp", "2:8", exclude=["2"])
['0']
>>> int(torch.count_nonzero(finalize(model)[0].weight))
128
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import final

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from workloads.errors import UserError, unknown_name
from workloads.methods.base import GradientRule, MaskUse, Method
from workloads.methods.fields import fitted, has_schedule, load_method, with_fields
from workloads.models.transformer import MatMul
from workloads.pattern import DENSE, Pattern, PatternMap, parse_patterns
from workloads.sparsity.hooks import steps_of
from workloads.sparsity.layers import Layers, needs_window, treat
from workloads.sparsity.masked_weight import (
    TREATMENTS,
    MaskedWeight,
    Treatment,
    check_module,
    layer_name,
    masked_weights,
    masked_weights_of,
)
from workloads.sparsity.pruned import first_mask, take_over

IN_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
READERS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)  # torch's own, in evaluation the second too
PatternOf = Callable[[str], Pattern]
EXAMPLES = {"pattern": '"2:8"', "exclude": '["head", "*.norm"]', "readers": '["encoder.*"]'}


@final
@dataclass(frozen=True)
class Asked:
    """A method to put on a model: its pattern for each layer by name, the modules that read their children's weights,
    and, in mixed precision, that all operands are rounded."""

    method: Method
    pattern_of: PatternOf
    readers: Sequence[str] = ()
    mixed: bool = False
    words: str = ""  # of the patterns


@final
@dataclass(frozen=True)
class Candidate:
    """A weight that could be sparse: `attention.in_proj_weight` of layer `attention.in_proj`."""

    layer: str
    parameter: str
    module: nn.Module
    name: str  # of the parameter in its module

    @property
    def owner(self) -> str:
        """The name of the module."""
        return self.parameter.removesuffix(self.name).rstrip(".") or "model"


def sparsify(
    model: nn.Module,
    method: str | Method = "bdwp",
    pattern: str | Sequence[str] | PatternMap = "2:8",
    *,
    exclude: str | Sequence[str] = (),
    readers: str | Sequence[str] = (),
    numbers: Mapping[str, object] | None = None,
    total_steps: int | None = None,
) -> list[str]:
    """Put a method on a model, in place, and give the names of the layers that became sparse.

    method: a name (`simulate list methods`) or a Method. pattern: "2:8", also with globs of layers,
    "2:8,encoder.*=1:8"; a layer whose groups are too short for its pattern to drop anything stays dense. exclude: globs
    of layers that stay dense, or of modules with all that is inside; nothing is left out by itself, so name the first
    and the last layer here if they are to stay dense. readers: globs of modules that read the weights of their
    children in their own forward pass; torch's attention and encoder layers are known. numbers: of the method, by name,
    such as {"decay": 1e-3}. total_steps: optimizer steps of the whole run, for methods with a schedule.

    Linear layers, convolutions (transposed ones too) and the projections of nn.MultiheadAttention can be sparse.
    Masks are buffers of the layers (`mask_ff`, `mask_bp`), in force in training and in evaluation. What the method does
    once a step happens at every `step` of a torch optimizer; in a loop without one call `advance`. A weight that is
    frozen, or that no optimizer has, keeps its first masks. Layers that a pruning tool of torch made sparse begin with
    its zeros where these hold the pattern.

    Raises UserError for a wrong name, number or pattern, for a glob that names nothing, for a layer that cannot be made
    sparse, and where none becomes sparse.
    """
    check_module(model, "sparsify")
    patterns = pattern if isinstance(pattern, PatternMap) else parse_patterns(_texts("pattern", pattern), "pattern")
    chosen = _method(method, patterns, numbers or {}, total_steps)
    exclude, readers = _texts("exclude", exclude), _texts("readers", readers)
    layers = [each.layer for each in candidates(model)]
    names = list(dict.fromkeys([*dict(model.named_modules()), *layers]))
    check_patterns(model, patterns)
    for what, globs in (("exclude", exclude), ("readers", readers)):
        _check_globs(what, globs, names)
    kept = {each for each in names if any(_inside(each, glob) for glob in exclude)}
    asked = Asked(chosen, lambda layer: DENSE if layer in kept else patterns.of(layer), readers, words=str(patterns))
    made = put(model, asked)
    if not made:
        raise UserError(f"pattern '{patterns}': no layer became sparse; {_listing(layers)}")
    return made


def check_patterns(model: nn.Module, patterns: PatternMap) -> None:
    """Raises UserError for a glob of the patterns that names no layer."""
    layers = [each.layer for each in candidates(model)]
    for glob, _ in patterns.globs:
        if not any(fnmatchcase(layer, glob) for layer in layers):
            raise UserError(f"pattern '{glob}': no layer has such a name; {_listing(layers)}")


def put(model: nn.Module, asked: Asked) -> list[str]:
    """Put a method on a model, in place. The names of the layers that became sparse.

    Raises UserError, with the model as it was but for pruning made permanent, for a layer that cannot be made sparse.
    """
    treated = _treatments(model, asked)
    readers = _readers(model, asked.readers, treated)
    before = {module: (type(module), module.__dict__.get(TREATMENTS)) for module in model.modules()}
    for module in before:
        if module in treated or module in readers:
            treat(module, treated.get(module, {}), windowed=needs_window(module) or module in readers)
        elif asked.mixed and isinstance(module, MatMul):
            treat(module, {}, windowed=False)
    found = masked_weights(model)
    made = [(layer, weight) for layer, weight in found if weight.name in treated.get(weight.module, {})]
    try:
        for layer, weight in made:
            make_masks(layer, weight, 0, first_mask(weight))
    except UserError:
        _undo(before, [weight for _, weight in made])
        raise
    return [layer for layer, weight in made if not weight.treatment.pattern.is_dense]


def _treatments(model: nn.Module, asked: Asked) -> dict[nn.Module, dict[str, Treatment]]:
    """What is to be done to which weights. Raises UserError for one that a method cannot be put on."""
    treated: dict[nn.Module, dict[str, Treatment]] = {}
    for each in candidates(model):
        treatment = Treatment(asked.method, asked.pattern_of(each.layer), asked.mixed, asked.words, each.layer)
        if not treatment.pattern.is_dense:
            _check(each, treatment)
            if not MaskedWeight(each.module, each.name, treatment).drops:
                treatment = replace(treatment, pattern=DENSE)
        if not treatment.pattern.is_dense or asked.mixed:
            treated.setdefault(each.module, {})[each.name] = treatment
    return treated


def _undo(before: Mapping[nn.Module, tuple[type[nn.Module], object]], weights: Sequence[MaskedWeight]) -> None:
    """Give modules the classes and treatments that they had, without the masks that were made."""
    for weight in weights:
        for name in weight.buffer_names:
            del weight.module._buffers[name]
    for module, (kind, treatments) in before.items():
        module.__class__ = kind
        module.__dict__.pop(TREATMENTS, None)
        if treatments is not None:
            module.__dict__[TREATMENTS] = treatments


def _check(found: Candidate, treatment: Treatment) -> None:
    """Raises UserError for a weight that a method cannot be put on. A weight of a pruning tool becomes a plain one."""
    layer, module = found.layer, found.module
    if found.name in (weight.name for weight in masked_weights_of(module)):
        raise UserError(f"layer '{layer}': is sparse already; workloads.finalize gives a plain model")
    if found.name == "weight":
        take_over(layer, module)
    weight = module._parameters[found.name]
    assert weight is not None
    if is_lazy(weight):
        raise UserError(f"layer '{layer}': its weight has no size yet; run the model once before")
    if not weight.is_floating_point():
        raise UserError(f"layer '{layer}': its weight is of {weight.dtype}, which no method trains; keep it dense")
    try:
        treatment.method.pattern_at(treatment.pattern, 0)
    except UserError as error:
        raise UserError(f"layer '{layer}': {error}") from None
    if needs_window(module) and not works_in_window(treatment.method, treatment.mixed):
        what = "in mixed precision" if treatment.mixed else f"under method '{treatment.method.name}'"
        raise UserError(
            f"layer '{layer}': a {type(module).__name__} as this one runs its own forward pass, which cannot be "
            f"trained {what}; keep it dense"
        )


def works_in_window(method: Method, mixed: bool = False) -> bool:
    """Whether a method can be put on a module that runs its own forward pass: only weights are exchanged there."""
    return not mixed and method.pruned_gradient is None


def _readers(model: nn.Module, globs: Sequence[str], treated: Collection[nn.Module]) -> set[nn.Module]:
    """The modules that read sparse weights of their children, or of their own, by themselves."""
    return {
        module
        for name, module in model.named_modules()
        if isinstance(module, READERS) or any(fnmatchcase(name, glob) for glob in globs)
        if any(inside in treated for inside in module.modules())
    }


def make_masks(layer: str, weight: MaskedWeight, step: int, first: Tensor | None = None) -> None:
    """Make a layer's masks for a step. Raises UserError, with the layer's name, where the method cannot."""
    try:
        weight.make_masks(step, first)
    except UserError as error:
        raise UserError(f"layer '{layer}': {error}") from None


def set_step(model: nn.Module, step: int) -> None:
    """Put a model's masks where they are before a step of a run, from 0."""
    for layer, weight in masked_weights(model):
        make_masks(layer, weight, step)


def advance(model: nn.Module) -> None:
    """What an optimizer step does by itself, for a loop that updates weights without a torch optimizer: count a step,
    and make new masks. The decay of a method and its rule after an update need an optimizer."""
    check_module(model, "advance")
    weights = [(layer, weight) for layer, weight in masked_weights(model) if not weight.treatment.pattern.is_dense]
    if not weights:
        raise UserError("advance: the model has no sparse layer; sparsify makes some")
    steps = steps_of([weight for _, weight in weights])
    for (layer, weight), step in zip(weights, steps, strict=True):
        method = weight.treatment.method
        if method.decay or method.after_update or method.gradient is not GradientRule.STRAIGHT_THROUGH:
            raise UserError(f"method '{method.name}': does more at a step than to make masks, so it needs an optimizer")
        make_masks(layer, weight, step + 1)


def candidates(model: nn.Module) -> Iterator[Candidate]:
    """Every weight of a model that could be sparse."""
    for place, module in model.named_modules():
        if not isinstance(module, (*Layers, nn.MultiheadAttention)):
            continue
        names = IN_PROJECTIONS if isinstance(module, nn.MultiheadAttention) else ("weight",)
        for name in names:
            if name == "weight" or module._parameters.get(name) is not None:  # another tool may have taken a weight
                parameter = f"{place}.{name}" if place else name
                yield Candidate(layer_name(parameter), parameter, module, name)


def _method(
    method: str | Method, patterns: PatternMap, numbers: Mapping[str, object], total_steps: int | None
) -> Method:
    if patterns.is_dense:
        raise UserError(f"pattern '{patterns}': keeps every weight; write n:m, for example 2:8")
    chosen = method if isinstance(method, Method) else load_method(method)
    if chosen.mask_use is MaskUse.NONE and not chosen.sparse:
        raise UserError(f"method '{chosen.name}': keeps every weight, so there is nothing to put on a model")
    chosen = with_fields(chosen, [f"{name}={value}" for name, value in numbers.items()], "numbers")
    if total_steps is None and has_schedule(chosen):
        raise UserError(
            f"method '{chosen.name}': has a schedule; say total_steps=, the optimizer's steps of the whole run"
        )
    return chosen if total_steps is None else fitted(chosen, total_steps)


def _texts(what: str, given: object) -> list[str]:
    """One text, or several. Raises UserError for anything else."""
    texts = [given] if isinstance(given, str) else list(given) if isinstance(given, (list, tuple, set)) else [given]
    if not all(isinstance(text, str) for text in texts):
        raise UserError(f"{what}: wanted is text, or a list of texts, not {given!r}; for example {EXAMPLES[what]}")
    return [str(text) for text in texts]


def _listing(layers: Sequence[str]) -> str:
    return f"the layers are {', '.join(map(repr, layers))}" if layers else "there is none that could be"


def _inside(name: str, glob: str) -> bool:
    """Whether a glob names a layer, or a module that it is in."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:length]), glob) for length in range(1, len(parts) + 1))


def _check_globs(what: str, globs: Iterable[str], names: Sequence[str]) -> None:
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise unknown_name("layer", glob, [name for name in names if name], what)
