"""SDGP, structured data gradient pruning: the output gradient is pruned in BP, weights never are.

BP multiplies the dense weight by the n largest magnitudes of every m output channels of the output gradient, separately
for every image and position. WU sees the whole output gradient, so the weight gradient of the last layer is the dense
one. The authors' code also has random choice and a variant that scales what is kept up to the magnitude sum of an
image's channel; both are left out: the first is their own baseline, the second needs sums over whole maps first.
"""

from workloads import training
from workloads.methods.base import GROUPED, Axis, MaskSource, MaskUse, Method, SparseOperand, Tensor
from workloads.op import Phase, Role
from workloads.pattern import Pattern


def largest_of_gradient(gradient: Tensor, pattern: Pattern) -> Tensor:
    """The n largest magnitudes of every m output channels of each row."""
    return gradient.where(training.group_mask(gradient, pattern, 2), 0.0)


SDGP = Method(
    name="sdgp",
    trains=GROUPED,
    sparse=(SparseOperand(Phase.BP, Role.GRADIENT, Axis.OUTPUT_CHANNELS),),
    mask_use=MaskUse.NONE,
    backward_from=MaskSource.NONE,
    pruned_gradient=largest_of_gradient,
)
