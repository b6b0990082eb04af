"""A training method of its own: the weight is pruned in the forward pass alone, by magnitude."""

from workloads.masks import largest
from workloads.methods.base import GROUPED, WEIGHT_OF_FF, Axis, MaskSource, Method, Tensor, keep_all
from workloads.pattern import Pattern


def by_magnitude(weight: Tensor, pattern: Pattern, *_: object) -> Tensor:
    kept = largest(weight.detach().numpy(), pattern.n, pattern.m, Axis.INPUT_CHANNELS)
    return weight.new_tensor(kept).bool()


FORWARD_ONLY = Method(
    name="forward-only",
    trains=GROUPED,
    sparse=(WEIGHT_OF_FF,),
    forward_mask=by_magnitude,
    backward_mask=keep_all,
    backward_from=MaskSource.NONE,
)
