"""The updates of FP32 weights, written as the update engine does them: every multiplication and addition rounds by
itself. torch's own optimizers fuse some of them (addcmul, lerp, alpha), which changes the last bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.op import Optimizer

State = MutableMapping[str, Tensor]  # FP32 values kept for each weight, by name


@dataclass(frozen=True)
class Update(ABC):
    """How a weight follows its gradient."""

    optimizer: ClassVar[Optimizer]
    states: ClassVar[tuple[str, ...]]  # the names of what it keeps for each weight
    learning_rate: float
    weight_decay: float

    @abstractmethod
    def apply(self, weight: Tensor, gradient: Tensor, state: State, step: int) -> None:
        """Change the weight and its state in place. `step` counts from 1; an empty state is filled with zeros."""


@final
@dataclass(frozen=True)
class Momentum(Update):
    """v = momentum v + (g + decay w); w = w - rate v."""

    optimizer = Optimizer.MOMENTUM
    states = ("momentum",)
    momentum: float = 0.9

    @torch.no_grad()
    def apply(self, weight: Tensor, gradient: Tensor, state: State, step: int) -> None:  # noqa: ARG002  no correction
        velocity = _state(state, "momentum", weight)
        decayed = gradient + weight * self.weight_decay if self.weight_decay else gradient
        velocity.mul_(self.momentum).add_(decayed)
        weight.sub_(velocity * self.learning_rate)


@final
@dataclass(frozen=True)
class AdamW(Update):
    """arXiv 1711.05101, algorithm 2, without a schedule:

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g g;  w = w - rate decay w;
    w = w - rate / (1 - b1^t) * (m / (sqrt(v) / sqrt(1 - b2^t) + epsilon)).
    """

    optimizer = Optimizer.ADAMW
    states = ("first_moment", "second_moment")
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @torch.no_grad()
    def apply(self, weight: Tensor, gradient: Tensor, state: State, step: int) -> None:
        first = _state(state, "first_moment", weight)
        second = _state(state, "second_moment", weight)
        first.mul_(self.beta1).add_(gradient * (1 - self.beta1))
        second.mul_(self.beta2).add_((gradient * gradient).mul_(1 - self.beta2))
        weight.sub_(weight * (self.learning_rate * self.weight_decay))
        # the root rounded to nearest: torch's own on FP32 (MKL's) is one unit off for a fifth of all values
        root = second.double().sqrt().float()
        spread = root.div_((1 - self.beta2**step) ** 0.5).add_(self.epsilon)
        weight.sub_((first / spread).mul_(self.learning_rate / (1 - self.beta1**step)))


def update_for(optimizer: Optimizer, learning_rate: float, weight_decay: float) -> Update:
    """The update of a kind of optimizer at its usual settings. Raises UserError for one that is not trained here."""
    match optimizer:
        case Optimizer.MOMENTUM:
            return Momentum(learning_rate, weight_decay)
        case Optimizer.ADAMW:
            return AdamW(learning_rate, weight_decay)
    raise UserError(f"optimizer '{optimizer}' cannot train; allowed are {Optimizer.MOMENTUM} and {Optimizer.ADAMW}")


def _state(state: State, name: str, weight: Tensor) -> Tensor:
    if name not in state:
        state[name] = torch.zeros_like(weight)
    return state[name]


class Engine(torch.optim.Optimizer, ABC):
    """What updates parameters, as an optimizer of torch's kind, so that methods see its steps, and where the products
    of a step are. Not frozen: it keeps the states.

    update, number: of the step to come, counted from 1; whoever steps sets them. keeps_scale: gradients come with the
    loss scale in them.
    """

    keeps_scale: ClassVar[bool] = False

    def __init__(self, parameters: Iterable[nn.Parameter], update: Update) -> None:
        super().__init__(parameters, {})
        self.update = update
        self.number = 1

    def products(self, any_rows: bool = False) -> AbstractContextManager[None]:  # noqa: ARG002
        """While it is entered, a model multiplies where this engine has it multiply. any_rows: for evaluation."""
        return nullcontext()

    def fetch(self) -> None:
        """Bring the states of the optimizer here."""


@final
class UpdateEngine(Engine):
    """An update in torch."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None, "gradients are computed before a step"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update.apply(parameter, parameter.grad, self.state[parameter], self.number)
