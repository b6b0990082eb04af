"""A memory channel: how long a transfer occupies it, in whole ticks on a rational base."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Channel:
    """`bytes_per_tick` None is an infinitely fast channel. Transfers are rounded up to whole bursts."""

    bytes_per_tick: Fraction | None
    latency_ticks: int = 0
    burst_bytes: int = 1

    def ticks(self, size_bytes: int) -> int:
        """Ticks a transfer occupies the channel: ceil(bytes x den / num), its latency not counted."""
        if self.bytes_per_tick is None or size_bytes == 0:
            return 0
        rate = self.bytes_per_tick
        return -(-self.transferred(size_bytes) * rate.denominator // rate.numerator)

    def least_ticks(self, size_bytes: int) -> int:
        """Ticks below which no number of transfers moves so many bytes."""
        if self.bytes_per_tick is None:
            return 0
        rate = self.bytes_per_tick
        return -(-size_bytes * rate.denominator // rate.numerator)

    def transferred(self, size_bytes: int) -> int:
        """Bytes really moved: whole bursts."""
        return -(-size_bytes // self.burst_bytes) * self.burst_bytes
