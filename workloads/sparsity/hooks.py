"""What a method does once an optimizer step, whatever the optimizer: torch's optimizers call this by themselves.

Before a step the gradients get the method's decay, or lose what the mask drops; after it weights get the method's rule,
the step is counted and new masks are made. The gradients are exchanged for the time of the step alone: afterwards they
are what the backward pass left, whole, which some methods choose their next masks by. A closure, which computes them in
the step, works on whole ones too. Where one optimizer's step calls another one's, as wrappers do, the outer one counts.

A step that an optimizer leaves out, after gradients that overflowed, is none. Fused optimizers leave it out inside and
take gradients with the loss scale in them.
"""

import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from functools import cache, wraps
from types import FrameType
from typing import NamedTuple, final
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from workloads.errors import UserError
from workloads.methods.base import GradientRule, Method
from workloads.op import Phase
from workloads.sparsity.masked_weight import MaskedWeight, masked_weights_of

RAN = "_ran"  # the attribute of a module made sparse whose weight was read by its own forward pass
STATE_NAMES = {"exp_avg": "first_moment", "exp_avg_sq": "second_moment", "momentum_buffer": "momentum"}  # torch's

Given = tuple[object, ...]  # the arguments of a step by position
Named = dict[str, object]


class Exchanged(NamedTuple):
    """A gradient that stands in for the whole one while a step runs."""

    parameter: nn.Parameter
    whole: Tensor
    stand_in: Tensor
    version: int  # of the one that stands in


@final
@dataclass
class Steps(threading.local):
    """The step that is running, by the frame that runs it, and its gradients. Not frozen: it is state."""

    frame: FrameType | None = None
    exchanged: list[Exchanged] = field(default_factory=list)
    updated: set[int] = field(default_factory=set)  # parameters that had a gradient, which alone an optimizer updates


# Optimizers know parameters and no modules, so the modules made sparse are known here as long as they live.
_live: WeakSet[nn.Module] = WeakSet()
_steps = Steps()


def follow(module: nn.Module) -> None:
    """From now on the optimizer steps of a module's weights are seen."""
    _live.add(module)
    _hooked()


@cache
def _hooked() -> None:
    register_optimizer_step_pre_hook(_before)
    register_optimizer_step_post_hook(_after)


def _before(optimizer: Optimizer, given: Given, named: Named) -> tuple[Given, Named] | None:
    _check_optimizer(optimizer)
    if _nested():
        return None
    _give_back(untouched=True)  # of a step that ended with an error
    _steps.frame = sys._getframe(1)
    _exchange(optimizer)
    return with_closure(given, named, _give_back, lambda: _exchange(optimizer))  # a closure makes gradients anew


def _exchange(optimizer: Optimizer) -> None:
    """Give weights the gradients of their method."""
    weights = list(_owned(optimizer))
    for weight in weights:
        _check_read(weight)
    _steps.updated = set()
    for weight in weights:
        parameter, whole = weight.master, weight.master.grad
        if whole is None or id(parameter) in _steps.updated:  # a weight of several layers decays once
            continue
        _steps.updated.add(id(parameter))
        changed = _changed(weight, whole, optimizer)
        if changed is not None:
            _steps.exchanged.append(Exchanged(parameter, whole, changed, changed._version))
            parameter.grad = changed


def _give_back(untouched: bool = False) -> None:
    """Put whole gradients back, but where a step took a gradient away. untouched: and where nobody has changed one."""
    exchanged, _steps.exchanged = _steps.exchanged, []
    for parameter, whole, stand_in, version in exchanged:
        if parameter.grad is stand_in and not (untouched and stand_in._version != version):
            parameter.grad = whole


def with_closure(
    given: Given, named: Named, before: Callable[[], None], after: Callable[[], None]
) -> tuple[Given, Named] | None:
    """The arguments of a step, with a closure that does something before and after its own work.

    given: the arguments by position, the optimizer first. None: the step has no closure.
    """
    own = named.get("closure", given[1] if len(given) > 1 else None)
    if not callable(own):
        return None

    @wraps(own)
    def closure(*args: object, **more: object) -> object:
        before()
        result = own(*args, **more)
        after()
        return result

    if "closure" in named:
        return given, {**named, "closure": closure}
    return (given[0], closure, *given[2:]), named


