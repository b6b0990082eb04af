"""Nothing is lost: products, instructions, bytes, threads' time; and more of anything is what it should be."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataflows.spgemm.compiler import multiply
from dataflows.spgemm.dealt import dealt_stage
from dataflows.spgemm.kernel import Collector, Kernel, Tally, Task
from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.results import CHIPS, on_chips, pipeline_cycles
from dataflows.spgemm.smash import V1, V3
from simulator.arch.machine import load_machine
from simulator.fabric.outcome import FabricTiming, Spent
from simulator.fabric.program import Instruction, Move, Phase, Stage
from simulator.fabric.rates import TICKS, Rates
from simulator.fabric.run import FabricRun
from simulator.machines.piuma import FabricArch
from tests.spgemm.products import products
from tests.spgemm.test_equality import EVERY, IDS, PIUMA, SMALL, USUAL, multiplied, options, reference
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix

relaxed = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kernel", EVERY, ids=IDS)
@relaxed
@given(products(), options, st.sampled_from([1, 2]), st.sampled_from([1, 3]))
def test_everything_adds_up(
    kernel: Kernel, product: SparseProduct, chosen: FabricOptions, chips: int, loads: int
) -> None:
    arch = replace(SMALL, chips=chips, pipeline=replace(SMALL.pipeline, loads_in_flight=loads))
    found, done = multiplied(product, kernel, chosen, arch)
    timing, tally = done.timing, done.tally
    assert tally.multiplies == product.multiplies
    assert tally.stored == found.nonzeros == tally.claims == reference(product).nnz
    pointers, rest = divmod(timing.traffic["dram.write", "result"] - 16 * tally.stored, 8)
    assert rest == 0 and (pointers == product.left.rows if not tally.split_rows else pointers > product.left.rows)
    assert sum(timing.spent.values()) == timing.threads * timing.ticks  # no thread is lost
    assert min(timing.spent.values()) >= 0
    assert 0 <= timing.load_ticks <= timing.spent[Spent.MEMORY]
    assert timing.spent[Spent.ISSUE] == sum(timing.instructions) * TICKS
    assert all(0 <= share <= 1 + 1e-9 for share in timing.used.values())
    cycles = -(-timing.ticks // TICKS)
    stalls = pipeline_cycles(timing, cycles, arch)
    assert min(stalls.values(), default=0) >= 0 and sum(stalls.values()) <= cycles
    _bytes_add_up(timing, Rates(arch).access_bytes)
    _threads_at_work_add_up(timing, arch)


def _bytes_add_up(timing: FabricTiming, word: int) -> None:
    """Bytes by tensor are those of threads' and serial words, and of the DMA engines."""
    moved = sum(size for (kind, _), size in timing.traffic.items() if kind.startswith("dram"))
    assert moved == sum(record.size_bytes for record in timing.records)
    words = timing.instructions[Instruction.LOAD] + timing.instructions[Instruction.STORE]
    words += 2 * timing.instructions[Instruction.REMOTE_ATOMIC]
    serial = moved - timing.moves - words * word
    assert 0 <= serial <= 2 * timing.serial_instructions * word


def _threads_at_work_add_up(timing: FabricTiming, arch: FabricArch) -> None:
    """A run's own row is what it counted; more chips never need fewer threads at work, nor more than loads alone."""
    own, *others = on_chips(timing, arch)
    worked = timing.threads * timing.ticks - timing.spent[Spent.IDLE]
    assert own["at_work"] * timing.ticks == pytest.approx(worked, abs=1e-3 * timing.ticks)
    assert (own["chips"], own["threads"]) == (arch.chips, timing.threads)
    assert [each["chips"] for each in others] == [each for each in CHIPS if each != arch.chips]
    for fewer, more in pairwise(sorted((own, *others), key=lambda each: each["chips"])):
        assert 0 <= fewer["at_work"] <= more["at_work"]
        assert more["at_work"] * fewer["load_cycles"] <= fewer["at_work"] * more["load_cycles"] + 1e-3


@relaxed
@given(products(), options)
def test_probes_add_up(product: SparseProduct, chosen: FabricOptions) -> None:
    for kernel in (V1, V3):
        _, done = multiplied(product, kernel, chosen)
        lengths = done.tally.lengths
        assert lengths.sum() == product.multiplies
        assert done.tally.steps >= (lengths * np.arange(1, len(lengths) + 1)).sum()
        assert all(0 <= share <= 1 for share in done.tally.occupancy)
        assert done.timing.instructions[Instruction.ATOMIC] >= product.multiplies + done.tally.steps


