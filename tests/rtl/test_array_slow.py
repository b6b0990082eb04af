"""What takes minutes: a hundred million operations a format, mode and dataflow, and real tiles on 32 x 32 PEs."""

from functools import cache

import numpy as np
import pytest
from safetensors import safe_open

from rtl.compiled_array import CompiledArray
from rtl.formats import FP16, Bits, encode
from rtl.packing import pack
from rtl.parameters import make_parameters
from rtl.timing import Reduction
from tests.rtl.cases import Tally, operands, random_mask, run_output_stationary, run_random, run_weight_stationary
from workloads.masks import largest
from workloads.pattern import parse_pattern
from workloads.shipped import shipped_path

pytestmark = pytest.mark.slow
OPERATIONS = 100_000_000
LAYERS = ("layer1.0.conv1", "layer1.1.conv1", "layer2.1.conv2", "layer3.1.conv2")


@cache
def array(form: str) -> CompiledArray:
    return CompiledArray(make_parameters(parse_pattern("2:8"), 8, 8, form, accumulators=4))


@pytest.mark.parametrize("dataflow", ["output", "weight"])
@pytest.mark.parametrize("mode", ["sparse", "dense"])
@pytest.mark.parametrize("form", ["fp16", "bf16", "int8"])
def test_a_hundred_million_operations(form: str, mode: str, dataflow: str) -> None:
    """Long reductions of ordinary values, and short ones of all bit patterns and all classes, both signs."""
    machine, rng, tally, number = array(form), np.random.default_rng(11), Tally(), 0
    p, (n, m) = machine.parameters, (2, 8) if mode == "sparse" else (8, 8)
    while tally.operations < OPERATIONS:
        kind = ("values", "values", "bits", "corners")[number % 4]
        number += 1
        length = m * (int(rng.integers(200, 400)) if kind == "values" else int(rng.integers(1, 3)))
        work = Reduction(1, length + int(rng.integers(m)), n, m)
        rows = p.rows * p.accumulators if dataflow == "output" else 64
        left = operands(p.operand, (rows, work.length), rng, kind)
        right = pack(operands(p.operand, (work.length, p.cols), rng, kind), random_mask(work, p.cols, rng), work)
        if dataflow == "output":
            run_output_stationary(machine, left, right, work, (p.accumulators, True), tally)
        else:
            run_weight_stationary(machine, left, right, work, tally)
    print(f"{form} {mode} {dataflow}: {tally}")
    assert tally.differences == (0, 0, 0)


@pytest.mark.parametrize("form", ["fp16", "bf16", "int8"])
def test_a_thousand_random_tiles(form: str) -> None:
    rng, tally = np.random.default_rng(12), Tally()
    while tally.tiles < 1000:
        run_random(array(form), rng, tally, ("values", "corners")[tally.tiles % 2], gaps=(0, 60)[tally.tiles % 3 == 2])
    print(f"{form}: {tally}")
    assert tally.differences == (0, 0, 0)


def patches(images: Bits) -> Bits:
    """(positions, 9 x channels) of (batch, channels, height, width): what a 3 x 3 kernel sees, padded with zeros."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = images.shape[2:]
    taps = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.stack([tap.transpose(0, 2, 3, 1).reshape(-1, images.shape[1]) for tap in taps], axis=1).reshape(
        -1, 9 * images.shape[1]
    )


def real_products(layer: str) -> dict[str, tuple[Bits, Bits]]:
    """Left and right operands of a captured layer's FF, BP and WU, FP16 bit patterns, reduction along the middle."""
    with safe_open(shipped_path("resnet18").with_suffix(".safetensors"), "np") as tensors:
        found = {name: tensors.get_tensor(f"{layer}/{name}") for name in ("input", "grad_output", "weight")}
    x, dy, w = (encode(found[name], FP16) for name in ("input", "grad_output", "weight"))
    channels = x.shape[1]
    backward = w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1).reshape(-1, w.shape[1])
    forward = w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0])
    update = (patches(x).T[: 2 * channels], dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1]))
    return {"FF": (patches(x), forward), "BP": (patches(dy), backward), "WU": update}


@cache
def large() -> CompiledArray:
    return CompiledArray(make_parameters(parse_pattern("2:16"), 32, 32, "fp16", accumulators=4))


@pytest.mark.parametrize("layer", LAYERS)
def test_real_tiles_of_resnet18(layer: str) -> None:
    """Sampled tensors of the shipped capture on 32 x 32 PEs: dense, 2:4, 2:8, 2:16 and 1:8, both dataflows."""
    machine, tally = large(), Tally()
    for phase, (left, right) in real_products(layer).items():
        segments = 1 if phase == "WU" else 9
        length = len(right) // segments
        for n, m in ((8, 8),) if phase == "WU" else ((8, 8), (2, 4), (2, 8), (2, 16), (1, 8)):
            mask = np.concatenate([largest(decoded(part), n, m, 0) for part in np.split(right[:, :32], segments)])
            packed, work = (
                pack(right[:, :32], mask, Reduction(segments, length, n, m)),
                Reduction(segments, length, n, m),
            )
            stationary = run_output_stationary(
                machine, left[:128], packed, work, (-(-len(left[:128]) // 32), True), tally
            )
            assert (run_weight_stationary(machine, left[:64], packed, work, tally) == stationary[:64]).all()
    print(f"{layer}: {tally}")
    assert tally.differences == (0, 0, 0)


def decoded(bits: Bits) -> np.ndarray:
    return bits.astype(np.uint16).view(np.float16)