def _after(optimizer: Optimizer, *_: object) -> None:
    if _steps.frame is not sys._getframe(1):
        return
    _steps.frame = None
    _give_back()
    overflowed = getattr(optimizer, "found_inf", None)  # of a fused optimizer, put there by torch's GradScaler
    if overflowed is not None and bool(overflowed):
        return
    weights = list(_owned(optimizer))
    steps = steps_of(weights)
    for weight, step in zip(weights, steps, strict=True):
        if id(weight.master) in _steps.updated:
            _apply_rule(weight, optimizer, step)
            _steps.updated.discard(id(weight.master))  # once for a weight of several layers
    for weight, step in zip(weights, steps, strict=True):
        weight.make_masks(step + 1)


def _nested() -> bool:
    """Whether this step runs inside another one. One that ended with an error is not on the stack any more."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _steps.frame is not None:
        if frame is _steps.frame:
            return True
        frame = frame.f_back
    return False


def _owned(optimizer: Optimizer) -> Iterator[MaskedWeight]:
    """The sparse weights of an optimizer, but frozen ones."""
    owned = {
        id(parameter)
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.requires_grad or parameter.grad is not None
    }
    for module in list(_live):
        for weight in masked_weights_of(module):
            if not weight.treatment.pattern.is_dense and id(module._parameters.get(weight.name)) in owned:
                yield weight


def steps_of(weights: list[MaskedWeight]) -> list[int]:
    """The steps that weights have had. Read at once: a device is waited for once."""
    held = [weight.buffer("step") for weight in weights]
    found = [step for step in held if step is not None and not step.is_meta]
    known = iter(torch.stack(found).tolist() if found else [])
    return [0 if step is None or step.is_meta else next(known) for step in held]


def _check_read(weight: MaskedWeight) -> None:
    """Raises UserError for a weight that only others read, so that its mask did nothing."""
    if weight.master.grad is not None and not weight.module.__dict__.get(RAN, False):
        raise UserError(
            f"{weight.said}: was made sparse and trains, but its own forward pass never ran: a module that it belongs "
            "to reads its weight; name that module in readers= of sparsify, or this layer in exclude="
        )


def _changed(weight: MaskedWeight, gradient: Tensor, optimizer: Optimizer) -> Tensor | None:
    """The gradient under the method's gradient rule and decay; None where it stays as it is."""
    method, masks = weight.treatment.method, weight.masks
    if masks is None or not _changes_gradients(method):
        return None
    if method.gradient is GradientRule.MASKED:
        gradient = gradient * masks.forward
    if method.decay:
        mask = masks.backward if method.decay_phase is Phase.BP else masks.forward
        scale = getattr(optimizer, "grad_scale", None)  # of a fused optimizer, which divides by it inside
        added = weight.master.detach() * (1 - mask.to(gradient.dtype)) * method.decay
        gradient = gradient + (added if scale is None else added * scale)
    return gradient


def _changes_gradients(method: Method) -> bool:
    return method.gradient is not GradientRule.STRAIGHT_THROUGH or bool(method.decay)


def _check_optimizer(optimizer: Optimizer) -> None:
    if not isinstance(optimizer, torch.optim.LBFGS):
        return
    for weight in _owned(optimizer):
        method = weight.treatment.method
        if _changes_gradients(method):
            raise UserError(
                f"method '{method.name}': changes gradients before a step, and LBFGS computes new ones inside it; take "
                "another optimizer, or a method that leaves gradients alone, such as bdwp"
            )


def _apply_rule(weight: MaskedWeight, optimizer: Optimizer, step: int) -> None:
    """The method's rule after an update."""
    method, masks, parameter = weight.treatment.method, weight.masks, weight.master
    if masks is None or not method.after_update:
        return
    with torch.no_grad(), method.named():
        state = states_of(optimizer, parameter)
        shaped = {key: weight.canonical(value) for key, value in state.items()}
        whole = weight.canonical(parameter.data)
        method.after_update(whole, weight.canonical(masks.forward), shaped, step)
        for tensor, changed in ((parameter.data, whole), *((state[key], shaped[key]) for key in state)):
            if tensor.data_ptr() != changed.data_ptr():  # of a transposed convolution: a copy
                tensor.copy_(weight.own(changed))


def states_of(optimizer: Optimizer, parameter: nn.Parameter) -> MutableMapping[str, Tensor]:
    """What an optimizer keeps for each element of a parameter, by the names that methods know."""
    found = optimizer.state.get(parameter, {})
    return {
        STATE_NAMES.get(name, name): value
        for name, value in found.items()
        if isinstance(value, Tensor) and value.shape == parameter.shape
    }
