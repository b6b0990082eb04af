"""Where a convolution's products read: for every position and kernel tap, a line of the image, along one axis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.conv import ConvGeometry

Ints = NDArray[np.int64]
Values = NDArray[np.float16]


@dataclass(frozen=True)
class Axis:
    """One axis of a product over images. lines: (positions, taps), those outside the image are negative or too large,
    and OUTSIDE where a stride leaves none. kernel: for every tap, its place in the weight."""

    lines: Ints
    kernel: tuple[int, ...]


OUTSIDE = -(1 << 20)


def forward_axis(geometry: ConvGeometry, axis: int, size: int) -> Axis:
    """Input lines that output positions see, for an image of `size` lines."""
    kernel, stride, padding = geometry.kernel[axis], geometry.stride[axis], geometry.padding[axis]
    reach = geometry.reach[axis]
    positions = max(1, (size + 2 * padding - reach) // stride + 1)
    taps = np.arange(kernel) * geometry.dilation[axis]
    return Axis(np.arange(positions)[:, None] * stride - padding + taps, tuple(range(kernel)))


def backward_axis(geometry: ConvGeometry, axis: int, size: int, first: int | None) -> Axis:
    """Output lines that reach input positions, for a gradient of `size` lines; taps in the order of their lines.

    first: the positions `first`, `first + stride`, ... and only the taps that reach them; None: all positions and taps.
    """
    stride, padding, dilation = geometry.stride[axis], geometry.padding[axis], geometry.dilation[axis]
    positions = np.arange(size * stride) if first is None else first + stride * np.arange(size)
    back = positions[:, None] + padding - dilation * np.arange(geometry.kernel[axis])[::-1]
    lines = np.where(back % stride == 0, back // stride, OUTSIDE)
    used = [tap for tap in range(lines.shape[1]) if first is None or (lines[:, tap] != OUTSIDE).any()]
    return Axis(lines[:, used], tuple(geometry.kernel[axis] - 1 - tap for tap in used))


def seen(images: Values, axes: tuple[Axis, Axis], positions: Ints, taps: Ints, channels: Ints) -> Values:
    """(positions, elements): what each position sees at each element's tap and channel; zeros outside the image.

    images: (images, channels, height, width). positions count along width, height, images and begin again at the end;
    taps along the kernel's width, then its height.
    """
    high, wide = axes
    number, channel_count, height, width = images.shape
    rows, cols = len(high.lines), len(wide.lines)
    across = len(wide.kernel)
    y = high.lines[(positions // cols % rows)[:, None], (taps // across)[None, :]]
    x = wide.lines[(positions % cols)[:, None], (taps % across)[None, :]]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    image = (positions // (rows * cols) % number)[:, None]
    found: Values = images[image, (channels % channel_count)[None, :], y.clip(0, height - 1), x.clip(0, width - 1)]
    found[~inside] = 0
    return found
