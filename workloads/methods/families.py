"""What many methods share, so that each file holds only what sets its method apart."""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import isfinite, nan
from typing import TYPE_CHECKING, ClassVar, TypeVar, final

from workloads.errors import UserError, unknown_name
from workloads.methods.base import Decay, GradientRule, MaskSource, MaskUse, Method
from workloads.pattern import Pattern, PatternKind

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import OptimizerState, Past

GROUPED = (PatternKind.NM, PatternKind.BANK)
EXAMPLES = {PatternKind.NM: "n:m such as 2:8", PatternKind.BANK: "bank n:m", PatternKind.FAN_IN: "fan-in k"}
AnyMethod = TypeVar("AnyMethod", bound=Method)


def allowed(pattern: Pattern, kinds: Collection[PatternKind], method: str) -> Pattern:
    """The pattern itself. Raises UserError when it is neither dense nor of one of the kinds."""
    if pattern.is_dense or pattern.kind in kinds:
        return pattern
    what = " and ".join(EXAMPLES[kind] for kind in kinds)
    raise UserError(f"method '{method}': pattern '{pattern}' cannot be trained; allowed are dense, {what}")


@dataclass(frozen=True)
class WeightMethod(Method, ABC):
    """A method that does nothing but mask weights, in groups that lie as the channels do."""

    @final
    def permutation(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, past: Past, step: int
    ) -> Tensor | None:
        return None

    @final
    def pruned_gradient(self, gradient: Tensor, pattern: Pattern) -> Tensor:
        return gradient

    @final
    def after_update(self, weight: Tensor, forward_mask: Tensor, state: OptimizerState, step: int) -> None:
        return None


@dataclass(frozen=True)
class OneMaskMethod(WeightMethod, ABC):
    """A weight method whose BP sees the same masked weight as FF."""

    mask_use: ClassVar[MaskUse] = MaskUse.OPERANDS
    backward_from: ClassVar[MaskSource] = MaskSource.FORWARD_MASK

    @final
    def backward_mask(
        self, weight: Tensor, pattern: Pattern, forward_mask: Tensor, permutation: Tensor | None, step: int
    ) -> Tensor:
        return forward_mask


@dataclass(frozen=True)
class Scheduled(ABC):  # noqa: B024  a part of a method
    """A method that needs to know how long the run is. The default is assumed; `fitted` puts the run's own."""

    total_steps: int = 1000

    def __post_init__(self) -> None:
        if self.total_steps < 1:
            raise UserError(f"total_steps {self.total_steps}: a run has at least one step")

    def progress(self, step: int) -> float:
        """The share of the run that is over before a step, at most 1."""
        return min(1.0, step / self.total_steps)


def fitted(method: AnyMethod, total_steps: int) -> AnyMethod:
    """The method with its schedule, if it has one, made for a run of so many steps."""
    return replace(method, total_steps=total_steps) if isinstance(method, Scheduled) else method


def settable(method: Method) -> dict[str, object]:
    """The fields of a method that can be set, with their values.

    The length of the run is the run's own, and where dropped weights are 0 or there are none, nothing can decay.
    """
    fading = method.mask_use is not MaskUse.NONE and method.gradient_rule is not GradientRule.MASKED
    fixed = {"total_steps"} if fading else {"total_steps", "decay"}
    return {each.name: getattr(method, each.name) for each in fields(method) if each.name not in fixed}


def with_fields(method: AnyMethod, texts: Sequence[str]) -> AnyMethod:
    """The method with fields such as `period=50` changed; a decay is set by its rate.

    Raises UserError for a field it does not have, and for a value that is none or out of range.
    """
    known = settable(method)
    changed: dict[str, object] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise UserError(f"--set {text}: write FIELD=VALUE, for example --set period=50")
        if name not in known:
            raise unknown_name(f"field of method '{method.name}'", name, known, "--set")
        if name in changed:
            raise UserError(f"--set {text}: {name} is set twice")
        changed[name] = _value(value, known[name], f"--set {text}")
    return replace(method, **changed)  # type: ignore[arg-type]


def _value(text: str, now: object, where: str) -> object:
    """A value of the kind that the field has now; what has no value now may have a number."""
    if isinstance(now, StrEnum):
        if text not in [each.value for each in type(now)]:
            raise unknown_name("value", text, [each.value for each in type(now)], where)
        return type(now)(text)
    whole = isinstance(now, int)
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise UserError(f"{where}: wanted is a {'whole ' if whole else ''}number")
    if isinstance(now, Decay):
        if number < 0:
            raise UserError(f"{where}: must be 0 or more")
        return replace(now, rate=number)
    return number
