"""How a layer's tensors lie as the operands of its products, as `backend` has them. Needs no torch."""

from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
Pair = tuple[int, int]


def unfolded(x: NDArray[Number], kernel: Pair, padding: Pair) -> NDArray[Number]:
    """FF's left operand: (B, C, H, W) -> (B * output positions, taps * C), what each tap of each position sees."""
    windows = sliding_window_view(_padded(x, padding), kernel, axis=(2, 3))
    return _rows(windows)


def spread(gradient: NDArray[Number], kernel: Pair, padding: Pair) -> NDArray[Number]:
    """BP's left operand: (B, O, h, w) -> (B * input positions, taps * O), the output gradient that each input position
    contributes to through each tap; zero outside."""
    reach: Pair = (kernel[0] - 1 - padding[0], kernel[1] - 1 - padding[1])
    windows = sliding_window_view(_padded(gradient, reach), kernel, axis=(2, 3))
    return _rows(windows[..., ::-1, ::-1])


def folded(rows: NDArray[Number], images: int, size: Pair) -> NDArray[Number]:
    """Results by position, (B * positions, C), as images (B, C, H, W)."""
    return rows.reshape(images, *size, -1).transpose(0, 3, 1, 2)


def by_channel(x: NDArray[Number]) -> NDArray[Number]:
    """Images (B, C, H, W) as rows by position, (B * positions, C)."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(-1, x.shape[1])


def matrix(weight: NDArray[Number]) -> NDArray[Number]:
    """The weight of a linear layer, (O, I), or of a convolution, (O, C, *kernel), as (taps * in, out). Others flat."""
    if weight.ndim < 2:
        return weight.reshape(-1)
    outputs, inputs = weight.shape[:2]
    turned = weight.reshape(outputs, inputs, -1).transpose(2, 1, 0)
    return np.ascontiguousarray(turned).reshape(-1, outputs)


def weight_of(found: NDArray[Number], shape: tuple[int, ...]) -> NDArray[Number]:
    """The inverse of `matrix`: a weight of this shape."""
    if len(shape) < 2:
        return found.reshape(shape)
    outputs, inputs = shape[:2]
    return np.ascontiguousarray(found.reshape(-1, inputs, outputs).transpose(2, 1, 0)).reshape(shape)


def _padded(x: NDArray[Number], lines: Pair) -> NDArray[Number]:
    """With so many lines of zeros on every side; fewer than none are cut off."""
    high, wide = (max(0, each) for each in lines)
    cut_high, cut_wide = (max(0, -each) for each in lines)
    inside = x[:, :, cut_high : x.shape[2] - cut_high, cut_wide : x.shape[3] - cut_wide]
    return np.pad(inside, ((0, 0), (0, 0), (high, high), (wide, wide)))


def _rows(windows: NDArray[Number]) -> NDArray[Number]:
    """Windows (B, C, h, w, kh, kw) as (B * h * w, kh * kw * C)."""
    images, _, high, wide, *taps = windows.shape
    turned = np.ascontiguousarray(windows.transpose(0, 2, 3, 4, 5, 1))
    return turned.reshape(images * high * wide, taps[0] * taps[1] * windows.shape[1])
