"""Which methods can train on a backend, decided by their facts, and which settings go with one. Needs no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from workloads.errors import UserError
from workloads.methods.base import (
    GradientRule,
    MaskSource,
    MaskUse,
    Method,
    always_dense,
    every_step,
    keep_all,
    largest_of_inputs,
    largest_of_outputs,
)
from workloads.methods.fields import has_schedule, load_method
from workloads.op import Phase, Role
from workloads.registry import METHODS, names


@final
@dataclass(frozen=True)
class Reason:
    """A fact of a method that no backend can follow, and the sentence that says so."""

    holds: Callable[[Method], bool]
    sentence: str


REASONS = (
    Reason(
        lambda method: method.pruned_gradient is not None,
        "output gradients are pruned, and backends keep only weights sparse",
    ),
    Reason(
        lambda method: method.permutation is not None,
        "groups of BP hold in an order of output channels that changes during the run",
    ),
    Reason(lambda method: bool(method.decay), "weights that the mask drops decay, which the update engine does not do"),
    Reason(
        lambda method: method.gradient is GradientRule.MASKED,
        "weights that the mask drops get no gradient, and the update engine updates all",
    ),
    Reason(
        lambda method: method.after_update is not None,
        "weights are changed once more after an update, which the update engine does not do",
    ),
    Reason(
        has_schedule,
        "its rules change during the run, and a backend is begun with one pattern for each product",
    ),
    Reason(
        lambda method: (
            method.forward_mask not in (keep_all, largest_of_inputs)
            or method.backward_mask not in (None, largest_of_outputs)
        ),
        "its masks are searched by a rule of its own, and SORE keeps the largest of every group",
    ),
    Reason(
        lambda method: method.mask_use is MaskUse.DECAY or method.makes_masks is not every_step,
        "its masks are not made anew at every update, as those of a backend are",
    ),
    Reason(
        lambda method: method.in_force not in (None, always_dense),
        "the pattern in force is not always the one asked for",
    ),
    Reason(
        lambda method: (
            method.backward_from is MaskSource.FORWARD_MASK and method.operand(Phase.FF, Role.WEIGHT) is not None
        ),
        "BP multiplies by the forward mask, whose groups lie along the other axis than BP's reduction",
    ),
)


def why_not(method: Method) -> str:
    """Why no backend can train a method, in words; empty where they can."""
    return next((reason.sentence for reason in REASONS if reason.holds(method)), "")


def table() -> list[tuple[str, str]]:
    """Every registered method, with why no backend can train it; empty where they can."""
    return [(name, why_not(load_method(name))) for name in names(METHODS)]


def check_method(method: Method, backend: str) -> None:
    """Raises UserError for a method that cannot train on a backend."""
    if reason := why_not(method):
        able = [name for name, said in table() if not said]
        raise UserError(
            f"--on {backend}: method '{method.name}' cannot train there: {reason} (able are {', '.join(able)})"
        )
