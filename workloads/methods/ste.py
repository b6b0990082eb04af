"""STE, straight-through estimation: the plainest n:m training.

Before every forward pass the n largest magnitudes of every m along input channels are kept, separately for every kernel
position. FF and BP see the same masked weight; along output channels, where BP reduces, it is n:m only by chance, so
BP's operand counts as dense with zeros. WU is dense and every weight gets its whole gradient, dropped ones too: they
keep learning and may come back. The baseline of arXiv 2102.04010, section 3.1.
"""

from workloads.methods.base import GROUPED, WEIGHT_OF_FF, Method, largest_of_inputs

STE = Method(name="ste", trains=GROUPED, sparse=(WEIGHT_OF_FF,), forward_mask=largest_of_inputs)
