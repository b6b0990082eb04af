"""SR-STE, sparse-refined straight-through estimation (arXiv 2102.04010).

Masks, FF, BP and WU are those of `ste`. The gradient of a dropped weight gets `decay` times the weight added, so
that it shrinks unless the loss wants it back: once a step, on the gradient without its loss scale, before the optimizer
sees it. The rate 2e-4 is the paper's. Groups lie along input channels of one kernel position, as in the authors' second
version of their code; there they may straddle positions where channels are no multiple of m, here they never do.
"""

from dataclasses import replace

from workloads.methods.ste import STE

SRSTE = replace(STE, name="srste", decay=2e-4)
