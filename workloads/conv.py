"""Convolution geometry: the sizes of its three products and how many input elements a block of outputs touches."""

from dataclasses import dataclass
from math import gcd
from typing import Annotated

from annotated_types import Interval

from workloads.files.limits import LARGEST_LIMIT, TAPS

# Checked where files are read.
Size = Annotated[int, Interval(ge=1, le=LARGEST_LIMIT)]
Padding = Annotated[int, Interval(ge=0, le=LARGEST_LIMIT)]


@dataclass(frozen=True)
class ConvGeometry:
    """A 2-D convolution (1-D: height 1) from (B, in_channels, *input_hw) to (B, out_channels, *output_hw)."""

    in_channels: Size
    out_channels: Size
    kernel: tuple[Size, Size]
    stride: tuple[Size, Size]
    padding: tuple[Padding, Padding]
    input_hw: tuple[Size, Size]
    dilation: tuple[Size, Size] = (1, 1)
    groups: Size = 1

    @property
    def output_hw(self) -> tuple[int, int]:
        return self._out(0), self._out(1)

    def _out(self, axis: int) -> int:
        return (self.input_hw[axis] + 2 * self.padding[axis] - self.reach[axis]) // self.stride[axis] + 1

    @property
    def reach(self) -> tuple[int, int]:
        """Input lines from the first tap to the last: (height, width)."""
        high, wide = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return high, wide

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return self.kernel[0] * self.kernel[1]

    @property
    def input_positions(self) -> int:
        return self.input_hw[0] * self.input_hw[1]

    def fault(self) -> str:
        """What cannot be of these sizes, in words; empty where nothing is wrong."""
        if self.taps > TAPS:
            return f"the kernel {self.kernel[0]}x{self.kernel[1]} has {self.taps:,} positions; {TAPS:,} are taken"
        if min(self.output_hw) < 1:
            padded = "x".join(str(size + 2 * more) for size, more in zip(self.input_hw, self.padding, strict=True))
            return f"the kernel, {self.reach[0]}x{self.reach[1]} wide, does not fit the padded input {padded}"
        if self.in_channels % self.groups or self.out_channels % self.groups:
            return f"{self.groups} groups do not divide {self.in_channels} and {self.out_channels} channels"
        return ""

    @property
    def output_positions(self) -> int:
        height, width = self.output_hw
        return height * width

    def stride_classes(self) -> list["StrideClass"]:
        """The input positions, split into those alike modulo the stride; classes no tap reaches are left out.

        The gradient of the input of a strided convolution is one product for each class, without the zeros that
        spreading the output gradient over the input would insert.
        """
        axes = (self._classes(0), self._classes(1))
        return [StrideClass(*zip(high, wide, strict=True)) for high in axes[0] for wide in axes[1]]

    @property
    def most_stride_classes(self) -> int:
        """How many stride classes there are, those that lie in the padding counted too: none of them is made."""
        high, wide = (min(self.kernel[axis], self._period(axis)) for axis in (0, 1))
        return high * wide

    @property
    def reached(self) -> int:
        """Pairs of an input position and a tap that reaches it: what all stride classes have together."""
        high, wide = (sum(positions * taps for positions, taps, _, _ in self._classes(axis)) for axis in (0, 1))
        return high * wide

    def _period(self, axis: int) -> int:
        """After so many taps the next one reaches positions alike modulo the stride to those that the first reaches."""
        return self.stride[axis] // gcd(self.stride[axis], self.dilation[axis])

    def _classes(self, axis: int) -> list[tuple[int, int, int, int]]:
        """Of every class of one axis: positions, the taps that reach each, the output lines these span, the first."""
        stride, dilation, period = self.stride[axis], self.dilation[axis], self._period(axis)
        found = []
        for tap in range(min(self.kernel[axis], period)):
            start = (tap * dilation - self.padding[axis]) % stride
            taps = len(range(tap, self.kernel[axis], period))
            lines = (taps - 1) * period * dilation // stride + 1
            found.append((len(range(start, self.input_hw[axis], stride)), taps, lines, start))
        return sorted((each for each in found if each[0]), key=lambda each: each[3])


@dataclass(frozen=True)
class StrideClass:
    """Input positions of one image, kernel taps that reach each, output lines these span, the first position; each
    (height, width)."""

    grid: tuple[int, int]
    kernel: tuple[int, int]
    reach: tuple[int, int]
    first: tuple[int, int]

    @property
    def positions(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]
