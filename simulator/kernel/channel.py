"""A memory channel: how long a transfer occupies it, in whole ticks on a rational base."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property


@dataclass(frozen=True)
class Channel:
    """`bytes_per_tick` None is an infinitely fast channel. Transfers are rounded up to whole bursts."""

    bytes_per_tick: Fraction | None
    latency_ticks: int = 0
    burst_bytes: int = 1

    def ticks(self, size_bytes: int) -> int:
        """Ticks a transfer occupies the channel: ceil(bytes x den / num), its latency not counted."""
        if self.bytes_per_tick is None:
            return 0
        bytes_, ticks = self._rate
        return -(-self.transferred(size_bytes) * ticks // bytes_)

    def least_ticks(self, size_bytes: int) -> int:
        """Ticks below which no number of transfers moves so many bytes."""
        if self.bytes_per_tick is None:
            return 0
        bytes_, ticks = self._rate
        return -(-size_bytes * ticks // bytes_)

    @cached_property
    def _rate(self) -> tuple[int, int]:
        """So many bytes in so many ticks."""
        assert self.bytes_per_tick is not None
        return self.bytes_per_tick.as_integer_ratio()

    def transferred(self, size_bytes: int) -> int:
        """Bytes really moved: whole bursts."""
        return -(-size_bytes // self.burst_bytes) * self.burst_bytes
