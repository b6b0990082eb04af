"""SDWP: weights pruned in BP only, the counterpart that bidirectional pruning (arXiv 2309.13015) is compared with.

FF and WU are dense. BP sees the n largest magnitudes of every m along output channels, its reduction, made from the
dense weight before every step. The gradient of the input is thus an approximation; that of the weight is exact for the
output gradient it gets. Only the abstract of the source could be read: no decay is assumed.
"""

from workloads.methods.base import GROUPED, WEIGHT_OF_BP, MaskSource, Method, largest_of_outputs
from workloads.op import Phase

SDWP = Method(
    name="sdwp",
    trains=GROUPED,
    sparse=(WEIGHT_OF_BP,),
    backward_mask=largest_of_outputs,
    backward_from=MaskSource.DENSE_WEIGHT,
    decay_phase=Phase.BP,  # a decay, where one is asked for, acts on what BP drops
)
