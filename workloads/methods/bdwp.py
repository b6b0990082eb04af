"""BDWP, bidirectional weight pruning (arXiv 2309.13015).

Before every step two independent masks are made from the dense FP32 weights: one for FF in groups along input channels,
one for BP in groups along output channels, both separately for every kernel position. WU is dense and its gradient goes
to every weight. That much follows from the paper's abstract and from the reduction dimensions; whether the authors add
the SR-STE decay could not be read, so it is off unless asked for.
"""

from workloads.methods.base import WEIGHT_OF_BP, WEIGHT_OF_FF, MaskSource, Method, largest_of_inputs, largest_of_outputs

BDWP = Method(
    name="bdwp",
    sparse=(WEIGHT_OF_FF, WEIGHT_OF_BP),
    forward_mask=largest_of_inputs,
    backward_mask=largest_of_outputs,
    backward_from=MaskSource.DENSE_WEIGHT,
)
