"""Weights that are n:m already, as those of a pruned checkpoint."""

from torch import Tensor

from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.training.masks import largest_group_count

GROUPS = (2, 4, 8, 16, 32, 64)
FEWEST_ZEROS = 0.2  # with fewer nobody has pruned, and nothing is gained
SLACK = 0.02  # of the share of non-zeros below n/m: groups that a weight of zero happens to be in


def found_pattern(values: Tensor, axis: int, zeros: float) -> Pattern:
    """The n:m that a weight keeps along an axis: the sparsest whose groups are about full; dense where there is none.

    zeros: its share of zeros. A random half of zeros is no pattern: some group of four would hold four weights.
    """
    if not FEWEST_ZEROS <= zeros < 1:
        return DENSE
    best = DENSE
    for m in GROUPS:
        if values.shape[axis] % m:
            continue
        n = largest_group_count(values, m, axis)
        if n < m and n / m - (1 - zeros) <= SLACK and (best.is_dense or n / m < best.n / best.m):
            best = Pattern(PatternKind.NM, n, m)
    return best
