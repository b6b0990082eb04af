"""Operands of a tile with real values: the block that was sampled of a layer, laid out as the product reads it.

Shapes are those of the whole step; a sampled block is smaller, so its channels and positions are repeated. A layer
without a block borrows that of another layer, the next one in the order of the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtl.timing import Reduction
from simulator.hil.lines import Axis, Ints, Values, backward_axis, forward_axis, seen
from simulator.hil.strata import Stratum
from workloads.masks import largest
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.samples import LayerSample, read_samples

Axes = tuple[Axis, Axis]


@dataclass(frozen=True)
class Donors:
    """Sampled blocks by layer, in their order. `for_layer` says whose values a layer gets."""

    samples: dict[str, LayerSample]
    owner: dict[str, str]

    def for_layer(self, layer: str) -> LayerSample:
        return self.samples[self.owner[layer]]


def read_donors(tensors: Path, layers: Sequence[str], digest: str = "") -> Donors:
    """All blocks of a file, for the layers of a step in order. Raises UserError as `read_samples` does."""
    samples = dict(read_samples(tensors, digest).layers)
    ordered = list(dict.fromkeys(layers))
    places = [at for at, layer in enumerate(ordered) if layer in samples]
    names = list(samples)
    owner = {}
    for at, layer in enumerate(ordered):
        later = [ordered[place] for place in places if place >= at]
        owner[layer] = later[0] if later else ordered[places[-1]] if places else names[0]
    return Donors(samples, owner)


@dataclass(frozen=True)
class Block:
    """Operands of a tile. left: (rows, inner), right: (inner, cols), FP16; mask: what is kept of `right`."""

    left: Values
    right: Values
    mask: NDArray[np.bool_]


def block_of(stratum: Stratum, sample: LayerSample, reduction: Reduction, rows: Ints, cols: Ints) -> Block:
    """Rows and columns of a product over a reduction, which may be shorter than the product's.

    A weight is masked by magnitude under the reduction's n:m, as SORE does; other operands and dense ones are whole.
    """
    op, length = stratum.op, reduction.segments * reduction.length
    whole = stratum.part.reduction
    elements = np.arange(length)
    if whole.segments > 1:  # a shortened reduction has fewer channels of every tap
        elements = elements // reduction.length * whole.length + elements % reduction.length
    if op.phase is Phase.WU:
        left, right = _weight_gradient(op, sample, rows, cols, elements, stratum.part.rows != op.rows)
    else:
        left, right = _with_weight(op, sample, _axes(op, sample, _first(stratum)), rows, cols, elements)
    return Block(
        left, right, masked(right, reduction) if op.right.pattern.is_grouped else np.ones(right.shape, np.bool_)
    )


def masked(right: Values, reduction: Reduction) -> NDArray[np.bool_]:
    """What SORE keeps of (inner, cols) weights."""
    split = right.reshape(reduction.segments, reduction.length, -1)
    return largest(split, reduction.n, reduction.m, 1).reshape(right.shape)


def _first(stratum: Stratum) -> tuple[int | None, ...]:
    """Where the input positions of a stride class begin; None where the product has all of them."""
    if stratum.op.geometry is None or stratum.part.rows == stratum.op.rows:
        return None, None
    return stratum.op.geometry.stride_classes()[stratum.part_index].first


def _with_weight(
    op: MatrixOp, sample: LayerSample, axes: Axes | None, rows: Ints, cols: Ints, elements: Ints
) -> tuple[Values, Values]:
    """FF and BP: elements of the reduction are taps times channels of the left operand."""
    taps = _taps(axes)
    channels = op.inner // (op.geometry.taps if op.geometry else 1)
    tap, channel = elements // channels, elements % channels
    left = _read(_tensor(sample, op.left), axes, rows, tap, channel)
    if op.right.role is not Role.WEIGHT:
        flat = _flat(_tensor(sample, op.right))
        return left, flat[cols[None, :] % len(flat), channel[:, None] % flat.shape[1]]
    weight = _kernel(sample)
    high, wide = (np.array(each) for each in zip(*taps, strict=True))
    kernel = high[tap % len(taps)][:, None] % weight.shape[2], wide[tap % len(taps)][:, None] % weight.shape[3]
    out, inside = (cols[None, :], channel[:, None]) if op.form is Phase.FF else (channel[:, None], cols[None, :])
    return left, weight[out % weight.shape[0], inside % weight.shape[1], *kernel]


def _weight_gradient(
    op: MatrixOp, sample: LayerSample, rows: Ints, cols: Ints, positions: Ints, exchanged: bool
) -> tuple[Values, Values]:
    """WU: elements of the reduction are positions; exchanged, the product is the transposed one."""
    inside, outside = (cols, rows) if exchanged else (rows, cols)
    channels = op.rows // (op.geometry.taps if op.geometry else 1)
    axes = _axes(op, sample)
    left = _read(_tensor(sample, op.left), axes, positions, inside // channels, inside % channels).T
    flat = _flat(_tensor(sample, op.right))
    right = flat[positions[:, None] % len(flat), outside[None, :] % flat.shape[1]]
    return (right.T, left.T) if exchanged else (left, right)


def _axes(op: MatrixOp, sample: LayerSample, first: tuple[int | None, ...] = (None, None)) -> Axes | None:
    """Both axes of a convolution on the sampled images; None where either is no convolution."""
    geometry, images = op.geometry, _tensor(sample, op.left)
    if geometry is None or images.ndim != 4:
        return None
    if op.form is not Phase.BP:
        return forward_axis(geometry, 0, images.shape[2]), forward_axis(geometry, 1, images.shape[3])
    return backward_axis(geometry, 0, images.shape[2], first[0]), backward_axis(geometry, 1, images.shape[3], first[1])


def _taps(axes: Axes | None) -> list[tuple[int, int]]:
    """The kernel positions of a product in the order of its reduction."""
    return [(high, wide) for high in axes[0].kernel for wide in axes[1].kernel] if axes else [(0, 0)]


def _read(values: Values, axes: Axes | None, positions: Ints, taps: Ints, channels: Ints) -> Values:
    if axes is not None:
        return seen(values, axes, positions, taps, channels)
    flat, most = _flat(values), int(taps.max(initial=0)) + 1
    found: Values = flat[(positions[:, None] * most + taps[None, :]) % len(flat), channels[None, :] % flat.shape[1]]
    return found


def _tensor(sample: LayerSample, operand: Operand) -> Values:
    if operand.role is Role.WEIGHT:
        return _kernel(sample)
    values = sample.input if operand.role is Role.ACTIVATION else sample.grad_output
    return values.astype(np.float16)


def _kernel(sample: LayerSample) -> Values:
    """(o, c, kh, kw), a linear layer's as one kernel position, rounded to FP16 as the products see it."""
    weight = sample.weight.astype(np.float16)
    return weight if weight.ndim == 4 else weight[:, :, None, None]


def _flat(values: Values) -> Values:
    """(positions, channels)."""
    return values if values.ndim == 2 else values.transpose(0, 2, 3, 1).reshape(-1, values.shape[1])
