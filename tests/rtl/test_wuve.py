"""WUVE against its golden model, and both against the updates that training recorded, bit for bit."""

import numpy as np
import pytest

from rtl.divider import Narrower
from rtl.formats import BF16, FP16, FP32, Bits, Format, decode
from rtl.golden.units import narrow, updated
from rtl.lanes import UpdateParameters, constants
from rtl.verilate import compiled
from rtl.wuve import Wuve
from tests.machines import MACHINES
from tests.rtl.flow import Flow
from tests.rtl.vectors import biased, corners
from workloads.errors import UserError
from workloads.samples import read_sample, sampled_layers, update_settings
from workloads.shipped import load_shipped

SAT = MACHINES["sat"]
MODELS = {"momentum": "resnet18", "adamw": "vit-s"}
_LANES: dict[tuple[UpdateParameters, tuple[int, ...]], Flow] = {}


def lane(parameters: UpdateParameters, by: dict[str, int]) -> Flow:
    key = parameters, tuple(by.values())
    if key not in _LANES:
        steady = sum(by[name] << 32 * place for place, name in enumerate(parameters.constants))
        _LANES[key] = Flow(Wuve(parameters), constants=steady)
    return _LANES[key]


def recorded(optimizer: str) -> tuple[dict[str, float], dict[str, Bits], Bits]:
    """(settings, fields before the step, weights after it) of every sampled block of a shipped model."""
    path = load_shipped(MODELS[optimizer]).tensors
    assert path is not None
    samples = [read_sample(path, layer) for layer in sampled_layers(path)]

    def joined(parts: list[np.ndarray]) -> Bits:
        return np.concatenate([np.asarray(part, np.float32).reshape(-1) for part in parts]).view(np.uint32)

    fields = {"weight": joined([s.weight for s in samples]), "gradient": joined([s.weight_gradient for s in samples])}
    fields |= {name: joined([s.state[name] for s in samples]) for name in samples[0].state}
    return update_settings(path), fields, joined([s.weight_after for s in samples])


def extremes(names: list[str], count: int) -> dict[str, Bits]:
    """Values of every class and size, for each field by itself."""
    rng = np.random.default_rng(count)
    choices = corners(FP32)
    return {
        name: np.where(rng.integers(0, 4, count) > 0, biased(FP32, count, rng), rng.choice(choices, count))
        for name in names
    }


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_weights_after_a_step_are_the_recorded_ones(optimizer: str) -> None:
    settings, fields, after = recorded(optimizer)
    parameters, by = UpdateParameters(optimizer), constants(optimizer, settings)
    np.testing.assert_array_equal(updated(parameters, fields, by)["weight"], after)
    made, cycles = lane(parameters, by).run(fields, len(after))
    np.testing.assert_array_equal(made["weight"], after)
    halves = decode(after, FP32).astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(made["operand"], halves)
    assert SAT.wuve is not None  # the machine file says what a lane takes
    latency = {"momentum": SAT.wuve.momentum_latency_cycles, "adamw": SAT.wuve.adamw_latency_cycles}[optimizer]
    assert cycles == len(after) + latency  # a weight a cycle, and once through the pipeline


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_extreme_values_with_gaps_and_waits(optimizer: str) -> None:
    parameters = UpdateParameters(optimizer)
    by = constants(optimizer, recorded(optimizer)[0])
    fields = extremes(["weight", "gradient", *parameters.state], 5000)
    wanted = updated(parameters, fields, by)
    for gaps, waits in ((0, 0), (90, 0), (0, 90), (128, 128)):
        made, _ = lane(parameters, by).run(fields, 5000, gaps, waits, seed=gaps + waits + 1)
        for name, each in made.items():
            np.testing.assert_array_equal(each, wanted[name], name)


def test_what_is_handed_on_rounds_to_nearest_even() -> None:
    """FP32 to FP16 and BF16: subnormals, ties, overflow and NaN."""
    edges = np.array(
        [65519, 65520, 2**-24, 2**-25, 2**-25 * 1.0001, 3 * 2**-25, 1 + 2**-11, 1 + 3 * 2**-11], np.float32
    )
    values = np.concatenate([edges.view(np.uint32), corners(FP32), biased(FP32, 100_000, np.random.default_rng(1))])
    forms: tuple[Format, ...] = (FP16, BF16)
    for form in forms:
        made = compiled(Narrower(form, 0)).run(a=values)["p"]
        np.testing.assert_array_equal(made, narrow(values, form))
    halves = decode(narrow(values[:8], FP16), FP16)
    assert halves.tolist() == [65504, np.inf, 2**-24, 0, 2**-24, 2**-23, 1, 1 + 2**-9]


def test_impossible_lanes_are_refused() -> None:
    with pytest.raises(UserError, match=r"WUVE: unknown optimizer 'adam'; did you mean 'adamw'\? \(known: adamw, mom"):
        UpdateParameters("adam")
    with pytest.raises(UserError, match="WUVE: weights cannot be handed on as int8; allowed are fp16 and bf16"):
        UpdateParameters("momentum", "int8")
