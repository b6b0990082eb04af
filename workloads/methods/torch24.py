"""The 4 x 4-tile 2:4 masks of torch's semi-structured training: n:m along input and output channels at once.

In every tile of 4 output by 4 input channels the largest values are taken first, wherever row and column have room for
another; so some tiles keep fewer than 8. What "largest" means is the flavour: torch's default, `torch24` here, ranks
*signed* values, so a small positive weight goes before a large negative one and three quarters of what it keeps is
positive; torch's named algorithm `largest_abs_values_greedy`, `torch24-magnitude` here, ranks magnitudes. The first can
stop a network from learning: after 100 steps on digits a quarter-width ResNet-9 from scratch was right on 16 % under it
and on 99 % under the second (measured). Ties go to the lower index of a tile read row by row, as in torch's Python
version; the order of ties in its CUDA kernels is not documented. Masks are new before every step, FF and BP use one
masked weight, WU is dense and straight-through, as in torchao's SemiSparseLinear.

torch does this for linear layers only; a convolution is tiled at each kernel position, which is ours. As there,
channels must be multiples of 4. torch's own function prunes its argument in place: it is never called here.
"""

from dataclasses import replace

from workloads import training
from workloads.methods.base import WEIGHT_OF_BP, WEIGHT_OF_FF, Method, Tensor, refuse_unless
from workloads.pattern import Pattern, PatternKind

TWO_OF_FOUR = Pattern(PatternKind.NM, 2, 4)


def only_two_of_four(pattern: Pattern, _: int) -> Pattern:
    refuse_unless(pattern == TWO_OF_FOUR, f"pattern '{pattern}' cannot be trained; torch has 2:4 only")
    return pattern


def largest_values(weight: Tensor, *_: object) -> Tensor:
    outside, inside = weight.shape[1:3]
    refuse_unless(
        outside % 4 == inside % 4 == 0,
        f"{outside} output and {inside} input channels; torch's 2:4 takes multiples of 4, so keep this layer dense",
    )
    return training.greedy(weight, 2, 4)


def largest_magnitudes(weight: Tensor, *_: object) -> Tensor:
    return largest_values(weight.abs())


TORCH24 = Method(
    name="torch24",
    sparse=(WEIGHT_OF_FF, WEIGHT_OF_BP),
    in_force=only_two_of_four,
    forward_mask=largest_values,
)
TORCH24_MAGNITUDE = replace(TORCH24, name="torch24-magnitude", forward_mask=largest_magnitudes)
