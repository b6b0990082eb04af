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

    def stride_classes(self) -> list["StrideClass"]:
        """The input positions, split into those alike modulo the stride; classes no tap reaches are left out.

        The gradient of the input of a strided convolution is one product for each class, without the zeros that
        spreading the output gradient over the input would insert.
        """
        classes = [StrideClass((ph, pw), (th, tw)) for ph, th in self._classes(0) for pw, tw in self._classes(1)]
        return [each for each in classes if each.positions and each.taps]

    def _classes(self, axis: int) -> list[tuple[int, int]]:
        stride, size = self.stride[axis], self.input_hw[axis]
        taps = [0] * stride
        for tap in range(self.kernel[axis]):
            taps[(tap * self.dilation[axis] - self.padding[axis]) % stride] += 1
        return [(len(range(start, size, stride)), taps[start]) for start in range(stride)]


@dataclass(frozen=True)
class StrideClass:
    """Input positions of one image (height, width) and the kernel taps (height, width) that reach each of them."""

    grid: tuple[int, int]
    kernel: tuple[int, int]

    @property
    def positions(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]
