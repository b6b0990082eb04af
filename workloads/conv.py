"""Convolution geometry: the sizes of its three products and how many input elements a block of outputs touches."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

Size = Annotated[int, Ge(1)]  # checked where files are read


@dataclass(frozen=True)
class ConvGeometry:
    """A 2-D convolution (1-D: height 1) from (B, in_channels, *input_hw) to (B, out_channels, *output_hw)."""

    in_channels: Size
    out_channels: Size
    kernel: tuple[Size, Size]
    stride: tuple[Size, Size]
    padding: tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)]]
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

    @property
    def output_positions(self) -> int:
        height, width = self.output_hw
        return height * width

    def stride_classes(self) -> list["StrideClass"]:
        """The input positions, split into those alike modulo the stride; classes no tap reaches are left out.

        The gradient of the input of a strided convolution is one product for each class, without the zeros that
        spreading the output gradient over the input would insert.
        """
        axes = [[(*self._class(axis, start), start) for start in range(self.stride[axis])] for axis in (0, 1)]
        classes = [StrideClass(*zip(high, wide, strict=True)) for high in axes[0] for wide in axes[1]]
        return [each for each in classes if each.positions and each.taps]

    def _class(self, axis: int, start: int) -> tuple[int, int, int]:
        """Positions of one axis from `start` on, the taps that reach each, and the output lines these span."""
        stride, dilation = self.stride[axis], self.dilation[axis]
        offsets = [tap * dilation - self.padding[axis] for tap in range(self.kernel[axis])]
        lines = [(start - offset) // stride for offset in offsets if (start - offset) % stride == 0]
        return len(range(start, self.input_hw[axis], stride)), len(lines), max(lines) - min(lines) + 1 if lines else 0


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
