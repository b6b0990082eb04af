"""The program that goes with an exported array, which knows its manifest alone, beside what the simulator sends."""

import importlib.util
import json
from types import ModuleType

import numpy as np
import pytest

from rtl.exported import array
from rtl.exported.array import export
from rtl.formats import pack
from rtl.golden.products import sparse_product
from rtl.parameters import Parameters, make_parameters
from rtl.run import run_bits
from rtl.tiles import output_stationary_tile
from rtl.timing import Reduction
from workloads.pattern import parse_pattern

ARRAYS = [("2:4", 2, 3, "int8", 3), ("2:8", 2, 2, "fp16", 5), ("1:3", 3, 1, "bf16", 2), ("dense", 1, 2, "fp16", 1)]


@pytest.fixture(scope="module")
def product() -> ModuleType:
    spec = importlib.util.spec_from_file_location("product", array.BENCH / "product.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def array_of(shape: tuple[str, int, int, str, int]) -> Parameters:
    pattern, rows, cols, form, accumulators = shape
    return make_parameters(parse_pattern(pattern), rows, cols, form, accumulators=accumulators)


@pytest.mark.parametrize("shape", ARRAYS, ids=lambda shape: f"{shape[0]} {shape[3]}")
def test_a_run_is_the_one_that_the_simulator_sends(product: ModuleType, shape: tuple[str, int, int, str, int]) -> None:
    p, numbers = array_of(shape), np.random.default_rng(5)
    told = product.Array(json.loads(export(p, "")["manifest.json"]))
    for inner in (3 * p.m, 2 * p.m + max(1, p.m // 2)):
        left = told.encode(20 * numbers.standard_normal((p.rows * p.accumulators - (p.rows > 1), inner)))
        right = told.encode(20 * numbers.standard_normal((inner, p.cols)))
        mask, work = told.largest(right), Reduction(1, inner, p.n, p.m)
        packed = pack(right, mask, work)
        tile = output_stationary_tile(p, left, packed, work, p.accumulators)
        (run,) = told.runs(left, right, mask)
        assert (run.word, run.cycles) == (run_bits(tile.run), tile.cycles)
        assert (run.west, run.north) == (tile.west, tile.north)
        np.testing.assert_array_equal(told.product(left, right, mask), sparse_product(left, packed, p.operand))


def test_a_long_reduction_is_cut_where_the_memories_end(product: ModuleType) -> None:
    p = array_of(ARRAYS[0])
    told = product.Array(json.loads(export(p, "")["manifest.json"]))
    right = told.encode(np.ones((4 * p.row_depth, 1)))
    runs = list(told.runs(told.encode(np.ones((1, len(right)))), right, told.largest(right)))
    assert [each.drains for each in runs] == [False] * (len(runs) - 1) + [True]
    assert max(len(each.west[0]) for each in runs) <= p.row_depth
    assert sum(len(each.north[0]) for each in runs) == len(right) // 2
    assert max(len(each.north[0]) for each in runs) <= p.column_depth


def test_a_mask_that_keeps_too_few_is_refused(product: ModuleType) -> None:
    told = product.Array(json.loads(export(array_of(ARRAYS[0]), "")["manifest.json"]))
    ones = told.encode(np.ones((4, 1)))
    with pytest.raises(ValueError, match="every group of 4 weights of a column must keep 2"):
        list(told.runs(ones.T, ones, np.zeros((4, 1), bool)))
