"""The two factors of a product that torch ran, as matrices, and how many products there are.

Torch expands one matrix over a batch where a tensor with a batch is multiplied by it; that is one product with more
rows (or columns), not a product for each of the batch:

    bmm of (8, 32, 64) by one (64, 16) expanded to (8, 64, 16)      one product of 256 x 64 by 64 x 16
    its weight gradient, bmm of (8, 64, 32) by (8, 32, 16), summed  one product of 64 x 256 by 256 x 16

A product of complex numbers r x k by k x c is the real one of r x 2k by 2k x 2c: [Re A, Im A] by [[Re B, Im B],
[-Im B, Re B]], four multiply-accumulates for each of its own.
"""

from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from workloads.errors import UserError
from workloads.recording.calls import Call


@final
@dataclass(frozen=True)
class Factors:
    """`count` products of rows x inner (left) by inner x cols (right). `shared`: one of them was expanded over a batch.

    The tensors have two axes, or three with the batch first; one that is shared has two.
    """

    left: Tensor
    right: Tensor
    rows: int
    inner: int
    cols: int
    count: int = 1
    shared: bool = False

    @property
    def turned(self) -> "Factors":
        """The transposed product: the right factor transposed, by the left one."""
        return replace(self, left=self.right.mT, right=self.left.mT, rows=self.cols, cols=self.rows)

    @property
    def summed(self) -> "Factors":
        """One product in place of a batch of them that are added up: their reductions one behind the other."""
        return replace(self, inner=self.inner * self.count, count=1)

    @property
    def folded(self) -> "Factors":
        """The same with a factor that was expanded over the batch taken once."""
        if self.left.dim() == 3 and self.left.shape[0] == 1:
            return replace(self, left=self.left[0], right=self.right[0])
        if self.count > 1 and self.right.stride(0) == 0:
            return replace(self, right=self.right[0], rows=self.rows * self.count, count=1, shared=True)
        if self.count > 1 and self.left.stride(0) == 0:
            return replace(self, left=self.left[0], cols=self.cols * self.count, count=1, shared=True)
        return self


def check_formats(left: Tensor, right: Tensor, layer: str) -> None:
    """Raises UserError for factors of two number formats, which torch notices only where it computes."""
    if left.dtype != right.dtype:
        names = " by ".join(str(each.dtype).removeprefix("torch.") for each in (left, right))
        raise UserError(f"layer '{layer}': multiplies {names}; give it inputs in the number format of its weights")


def factors_of(call: Call, layer: str) -> Factors:
    """The factors of a call, in its order. Raises UserError for factors of two number formats."""
    left, right = call.inputs[-2:]
    check_formats(left, right, layer)
    match call.name:
        case "mv" | "addmv":
            right = right.unsqueeze(1)
        case "dot" | "vdot":
            left, right = left.unsqueeze(0), right.unsqueeze(1)
    sizes = (left.shape[-2], left.shape[-1], right.shape[-1])
    found = Factors(left, right, *sizes, count=left.shape[0] if left.dim() == 3 else 1)
    if call.name == "addbmm":
        found = found.summed
    return _complex(found)


def _complex(found: Factors) -> Factors:
    if not found.left.is_complex():
        return found
    return replace(found, inner=2 * found.inner, cols=2 * found.cols)
