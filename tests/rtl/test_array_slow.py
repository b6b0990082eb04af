"""What takes minutes: a hundred million operations a format, mode and dataflow, and real tiles on 32 x 32 PEs."""

from functools import cache

import numpy as np
import pytest

from rtl.formats import pack
from rtl.in_process import CompiledArray
from rtl.parameters import make_parameters
from rtl.timing import Reduction
from tests.rtl.cases import (
    Tally,
    operands,
    random_mask,
    random_work,
    run_output_stationary,
    run_random,
    run_weight_stationary,
)
from tests.rtl.real import LAYERS, run_real
from tests.rtl.vectors import corners
from workloads.pattern import parse_pattern

pytestmark = pytest.mark.slow
OPERATIONS = 100_000_000
ONE = Reduction(1, 1, 1, 1)


@cache
def array(form: str) -> CompiledArray:
    deep = {"row_depth": 1 << 14, "column_depth": 1 << 14, "results": 1 << 14}  # long reductions in one run
    return CompiledArray(make_parameters(parse_pattern("2:8"), 8, 8, form, accumulators=4, **deep))


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


@pytest.mark.parametrize("form", ["fp16", "bf16", "int8"])
def test_every_class_with_every_class(form: str) -> None:
    """Operand, weight and the sum they are added to: every triple of zero, subnormal, normal, infinity, NaN; signs."""
    machine, tally = array(form), Tally()
    p = machine.parameters
    values, sums = corners(p.operand), corners(p.accumulator)
    outputs = p.rows * p.accumulators
    for at in range(0, len(values), p.cols):
        weights = np.resize(values[at : at + p.cols], p.cols)[None]
        for first in range(0, len(values), outputs):
            left = np.resize(values[first : first + outputs], outputs)[:, None]
            for turn in range(len(sums)):
                seeds = sums[(np.arange(outputs * p.cols).reshape(outputs, p.cols) + turn) % len(sums)]
                right, work = pack(weights, np.ones(weights.shape, bool), ONE), ONE
                run_output_stationary(machine, left, right, work, (p.accumulators, True), tally, seeds=seeds)
        # down the column only one row's weight is not zero, so that nothing else happens to the sum
        row, work = at // p.cols % p.rows, Reduction(p.rows, 1, 1, 1)
        column = np.zeros((p.rows, p.cols), weights.dtype)
        column[row] = weights
        left = np.ones((len(values) * len(sums), p.rows), weights.dtype)
        left[:, row] = np.repeat(values, len(sums))
        seeds = np.tile(sums[:, None], (len(values), p.cols))
        run_weight_stationary(machine, left, pack(column, column == column, work), work, tally, seeds=seeds)
    print(f"{form}: {tally}")
    assert tally.differences == (0, 0, 0)


@pytest.mark.parametrize("form", ["fp16", "bf16", "int8"])
def test_sparse_equals_dense_on_masked_weights(form: str) -> None:
    """Five hundred products of any pattern and finite operands, four ways: n:m and g:g, both dataflows."""
    machine, rng, tally = array(form), np.random.default_rng(13), Tally()
    p = machine.parameters
    for _ in range(500):
        work = random_work(p, rng)
        inner, interleave = work.segments * work.length, int(rng.integers(1, p.accumulators + 1))
        left = operands(p.operand, (int(rng.integers(1, p.rows * interleave + 1)), inner), rng)
        weights = operands(p.operand, (inner, int(rng.integers(1, p.cols + 1))), rng)
        mask, depth = random_mask(work, weights.shape[1], rng), int(rng.integers(1, p.weights + 1))
        dense = work._replace(n=depth, m=depth)
        whole = pack(np.where(mask, weights, 0).astype(weights.dtype), mask | True, dense)
        found = [
            run_weight_stationary(machine, left, right, each, tally)
            if stationary
            else run_output_stationary(machine, left, right, each, (interleave, True), tally)
            for right, each in ((pack(weights, mask, work), work), (whole, dense))
            for stationary in (False, True)
        ]
        assert all((each == found[0]).all() for each in found)
    print(f"{form}: {tally}")
    assert tally.differences == (0, 0, 0)


@cache
def large() -> CompiledArray:
    return CompiledArray(make_parameters(parse_pattern("2:16"), 32, 32, "fp16", accumulators=4))


@pytest.mark.parametrize("layer", LAYERS)
def test_real_tiles_of_resnet18(layer: str) -> None:
    """Sampled tensors of the shipped capture on 32 x 32 PEs: dense, 2:4, 2:8, 2:16 and 1:8, both dataflows."""
    tally = Tally()
    run_real(large(), layer, ((8, 8), (2, 4), (2, 8), (2, 16), (1, 8)), tally)
    print(f"{layer}: {tally}")
    assert tally.differences == (0, 0, 0)
