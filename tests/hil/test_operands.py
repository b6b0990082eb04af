"""Operands of tiles against autograd: a layer of exactly the sampled size, all rows and columns of its products."""

import numpy as np
import pytest

from dataflows.systolic.lowering import lower
from rtl.timing import Reduction
from simulator.arch.machine import load_machine
from simulator.hil.chains import LONGEST, shortened
from simulator.hil.operands import block_of
from simulator.hil.strata import Stratum
from simulator.schedule import ArrayPart
from workloads.conv import ConvGeometry
from workloads.masks import group_mask
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, parse_pattern
from workloads.samples import LayerSample


def sample_of(geometry: ConvGeometry, images: int) -> tuple[LayerSample, dict[str, np.ndarray]]:
    """A layer with random values, and what autograd says of it."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x = rng.integers(-4, 5, (images, geometry.in_channels, *geometry.input_size)).astype(np.float32)
    w = rng.integers(-4, 5, (geometry.out_channels, geometry.in_channels, *geometry.kernel)).astype(np.float32)
    dy = rng.integers(-4, 5, (images, geometry.out_channels, *geometry.output_size)).astype(np.float32)
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    y = torch.nn.functional.conv2d(tx, tw, None, geometry.stride, geometry.padding, geometry.dilation)
    y.backward(torch.tensor(dy))
    sample = LayerSample("layer", w, w, w, x.astype(np.float16), dy.astype(np.float16), {})
    return sample, {"FF": y.detach().numpy(), "BP": tx.grad.numpy(), "WU": tw.grad.numpy()}


def op_of(geometry: ConvGeometry, images: int, phase: Phase, pattern: str = "dense") -> MatrixOp:
    g, taps = geometry, geometry.taps
    positions = images * g.output_positions
    rows, inner, cols = {
        Phase.FF: (positions, taps * g.in_channels, g.out_channels),
        Phase.BP: (images * g.input_positions, taps * g.out_channels, g.in_channels),
        Phase.WU: (taps * g.in_channels, positions, g.out_channels),
    }[phase]
    left = Role.GRADIENT if phase is Phase.BP else Role.ACTIVATION
    right = Role.GRADIENT if phase is Phase.WU else Role.WEIGHT
    chosen = DENSE if pattern == "dense" else parse_pattern(pattern)
    return MatrixOp(
        "layer", phase, rows, inner, cols, Operand("l", left), Operand("r", right, chosen), 1, geometry, images
    )


def strata(op: MatrixOp, *settings: str) -> list[Stratum]:
    how = load_machine("sat", settings).spec.lowering
    return [
        Stratum(0, at, op, ArrayPart("any", each.rows, each.cols, 1, each.reduction, 1, True, 0, 0))
        for at, each in enumerate(lower(op, how, 2, 4))
    ]


GEOMETRIES = {
    "3x3": ConvGeometry(4, 6, (3, 3), (1, 1), (1, 1), (6, 6)),
    "3x3 stride 2": ConvGeometry(4, 6, (3, 3), (2, 2), (1, 1), (6, 6)),
    "1x1 stride 2": ConvGeometry(4, 6, (1, 1), (2, 2), (0, 0), (6, 6)),
    "5x3 dilated": ConvGeometry(3, 5, (5, 3), (1, 1), (4, 1), (8, 6), (2, 1)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("settings", [(), ("lowering.skip_stride_zeros=false",), ("lowering.exchange_wu=true",)])
def test_all_three_products_are_autograds(name: str, settings: tuple[str, ...]) -> None:
    geometry, images = GEOMETRIES[name], 2
    sample, truth = sample_of(geometry, images)
    for phase in (Phase.FF, Phase.BP, Phase.WU):
        op, out = op_of(geometry, images, phase), np.zeros(0)
        whole = np.zeros_like(truth[phase.value])
        for stratum in strata(op, *settings):
            rows, cols = np.arange(stratum.part.rows), np.arange(stratum.part.cols)
            block = block_of(stratum, sample, stratum.part.reduction, rows, cols)
            assert block.mask.all()
            out = block.left.astype(np.float64) @ block.right.astype(np.float64)
            put(whole, out, stratum, geometry, images)
        assert (whole == truth[phase.value]).all(), phase


def put(whole: np.ndarray, out: np.ndarray, stratum: Stratum, geometry: ConvGeometry, images: int) -> None:
    """A product where it belongs in the layer's tensor."""
    op, channels = stratum.op, whole.shape[1]
    if op.phase is Phase.WU:
        exchanged = stratum.part.rows != op.rows
        taps = (out.T if exchanged else out).reshape(*geometry.kernel, channels, whole.shape[0])
        whole[...] = taps.transpose(3, 2, 0, 1)
        return
    first, step = (0, 0), (1, 1)
    if stratum.part.rows != op.rows:
        first, step = geometry.stride_classes()[stratum.part_index].first, geometry.stride
    part = whole[:, :, first[0] :: step[0], first[1] :: step[1]]
    part[...] = out.reshape(images, *part.shape[2:], channels).transpose(0, 3, 1, 2)


@pytest.mark.parametrize(("phase", "axis"), [(Phase.FF, 1), (Phase.BP, 0)])
def test_masks_are_those_of_training(phase: Phase, axis: int) -> None:
    """Groups along input channels forward, along output channels backward, inside a kernel position."""
    geometry = ConvGeometry(8, 8, (3, 3), (1, 1), (1, 1), (6, 6))
    sample, _ = sample_of(geometry, 1)
    stratum = strata(op_of(geometry, 1, phase, "2:4"))[0]
    rows, cols = np.arange(stratum.part.rows), np.arange(8)
    block = block_of(stratum, sample, stratum.part.reduction, rows, cols)
    mask = group_mask(sample.weight.astype(np.float16), parse_pattern("2:4"), axis)
    if phase is Phase.BP:
        mask = mask[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    assert (block.mask == mask.transpose(2, 3, 1, 0).reshape(-1, 8)).all()


def test_a_long_reduction_keeps_its_taps_and_its_tail() -> None:
    long = Reduction(9, 515, 2, 8)
    short = shortened(long)
    assert (short.segments, short.length % 8, short.n, short.m) == (9, 3, 2, 8)
    assert short.segments * short.length <= LONGEST + 9 * 7
    assert shortened(short) == short or short.segments * short.length > LONGEST
    assert shortened(long._replace(length=64)) == long._replace(length=64)
