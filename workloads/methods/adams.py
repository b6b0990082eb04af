"""AdamS, the optimizer of CAST (arXiv 2509.25996), as far as its public description goes: weights are pulled to n:m.

Training is dense in every phase, so there is nothing for sparse hardware to use until the run is over and the weights
are masked for inference. Every `period` steps (10, as described) a mask marks the n largest magnitudes of every m along
input channels; after every update the other weights move towards 0 by an L1 decay and stop there. They are never masked
and come back by themselves if their gradient outweighs the decay.

Not public, hence assumed here: that "adaptive" means divided by the root of Adam's corrected second moment, like the
gradient's own step; that the decay stands apart from the moments; the schedule, a ramp over the first quarter (as in
the README of the authors' earlier trainer, arXiv 2407.20584); and `rate`, which is the product of learning rate and L1
strength. CAST's weight scaling and its distillation from the dense model are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workloads.methods.base import (
    GROUPED,
    MaskSource,
    MaskUse,
    Method,
    Scheduled,
    Tensor,
    always_dense,
    largest_of_inputs,
    refuse_unless,
)


@dataclass(frozen=True)
class Pull(Scheduled):
    """Every `period` steps the largest are marked; the others move towards 0 after every update."""

    rate: float = 1e-6
    ramp_share: float = 0.25
    period: int = 10
    beta2: float = 0.999  # of the optimizer, to correct its second moment
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        refuse_unless(
            self.period >= 1 and self.ramp_share > 0 and self.rate >= 0,
            "period must be at least 1, ramp_share above 0, rate not below 0",
        )
        refuse_unless(0 <= self.beta2 < 1 and self.epsilon > 0, "beta2 must be at least 0 and below 1, epsilon above 0")

    def rate_at(self, step: int) -> float:
        return self.rate * min(1.0, self.progress(step) / self.ramp_share)

    def due(self, step: int) -> bool:
        return step % self.period == 0

    def towards_zero(self, weight: Tensor, marked: Tensor, state: Mapping[str, Tensor], step: int) -> None:
        """|w| - rate / (sqrt(v / (1 - beta2^t)) + epsilon), at least 0, with the sign of w, for what is not marked."""
        refuse_unless("second_moment" in state, "its decay needs the second moment of the optimizer adamw")
        spread = (state["second_moment"] / (1 - self.beta2 ** (step + 1))).sqrt() + self.epsilon
        shrunk = (weight.abs() - self.rate_at(step) / spread).clamp(min=0.0).copysign(weight)
        weight.copy_(weight.where(marked, shrunk))


PULL = Pull()
ADAMS = Method(
    name="adams",
    trains=GROUPED,
    in_force=always_dense,
    mask_use=MaskUse.DECAY,
    backward_from=MaskSource.NONE,
    makes_masks=PULL.due,
    forward_mask=largest_of_inputs,
    after_update=PULL.towards_zero,
)
