"""Convolution geometry: the sizes of its three products and how many input elements a block of outputs touches."""

from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import Annotated

from annotated_types import Interval, Len

from workloads.files.limits import LARGEST_LIMIT, TAPS

# Checked where files are read.
Size = Annotated[int, Interval(ge=1, le=LARGEST_LIMIT)]
Padding = Annotated[int, Interval(ge=0, le=LARGEST_LIMIT)]
Sizes = Annotated[tuple[Size, ...], Len(2, 3)]


@dataclass(frozen=True)
class ConvGeometry:
    """A convolution over (height, width) or (depth, height, width) (1-D: height 1), from (B, in_channels, *input_size)
    to (B, out_channels, *output_size).

    `transposed`: the layer is a transposed convolution, and this is the convolution whose input gradient it computes.
    The layer's own input is then (B, out_channels, *output_size) and its output (B, in_channels, *input_size).
    """

    in_channels: Size
    out_channels: Size
    kernel: Sizes
    stride: Sizes
    padding: Annotated[tuple[Padding, ...], Len(2, 3)]
    input_size: Sizes
    dilation: Sizes = (1, 1)
    groups: Size = 1
    transposed: bool = False

    @property
    def axes(self) -> range:
        """The axes of the image: 0 and 1 are (height, width), or 0 to 2 (depth, height, width)."""
        return range(len(self.kernel))

    @property
    def output_size(self) -> tuple[int, ...]:
        return tuple(map(self._out, self.axes))

    def _out(self, axis: int) -> int:
        return (self.input_size[axis] + 2 * self.padding[axis] - self.reach[axis]) // self.stride[axis] + 1

    @property
    def reach(self) -> tuple[int, ...]:
        """Input lines from the first tap to the last, by axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return prod(self.kernel)

    @property
    def input_positions(self) -> int:
        return prod(self.input_size)

    def fault(self) -> str:
        """What cannot be of these sizes, in words; empty where nothing is wrong."""
        sizes = (self.kernel, self.stride, self.padding, self.input_size, self.dilation)
        if len({len(each) for each in sizes}) > 1:
            return "kernel, stride, padding, input size and dilation differ in how many axes they have"
        if self.taps > TAPS:
            return f"the kernel {times(self.kernel)} has {self.taps:,} positions; {TAPS:,} are taken"
        if min(self.output_size) < 1:
            padded = times(tuple(size + 2 * more for size, more in zip(self.input_size, self.padding, strict=True)))
            return f"the kernel, {times(self.reach)} wide, does not fit the padded input {padded}"
        if self.in_channels % self.groups or self.out_channels % self.groups:
            return f"{self.groups} groups do not divide {self.in_channels} and {self.out_channels} channels"
        return ""

    @property
    def output_positions(self) -> int:
        return prod(self.output_size)

    def stride_classes(self) -> list["StrideClass"]:
        """The input positions, split into those alike modulo the stride; classes no tap reaches are left out.

        The gradient of the input of a strided convolution is one product for each class, without the zeros that
        spreading the output gradient over the input would insert.
        """
        return [StrideClass(*zip(*each, strict=True)) for each in product(*map(self._classes, self.axes))]

    @property
    def most_stride_classes(self) -> int:
        """How many stride classes there are, those that lie in the padding counted too: none of them is made."""
        return prod(min(self.kernel[axis], self._period(axis)) for axis in self.axes)

    @property
    def reached(self) -> int:
        """Pairs of an input position and a tap that reaches it: what all stride classes have together."""
        return prod(sum(positions * taps for positions, taps, _, _ in self._classes(axis)) for axis in self.axes)

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
            found.append((len(range(start, self.input_size[axis], stride)), taps, lines, start))
        return sorted((each for each in found if each[0]), key=lambda each: each[3])


@dataclass(frozen=True)
class StrideClass:
    """Input positions of one image, kernel taps that reach each, output lines these span, the first position; each
    by axis."""

    grid: tuple[int, ...]
    kernel: tuple[int, ...]
    reach: tuple[int, ...]
    first: tuple[int, ...]

    @property
    def positions(self) -> int:
        return prod(self.grid)

    @property
    def taps(self) -> int:
        return prod(self.kernel)


def times(sizes: tuple[int, ...]) -> str:
    """Sizes as they are written: 3x3."""
    return "x".join(map(str, sizes))
