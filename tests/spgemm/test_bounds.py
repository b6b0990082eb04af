"""What is said to bound a product is what its run counted, and so is what is said of more chips."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.results import cycles_of, fabric_card, on_chips
from dataflows.spgemm.smash import V1, V2, V3
from reports.bounds import bound_text, chips_text
from reports.page.content import fabric_texts
from simulator import load_result
from simulator.machines.piuma import FabricArch
from tests.command import Run
from tests.spgemm.test_equality import EVERY, PIUMA, multiplied
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix


def squared(text: str) -> SparseProduct:
    matrix = read_matrix(text)
    return SparseProduct(matrix, matrix)


def fabric(matrix: str, arch: FabricArch = PIUMA) -> dict[str, Any]:
    """The part of the card on a product by V3."""
    _, done = multiplied(squared(matrix), V3, arch=arch)
    return fabric_card(done.timing, done.tally, arch)  # type: ignore[arg-type]


def test_bound_by_what_threads_wait_for() -> None:
    """Without skew most threads have work, and wait for loads; a scarce resource is named before what is waited for."""
    found = fabric("uniform:512x512:0.03")
    share = found["load_time"] / (1 - found["thread_time"]["idle"])
    assert found["thread_time"]["memory"] > found["thread_time"]["idle"]
    said = bound_text(found)
    assert said.startswith(
        f"Bound by loads, one in flight a thread (latency), {share:.0%} of the time of threads at work."
    )
    assert said.endswith(f"In use: DRAM {found['used']['memory']:.1%}, core ports {found['used']['network']:.1%}, "
                         f"chip links 0.0%, DMA engines {found['used']['dma']:.1%}.")  # fmt: skip
    assert "remote loads, one in flight" in bound_text(fabric("uniform:512x512:0.03", replace(PIUMA, chips=2)))
    slow = replace(PIUMA, dram=replace(PIUMA.dram, channel_bandwidth_gb_s=0.2))
    assert bound_text(fabric("uniform:512x512:0.03", slow)).startswith("Bound by memory bandwidth, in use 100% of")


def test_bound_by_imbalance() -> None:
    found = fabric("rmat:9:8")
    assert bound_text(found).startswith(
        f"Bound by imbalance ({found['thread_time']['idle']:.0%} of the threads' time is without work), then by loads, "
    )
    four = replace(PIUMA, pipeline=replace(PIUMA.pipeline, loads_in_flight=4))
    assert "loads, 4 in flight a thread" in bound_text(fabric("rmat:9:8", four))


@pytest.mark.parametrize("kernel", [V1, V2, V3], ids=lambda kernel: kernel.name)
def test_what_is_said_of_one_chip_is_what_a_run_on_one_chip_gives(kernel: Any) -> None:
    """Threads at work times cycles is the work; seen from two chips, one chip's is right to a tenth."""
    product = squared("rmat:9:8")
    runs = {}
    for chips in (1, 2):
        arch = replace(PIUMA, chips=chips)
        timing = multiplied(product, kernel, arch=arch)[1].timing
        runs[chips] = (cycles_of(timing), on_chips(timing, arch))
    (one, (mine, *_)), (two, (_, seen, *_)) = runs[1], runs[2]
    assert seen["chips"] == 1
    assert one * mine["at_work"] == pytest.approx(two * seen["at_work"], rel=0.1)


def test_more_chips_in_words() -> None:
    rows = [
        {"chips": 2, "load_cycles": 320, "threads": 1024, "at_work": 300.0},
        {"chips": 1, "load_cycles": 120, "threads": 512, "at_work": 150.0},
    ]
    said = chips_text({"loads_in_flight": 1, "chips": rows})
    assert said == (
        "Addresses are spread over all chips: a load takes 120 cycles on 1 and 320 on 2, and a thread waits for each. "
        "To take as long, this product needs about 300 of 1,024 threads at work on average here and 150 of 512 there. "
        "More chips make it slower unless they keep 2.00 times as many threads at work."
    )
    turned = chips_text({"loads_in_flight": 4, "chips": rows[::-1]})
    assert "waits for one in 4" in turned and "on average there and 150 of 512 here" in turned


def test_the_page_says_what_v1_deals_and_when_chips_slow_it(simulate: Run, tmp_path: Path) -> None:
    line = ("--arch", "piuma", "--matrix", "rmat:7:8", "--kernel", "smash-v1", "--set", "chips=2")
    code, out, _ = simulate(*line, "--out", "r")
    assert code == 0
    assert simulate("report", "r", "--out", "p.html")[0] == 0
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    for words in (
        "gives whole rows to threads",
        "Bound by imbalance",
        "More chips make it slower unless",
        "load cycles",
    ):
        assert words in page
    for words in ("gives whole rows to threads", "Bound by imbalance", "More chips make it slower unless"):
        assert words in " ".join(out.split())
    assert simulate(*line, "--kernel-option", "deal=pieces", "--out", "s")[0] == 0
    said = " ".join(fabric_texts(load_result(tmp_path / "s").card))
    assert "gives pieces of rows to threads" in said and "whole rows" not in said


@given(st.sampled_from(["rows", "pieces"]), st.sampled_from(["table", "operands"]))
def test_every_kernel_says_who_gets_what(deal: Any, dma: Any) -> None:
    """Whole rows where work is dealt by rows, and nothing of them where pieces are."""
    options = FabricOptions(deal=deal, dma=dma)
    for kernel in EVERY:
        said = kernel.does(options)
        whole = kernel.name in ("row-wise", "heap-merge", "inner", "outer") or (kernel is V1 and deal == "rows")
        assert "rows" in said and "threads" in said and ("whole rows" in said) == whole
