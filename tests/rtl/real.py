"""Products of real tensors: sampled blocks of the shipped resnet18 capture, in all three phases."""

import numpy as np
from safetensors import safe_open

from rtl.formats import FP16, Bits, encode, pack
from rtl.in_process import CompiledArray
from rtl.timing import Reduction
from tests.rtl.cases import Tally, run_output_stationary, run_weight_stationary
from workloads.masks import largest
from workloads.shipped import shipped_path

LAYERS = ("layer1.0.conv1", "layer1.1.conv1", "layer2.1.conv2", "layer3.1.conv2")


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


def run_real(machine: CompiledArray, layer: str, patterns: tuple[tuple[int, int], ...], tally: Tally) -> None:
    """FF and BP of a layer under every pattern, WU dense, one tile each; both dataflows give the same sums."""
    p = machine.parameters
    for phase, (left, right) in real_products(layer).items():
        segments = 1 if phase == "WU" else 9
        length, weights = len(right) // segments, right[:, : p.cols]
        interleave = min(p.accumulators, -(-len(left) // p.rows))
        rows = left[: p.rows * interleave]
        for n, m in patterns[:1] if phase == "WU" else patterns:
            work = Reduction(segments, length, n, m)
            kept = [largest(part.view(np.float16), n, m, 0) for part in np.split(weights, segments)]
            packed = pack(weights, np.concatenate(kept), work)
            sums = run_output_stationary(machine, rows, packed, work, (interleave, True), tally)
            assert (run_weight_stationary(machine, rows, packed, work, tally) == sums).all()