def test_a_table_smaller_than_a_row_splits_the_row() -> None:
    matrix = read_matrix("rmat:8:16")
    product = SparseProduct(matrix, matrix)
    for kernel in (V1, V3):
        for slots in (32, 128):
            _, done = multiplied(product, kernel, FabricOptions(slots=slots, fill=1.0))
            assert done.tally.split_rows == int((np.minimum(product.row_multiplies(), matrix.cols) > slots).sum()) > 0
            assert max(done.tally.occupancy) <= 1
            assert done.tally.multiplies == product.multiplies


def test_never_faster_than_its_floors() -> None:
    matrix = read_matrix("rmat:9:8")
    product = SparseProduct(matrix, matrix)
    for kernel in EVERY:
        _, done = multiplied(product, kernel, arch=PIUMA)
        timing = done.timing
        cycles = timing.ticks / TICKS
        assert cycles * PIUMA.cores * PIUMA.pipeline.mtps >= sum(timing.instructions)
        moved = sum(size for (kind, _), size in timing.traffic.items() if kind.startswith("dram"))
        assert cycles * PIUMA.dram_bytes_per_cycle >= moved
        least = 12 * (2 * matrix.nonzeros + done.tally.stored)
        assert moved >= least or kernel.name == "inner"


class OneEvent:
    """Four multiplications by one thread, and a kilobyte carried away afterwards."""

    def phases(self) -> list[Phase]:
        counts = np.zeros((1, len(Instruction)), dtype=np.int64)
        counts[0, Instruction.FLOAT] = 4
        return [Phase("work", counts, np.zeros(1, np.int32), moves=(Move("dram.write", "x", 1024, 1),))]


def test_one_event_by_hand() -> None:
    """4 x 6 cycles; then 1024 bytes through memory at 197.12 a cycle and the engine at 64 (16 cycles), and latency."""
    one = replace(PIUMA, cores_per_chip=1)
    timing = FabricRun(one).run([Stage("s", [OneEvent()], [0])])
    assert timing.ticks / TICKS == 4 * 6 + 1024 / 64 + one.dram_latency_cycles
    assert timing.spent[Spent.ISSUE] == 4 * TICKS and timing.spent[Spent.LATENCY] == 4 * 5 * TICKS
    assert timing.spent[Spent.IDLE] == 63 * 24 * TICKS
    assert timing.spent[Spent.DMA] == 64 * (16 + 120) * TICKS
    two = FabricRun(one).run([Stage("s", [OneEvent(), OneEvent()], [0, 0], buffers=2)])
    assert two.ticks < 2 * timing.ticks  # the second works while the first's result goes


def counted(loads: int, floats: int = 0) -> np.ndarray:
    counts = np.zeros((1, len(Instruction)), dtype=np.int64)
    counts[0, Instruction.LOAD], counts[0, Instruction.FLOAT] = loads, floats
    return counts


@pytest.mark.parametrize(("in_flight", "waited"), [(1, 10), (2, 5), (4, 3), (8, 2), (16, 1)])
def test_loads_in_flight_by_hand(in_flight: int, waited: int) -> None:
    """Of ten loads every `in_flight`-th and the last are waited for, 120 cycles each; the others take a cycle."""
    arch = replace(PIUMA, cores_per_chip=1, pipeline=replace(PIUMA.pipeline, loads_in_flight=in_flight))
    phase = Phase("load", counted(10), np.zeros(1, np.int32))
    timing = FabricRun(arch).run([Stage("s", [Given(phase)], [0])])
    assert arch.dram_latency_cycles == 120
    assert timing.ticks / TICKS == 120 * waited + 10 - waited
    assert timing.load_ticks / TICKS == timing.spent[Spent.MEMORY] / TICKS == 119 * waited


@dataclass(frozen=True)
class Given:
    """A unit of one phase."""

    phase: Phase

    def phases(self) -> list[Phase]:
        return [self.phase]


