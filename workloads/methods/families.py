"""What many methods share, so that each file holds only what sets its method apart."""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar, final

from workloads.errors import UserError
from workloads.methods.base import MaskSource, MaskUse, Method
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
