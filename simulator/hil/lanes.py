"""SORE and WUVE in the loop: masks and updates of sampled real tensors, held against what training made of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtl.formats import FP32, Bits, encode
from rtl.hardware import Hardware, Unconfirmed
from rtl.lanes import Lanes, UpdateParameters, constants
from simulator.hil.operands import Donors
from simulator.hil.outcome import CONFIRMED, DIFFERS, UNCONFIRMED
from simulator.hil.strata import Stratum
from workloads.masks import largest
from workloads.samples import LayerSample


@dataclass(frozen=True)
class LaneOutcome:
    """One block of real values through one lane. what: the phase and pattern of a mask, or the optimizer.

    values: that went in. bits: that came out and were compared. ties: groups in which the last kept value and the
    first dropped one are of the same magnitude.
    """

    lane: str
    layer: str
    what: str
    values: int
    bits: int
    wrong_bits: int
    ties: int
    status: str
    difference: str = ""


def lanes_checked(
    donors: Donors, settings: Mapping[str, float], strata: Iterable[Stratum], hardware: Hardware, lanes: Lanes
) -> list[LaneOutcome]:
    """All sampled blocks through the lanes that there are, under every pattern of the step."""
    samples = list(donors.samples.values())
    grouped = [stratum.op.right.pattern for stratum in strata if stratum.op.right.pattern.is_grouped]
    patterns = sorted({(pattern.n, pattern.m) for pattern in grouped})
    found = list(masks_checked(samples, patterns, hardware)) if lanes.sore else []
    if lanes.optimizer and lanes.optimizer == optimizer_lane(settings):
        found += updates_checked(samples, settings, hardware)
    return found


def masks_checked(
    samples: Iterable[LayerSample], patterns: Sequence[tuple[int, int]], hardware: Hardware
) -> Iterator[LaneOutcome]:
    """Every block's weights through SORE: groups along input channels (FF) and along output channels (BP).

    What has to come out are the weights under the mask of `workloads.masks`, the one that training makes, of floats.
    """
    form = hardware.parameters.operand
    for sample in samples:
        weight = encode(sample.weight, form)
        for n, m in patterns:
            for phase, axis in (("FF", 1), ("BP", 0)):
                lines, kept = _lines(weight, axis), _lines(largest(weight, n, m, axis), axis)
                yield _masked(sample.layer, f"{phase} {n}:{m}", lines, kept, (n, m), hardware)


def _masked(
    layer: str, what: str, lines: Bits, kept: NDArray[np.bool_], pattern: tuple[int, int], hardware: Hardware
) -> LaneOutcome:
    n, m = pattern
    about = ("SORE", layer, what, lines.size, _ties(lines, n, m))
    runs = [lines.reshape(-1)] if lines.shape[1] % m == 0 else list(lines)  # no group goes on in the next line
    try:
        made = [hardware.top_n(run, n, m) for run in runs]
    except Unconfirmed as error:
        return LaneOutcome(*about[:4], 0, 0, about[4], UNCONFIRMED, str(error))
    bits, where = hardware.parameters.operand.bits, np.nonzero(kept)
    values, indices = (np.concatenate(part).astype(np.uint32) for part in zip(*made, strict=True))
    wanted: Bits = lines[where].astype(np.uint32) | (where[1] % m).astype(np.uint32) << np.uint32(bits)
    got: Bits = values | indices << np.uint32(bits)
    return _compared(about, len(wanted) * (bits + max(1, (m - 1).bit_length())), got, wanted)


def updates_checked(
    samples: Iterable[LayerSample], settings: Mapping[str, float], hardware: Hardware
) -> Iterator[LaneOutcome]:
    """Every block's update through WUVE: the weights that the training run had after it, and the operands they become.

    The settings are those of an optimizer that has a lane; operands are floats.
    """
    form, optimizer = hardware.parameters.operand, optimizer_lane(settings)
    for sample in samples:
        lane = UpdateParameters(optimizer, hardware.parameters.format)
        fields = {"weight": sample.weight, "gradient": sample.weight_gradient, **sample.state}
        bits = {name: encode(each.reshape(-1), FP32) for name, each in fields.items()}
        after = sample.weight_after.reshape(-1)
        about = ("WUVE", sample.layer, optimizer, after.size, 0)
        try:
            made = hardware.updated(lane, bits, constants(optimizer, settings))
        except Unconfirmed as error:
            yield LaneOutcome(*about[:4], 0, 0, 0, UNCONFIRMED, str(error))
            continue
        wanted = np.concatenate([encode(after, FP32), encode(after, form).astype(np.uint32)])
        got = np.concatenate([made["weight"].astype(np.uint32), made["operand"].astype(np.uint32)])
        yield _compared(about, (32 + form.bits) * after.size, got, wanted)


def optimizer_lane(settings: Mapping[str, float]) -> str:
    """The lane's name for the optimizer that has these settings; empty where there is none."""
    return "adamw" if "beta1" in settings else "momentum" if "momentum" in settings else ""


def _compared(about: tuple[str, str, str, int, int], bits: int, got: Bits, wanted: Bits) -> LaneOutcome:
    lane, layer, what, values, ties = about
    if got.shape != wanted.shape:
        said = f"{len(got)} values came out, wanted {len(wanted)}"
        return LaneOutcome(lane, layer, what, values, bits, bits, ties, DIFFERS, said)
    differing = np.bitwise_count(got ^ wanted)
    said = ""
    if differing.any():
        first = int(np.flatnonzero(differing)[0])
        said = f"value {first}: {int(got[first]):#010x}, wanted {int(wanted[first]):#010x}"
    wrong = int(differing.sum())
    return LaneOutcome(lane, layer, what, values, bits, wrong, ties, DIFFERS if said else CONFIRMED, said)


def _lines(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """(lines, length): runs of values along an axis, one for every other index."""
    return np.ascontiguousarray(np.moveaxis(values, axis, -1)).reshape(-1, values.shape[axis])


def _ties(lines: Bits, n: int, m: int) -> int:
    """Groups where the n-th largest magnitude is also that of a value that is dropped."""
    magnitudes = lines.astype(np.int64) & ((1 << 8 * lines.itemsize - 1) - 1)
    ranked = -np.sort(-magnitudes[:, : lines.shape[1] // m * m].reshape(-1, m), axis=1)
    return int((ranked[:, n - 1] == ranked[:, n]).sum()) if n < m else 0
