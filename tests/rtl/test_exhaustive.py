"""Blocks over everything that can go in, or a great deal of it (make rtl-exhaustive)."""

import numpy as np
import pytest

from rtl.divider import Divider, Root
from rtl.formats import BF16, FP16, FP32, INT8
from rtl.golden.units import add, divide, multiply, root, updated
from rtl.lanes import SoreParameters, UpdateParameters, constants
from rtl.multiply_add import Adder, Multiplier
from rtl.sore import Sore
from rtl.verilate import compiled
from rtl.wuve import Wuve
from tests.rtl.flow import Flow
from tests.rtl.lanes import check_groups, mixed
from tests.rtl.vectors import biased, rounding_cases

pytestmark = pytest.mark.slow
CHUNK = 32
SETTINGS = {"momentum": 0.9, "weight_decay": 5e-4, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


def test_all_products_of_fp16() -> None:
    unit = compiled(Multiplier(FP16, 0))
    right = np.tile(np.arange(1 << 16, dtype=np.uint16), CHUNK)
    seen = 0
    for start in range(0, 1 << 16, CHUNK):
        left = np.repeat(np.arange(start, start + CHUNK, dtype=np.uint16), 1 << 16)
        made = unit.run(a=left, b=right)["p"]
        assert not np.any(made != multiply(left, right, FP16)), f"operands from {start:x}"
        seen += len(made)
    assert seen == 1 << 32


def test_all_products_of_int8() -> None:
    left, right = (each.reshape(-1).astype(np.uint8) for each in np.meshgrid(np.arange(256), np.arange(256)))
    np.testing.assert_array_equal(compiled(Multiplier(INT8, 0)).run(a=left, b=right)["p"], multiply(left, right, INT8))


def test_sums_at_every_exponent_difference_and_rounding_case() -> None:
    """256 x 256 exponents, four signs, 400 fractions: 105 million sums."""
    unit, seen = compiled(Adder(FP32, 0)), 0
    rng = np.random.default_rng(1)
    for exponent in range(256):
        left, right = rounding_cases(exponent, 400, rng)
        made = unit.run(a=left, b=right)["p"]
        assert not np.any(made != add(left, right, FP32)), f"exponent {exponent}"
        seen += len(made)
    assert seen >= 100_000_000


@pytest.mark.parametrize("form", [BF16, FP32])
def test_thirty_million_rounded_products(form: object) -> None:
    unit, rng = compiled(Multiplier(form, 0)), np.random.default_rng(2)
    for _ in range(15):
        left, right = (np.concatenate([biased(form, 10**6, rng), _any(form, rng)]) for _ in range(2))
        np.testing.assert_array_equal(unit.run(a=left, b=right)["p"], multiply(left, right, form))


def test_twenty_million_quotients_and_roots() -> None:
    divider, rooter, rng = compiled(Divider(FP32, 0)), compiled(Root(FP32, 0)), np.random.default_rng(3)
    for _ in range(10):
        left, right = (np.concatenate([biased(FP32, 10**6, rng), _any(FP32, rng)]) for _ in range(2))
        np.testing.assert_array_equal(divider.run(a=left, b=right)["p"], divide(left, right, FP32))
        np.testing.assert_array_equal(rooter.run(a=left)["p"], root(left, FP32))


@pytest.mark.parametrize(("form", "n", "m"), [(FP16, 2, 8), (FP16, 8, 32), (BF16, 4, 16), (INT8, 8, 64)])
def test_four_million_values_through_sore(form: object, n: int, m: int) -> None:
    for keep in (n, n - 1):
        flow = Flow(Sore(SoreParameters(form, n, m)), keep=keep)
        for gaps, waits in ((0, 0), (64, 128)):
            check_groups(flow, form, keep, m, mixed(form, 10**6, gaps), gaps, waits)


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_four_million_weights_through_wuve(optimizer: str) -> None:
    parameters, rng = UpdateParameters(optimizer), np.random.default_rng(4)
    names = ["weight", "gradient", *parameters.state]
    for step in range(1, 5):
        by = constants(optimizer, SETTINGS | {"step": 10**step, "learning_rate": 10.0**-step})
        flow = Flow(
            Wuve(parameters), constants=sum(by[name] << 32 * at for at, name in enumerate(parameters.constants))
        )
        fields = {name: np.concatenate([biased(FP32, 500_000, rng), _usual(rng)]) for name in names}
        wanted = updated(parameters, fields, by)
        made, _ = flow.run(fields, 10**6, gaps=16 * step, waits=16 * step)
        for name, each in made.items():
            np.testing.assert_array_equal(each, wanted[name], name)


def _usual(rng: np.random.Generator) -> np.ndarray:
    """Sizes that weights, gradients and their squares have."""
    values = rng.standard_normal(500_000) * 2.0 ** rng.integers(-30, 1, 500_000)
    return values.astype(np.float32).view(np.uint32)


def _any(form: object, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1 << form.bits, 10**6).astype(np.uint16 if form is BF16 else np.uint32)
