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

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from workloads.errors import UserError
from workloads.methods.base import Axis, GradientRule, SparseOperand
from workloads.methods.families import OneMaskMethod
from workloads.op import Phase, Role
from workloads.pattern import Pattern, PatternKind

if TYPE_CHECKING:
    from torch import Tensor

    from workloads.methods.base import Past

TWO_OF_FOUR = Pattern(PatternKind.NM, 2, 4)


@dataclass(frozen=True)
class TileMethod(OneMaskMethod, ABC):
    """Both flavours; `signed` says what the largest values of a tile are."""

    sparse: ClassVar[tuple[SparseOperand, ...]] = (
        SparseOperand(Phase.FF, Role.WEIGHT, Axis.INPUT_CHANNELS),
        SparseOperand(Phase.BP, Role.WEIGHT, Axis.OUTPUT_CHANNELS),
    )
    gradient_rule: ClassVar[GradientRule] = GradientRule.STRAIGHT_THROUGH
    signed: ClassVar[bool]

    @final
    def pattern_at(self, pattern: Pattern, step: int) -> Pattern:
        if pattern.is_dense or pattern == TWO_OF_FOUR:
            return pattern
        raise UserError(f"method '{self.name}': pattern '{pattern}' cannot be trained; torch has 2:4 only")

    @final
    def makes_masks(self, step: int) -> bool:
        return True

    @final
    def forward_mask(self, weight: Tensor, pattern: Pattern, past: Past, step: int) -> Tensor:
        from workloads.training.tiles import greedy

        _, outside, inside, _ = weight.shape
        if outside % 4 or inside % 4:
            raise UserError(
                f"method '{self.name}': {outside} output and {inside} input channels; torch's 2:4 takes "
                "multiples of 4, so keep this layer dense"
            )
        return greedy(weight if self.signed else weight.abs(), 2, 4)


@final
@dataclass(frozen=True)
class Torch24(TileMethod):
    name: ClassVar[str] = "torch24"
    signed: ClassVar[bool] = True


@final
@dataclass(frozen=True)
class Torch24Magnitude(TileMethod):
    name: ClassVar[str] = "torch24-magnitude"
    signed: ClassVar[bool] = False
