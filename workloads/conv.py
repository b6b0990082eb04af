"""Convolution geometry: the sizes of its three products and how many input elements a block of outputs touches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvGeometry:
    """A 2-D convolution (1-D: height 1) from (B, in_channels, *input_hw) to (B, out_channels, *output_hw)."""

    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    input_hw: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def output_hw(self) -> tuple[int, int]:
        return self._out(0), self._out(1)

    def _out(self, axis: int) -> int:
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (self.input_hw[axis] + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

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

    def parity_taps(self) -> list[tuple[int, int]]:
        """For each class of input positions alike modulo the stride: (positions an image, kernel taps that reach it).

        The gradient of the input of a strided convolution splits into these classes; each is a product without
        stride-inserted zeros. Classes no tap reaches are left out.
        """
        rows = self._axis_classes(0)
        cols = self._axis_classes(1)
        both = [(ph * pw, th * tw) for ph, th in rows for pw, tw in cols]
        return [(positions, taps) for positions, taps in both if positions and taps]

    def _axis_classes(self, axis: int) -> list[tuple[int, int]]:
        stride, size = self.stride[axis], self.input_hw[axis]
        taps = [0] * stride
        for tap in range(self.kernel[axis]):
            taps[(tap * self.dilation[axis] - self.padding[axis]) % stride] += 1
        return [(len(range(start, size, stride)), taps[start]) for start in range(stride)]
