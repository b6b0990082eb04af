"""What the loss of mixed precision is multiplied by. Needs no torch."""

from dataclasses import dataclass, replace
from typing import final


@final
@dataclass(frozen=True)
class LossScale:
    """What the loss is multiplied by, so that small gradients survive in FP16: halved after an overflow, whose step is
    left out, and doubled after `patience` steps without one."""

    scale: float = 2.0**14
    patience: int = 200
    good_steps: int = 0

    def after(self, finite: bool) -> "LossScale":
        if not finite:
            return replace(self, scale=max(1.0, self.scale / 2), good_steps=0)
        if self.good_steps + 1 == self.patience:
            return replace(self, scale=self.scale * 2, good_steps=0)
        return replace(self, good_steps=self.good_steps + 1)