@relaxed
@given(st.integers(0, 200), st.integers(0, 50), st.integers(1, 63))
def test_more_loads_in_flight_never_take_longer(loads: int, floats: int, in_flight: int) -> None:
    """Alone, an event takes no longer with one load more in flight; with one, exactly its instructions' latencies."""
    counts = counted(loads, floats)
    rates = [
        Rates(replace(PIUMA, pipeline=replace(PIUMA.pipeline, loads_in_flight=each)))
        for each in (1, in_flight, in_flight + 1)
    ]
    one, some, more = (int(each.alone(counts).sum()) for each in rates)
    assert one == int((counts @ rates[0].latencies).sum())
    assert loads * TICKS <= more <= some <= one


def test_an_outcome_is_the_same_every_time() -> None:
    matrix = read_matrix("rmat:8:8")
    product = SparseProduct(matrix, matrix)
    for kernel in EVERY:
        first, second = (multiply(product, PIUMA, kernel, FabricOptions(), Collector()).timing for _ in range(2))
        assert (first.ticks, first.spent, first.traffic) == (second.ticks, second.spent, second.traffic)


def test_cost_follows_products_not_cycles() -> None:
    """A memory ten times as slow takes more cycles and the same events; twice the products take twice of them."""
    matrix, fixed = read_matrix("uniform:512x512:0.02"), FabricOptions(token=16)
    product = SparseProduct(matrix, matrix)
    slow = replace(PIUMA, dram=replace(PIUMA.dram, latency_ns=1000.0))
    plain, late = (multiply(product, arch, V3, fixed, Collector()).timing for arch in (PIUMA, slow))
    assert late.ticks > 3 * plain.ticks and late.events == plain.events
    twice = SparseProduct(read_matrix("uniform:1024x512:0.02"), matrix)
    more = multiply(twice, PIUMA, V3, fixed, Collector()).timing
    growth = twice.multiplies / product.multiplies
    assert more.events / plain.events == pytest.approx(growth, rel=0.1)


SETTINGS = [
    "clock_mhz=2000", "chips=2", "cores_per_chip=4", "pipeline.mtps=2", "pipeline.threads_per_mtp=4",
    "pipeline.loads_in_flight=4",
    "pipeline.integer_cycles=8", "pipeline.float_cycles=12", "pipeline.stp_integer_cycles=4", "scratchpad.kib=8",
    "scratchpad.banks=1", "scratchpad.latency_cycles=30", "atomic.ops_per_cycle=0.1", "atomic.latency_cycles=30",
    "atomic.same_address_cycles=200", "dma.bytes_per_cycle=0.1", "dma.setup_cycles=20000", "dram.latency_ns=60",
    "dram.channels_per_chip=1", "dram.channel_bandwidth_gb_s=1", "dram.efficiency=0.01", "dram.granule_bytes=512",
    "network.core_bytes_per_cycle=0.5", "network.core_latency_cycles=40", "data.value_bytes=64", "data.index_bytes=64",
    "data.pointer_bytes=800",
]  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_number_of_the_machine_matters(setting: str) -> None:
    matrix = read_matrix("rmat:7:8")
    product = SparseProduct(matrix, matrix)
    plain, changed = (
        multiply(product, load_machine("piuma", more).spec, V3, FabricOptions(dma="operands"), Collector()).timing
        for more in ((), (setting,))
    )
    assert plain.ticks != changed.ticks


OPTIONS = [
    (V3, USUAL, {"hash": "low-bits"}), (V3, USUAL, {"slots": 64}), (V3, USUAL, {"fill": 0.1}),
    (V3, USUAL, {"window": "rows"}), (V3, USUAL, {"spread": 1}), (V3, USUAL, {"token": 1}),
    (V3, USUAL, {"dma": "operands"}), (V1, USUAL, {"deal": "pieces"}), (V1, FabricOptions(deal="pieces"), {"event": 8}),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "plain", "change"), OPTIONS, ids=str)
def test_every_option_matters(kernel: Kernel, plain: FabricOptions, change: dict[str, Any]) -> None:
    matrix = read_matrix("rmat:7:8")
    product = SparseProduct(matrix, matrix)
    one, other = (
        multiply(product, PIUMA, kernel, each, Collector()).timing for each in (plain, replace(plain, **change))
    )
    assert one.ticks != other.ticks


def test_rows_of_no_core_are_no_phase() -> None:
    matrix = read_matrix("banded:3:1")
    product = SparseProduct(matrix, matrix)
    task = Task(product, PIUMA, FabricOptions(), Tally(), Collector())
    stage = dealt_stage(task, "none", product.row_multiplies(), {}, lambda *_: None)
    assert [len(unit.phases()) for unit in stage.units] == [1] + [0] * 7
