"""SRigL (arXiv 2305.02299): every output has the same number k of inputs, and which ones is learned.

The pattern is `fan-in k`: k weights of all kernel positions and input channels of an output. That is n:m with m a whole
row; it has no small groups, so machines for n:m refuse it. The run starts with random inputs. Every `period` steps the
`drop share` of the layer's smallest kept weights is dropped, and every output grows back to k where the dense gradient
of the step before is largest; the share falls from `drop_share` to 0 as half a cosine and nothing changes any more
after `stop_share` of the run. Between, dropped weights get no gradient; they and their optimizer state stay 0, so grown
ones start from 0.

Period (100 on CIFAR and for ViTs; 800 for ResNet-50), stop share 0.75 and drop share 0.3 are those of the authors'
code. There the step that changes masks updates no weights; here it does, with the new mask. Neuron ablation, which
gives the fan-in of dropped outputs to the rest, is left out: k would no longer be what was asked for. Layers all have
the k that is asked of them (name them apart as `LAYER=fan-in k`) where the authors derive it from a share for the model
(ERK).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, pi

from workloads import training
from workloads.methods.base import WEIGHT_OF_FF, GradientRule, Known, Method, Scheduled, Tensor, refuse_unless
from workloads.pattern import Pattern, PatternKind


@dataclass(frozen=True)
class Regrowth(Scheduled):
    """Inputs that are random at first and then dropped and grown anew, a share of them every `period` steps."""

    period: int = 100
    stop_share: float = 0.75
    drop_share: float = 0.3
    seed: int = 0  # of the first masks

    def __post_init__(self) -> None:
        refuse_unless(
            self.period >= 1 and 0 < self.stop_share <= 1 and 0 <= self.drop_share <= 1,
            "period must be at least 1, stop_share and drop_share in 0 to 1",
        )

    def dropped_share(self, step: int) -> float:
        """The share of kept weights that is dropped and grown anew at a step: drop / 2 * (1 + cos(pi t / stop))."""
        over = min(1.0, self.progress(step) / self.stop_share)
        return self.drop_share / 2 * (1 + cos(pi * over))

    def due(self, step: int) -> bool:
        return step == 0 or (step % self.period == 0 and self.progress(step) < self.stop_share)

    def mask(self, weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        if step == 0 or known.forward_mask is None:
            return training.random_mask(weight, pattern.fan_in, self.seed)
        if known.gradient is None:
            return known.forward_mask
        return training.regrown(weight, known.gradient, known.forward_mask, pattern.fan_in, self.dropped_share(step))


def keep_dropped_at_zero(weight: Tensor, forward_mask: Tensor, state: Mapping[str, Tensor], _: int) -> None:
    """Dropped weights, and all the optimizer remembers of them, are 0."""
    for values in (weight, *state.values()):
        values.masked_fill_(~forward_mask, 0.0)


REGROWTH = Regrowth()
SRIGL = Method(
    name="srigl",
    trains=(PatternKind.FAN_IN,),
    sparse=(WEIGHT_OF_FF,),
    gradient=GradientRule.MASKED,
    makes_masks=REGROWTH.due,
    forward_mask=REGROWTH.mask,
    after_update=keep_dropped_at_zero,
)
