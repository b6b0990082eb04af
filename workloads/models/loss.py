"""The loss of every model here: cross entropy over the last axis."""

from typing import final

from torch import Tensor, nn
from torch.nn import functional

IGNORED = -100  # the target of a position that has none


@final
class CrossEntropy(nn.Module):
    """Mean of -log p(target) over all positions whose target is not IGNORED."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """logits: (..., classes); targets: (...), integers. Returns a scalar."""
        return functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)
