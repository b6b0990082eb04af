"""Products of a mixture of experts: one operator multiplies every expert's rows by that expert's weight.

Where they are computed, the offsets say how many rows each has. By shapes alone nobody knows; they are shared equally,
and the workload says that this is assumed: the busiest expert may have more.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from workloads.errors import UserError
from workloads.recording.calls import Call
from workloads.recording.factors import Factors
from workloads.recording.tensor_names import is_fake

ASSUMED = "rows shared equally among experts; the busiest one may have more"


def expert_factors(call: Call, layer: str) -> list[Factors]:
    """The products of one call; equal ones are counted. Raises UserError for a form that is no mixture of experts.

    Two forms: (rows, inner) by (experts, inner, cols), whose rows are shared out, and (rows, inner) by (inner, cols),
    whose reduction is: the weight gradients.
    """
    left, right, *rest = call.inputs
    if not rest or left.dim() != 2:
        raise UserError(f"layer '{layer}': runs 'aten::{call.name}' on a batch; write it with torch.bmm")
    offsets = rest[0]
    if right.dim() == 3:
        shares = _shares(offsets, left.shape[0])
        return [Factors(left, right, rows, left.shape[1], right.shape[2], count) for rows, count in _counted(shares)]
    shares = _shares(offsets, left.shape[1])
    return [Factors(left, right, left.shape[0], inner, right.shape[1], count) for inner, count in _counted(shares)]


def expert_result(call: Call) -> Tensor:
    """A tensor of the result's shape, for tensors without values: torch knows the shape of some formats alone."""
    left, right, offsets = call.inputs[:3]
    if right.dim() == 3:
        return left.new_empty(left.shape[0], right.shape[2])
    return left.new_empty(offsets.shape[0], left.shape[0], right.shape[1])


def _shares(offsets: Tensor, rows: int) -> list[int]:
    """How many rows each expert has."""
    experts = offsets.shape[0]
    if is_fake(offsets):
        return [rows // experts + (number < rows % experts) for number in range(experts)]
    return [after - before for before, after in pairwise([0, *offsets.tolist()])]


def _counted(shares: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbours of one size together: (size, how many); those without a row do nothing."""
    found: list[tuple[int, int]] = []
    for share in shares:
        if found and found[-1][0] == share:
            found[-1] = (share, found[-1][1] + 1)
        elif share:
            found.append((share, 1))
    return found
