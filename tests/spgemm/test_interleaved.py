"""The event model beside a run in which every instruction takes its turn."""

import numpy as np
import pytest

from dataflows.spgemm.interleaved import compare
from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.smash import V1, V2, V3, Smash
from simulator.arch.machine import load_machine
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix

MEASURED = 0.06  # the largest error of the study at the values of the machine's file, rounded up
STRESSED = 0.14  # the same where one resource is scarce
MATRICES = ("rmat:7:8", "uniform:64x64:0.3", "banded:128:4")


@pytest.mark.parametrize("kernel", [V1, V2, V3], ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("text", MATRICES)
def test_cycles_products_and_instructions_agree(text: str, kernel: Smash) -> None:
    matrix = read_matrix(text)
    found, rows = compare(SparseProduct(matrix, matrix), load_machine("piuma").spec, kernel, FabricOptions())
    assert abs(found.error) < MEASURED
    assert found.instructions[0] == pytest.approx(found.instructions[1], rel=0.01)
    assert found.probes[0] == pytest.approx(found.probes[1], rel=0.02)
    wanted = matrix.to_scipy() @ matrix.to_scipy()
    wanted.sort_indices()
    got = rows.matrix(wanted.shape)
    np.testing.assert_array_equal(got.indices, wanted.indices)
    np.testing.assert_allclose(got.values, wanted.data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "setting",
    [
        "atomic.ops_per_cycle=0.25",
        "scratchpad.banks=1",
        "dram.channel_bandwidth_gb_s=0.5",
        "dram.latency_ns=10",
        "pipeline.loads_in_flight=4",
    ],
)
def test_where_a_resource_is_scarce(setting: str) -> None:
    matrix = read_matrix("uniform:64x64:0.3")
    for kernel in (V1, V2, V3):
        arch = load_machine("piuma", (setting,)).spec
        assert abs(compare(SparseProduct(matrix, matrix), arch, kernel, FabricOptions())[0].error) < STRESSED


@pytest.mark.parametrize("in_flight", [1, 2, 4, 8])
def test_loads_in_flight_mean_the_same_in_both(in_flight: int) -> None:
    """One thread, which nobody delays: it waits for the same loads in both models."""
    matrix = read_matrix("rmat:6:8")
    settings = (f"pipeline.loads_in_flight={in_flight}", "pipeline.mtps=1", "pipeline.threads_per_mtp=1")
    for kernel in (V1, V2, V3):
        arch = load_machine("piuma", settings).spec
        found, _ = compare(SparseProduct(matrix, matrix), arch, kernel, FabricOptions())
        assert abs(found.error) < (1e-9 if in_flight == 1 else 0.004)


def test_split_rows_and_other_hashes() -> None:
    matrix = read_matrix("rmat:6:8")
    for options in (FabricOptions(slots=16, hash="low-bits"), FabricOptions(slots=64, hash="high-bits", deal="pieces")):
        for kernel in (V1, V3):
            found, rows = compare(SparseProduct(matrix, matrix), load_machine("piuma").spec, kernel, options)
            assert rows.matrix((64, 64)).nonzeros == (matrix.to_scipy() @ matrix.to_scipy()).nnz
            assert found.instructions[0] == pytest.approx(found.instructions[1], rel=0.05)
