"""The DMA engine before DRAM: every word where it belongs, in the cycle that a plain model of events says."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from rtl.core.bursts import bursts
from rtl.core.dma import LEAST_LATENCY, UNTIL_WRITTEN
from rtl.core.dram import ANSWER, DramRate, DramServer
from rtl.core.transfers import DmaShape, Transfer, load
from rtl.core.walk import Stride, Walk, WalkShape
from rtl.formats import FP16
from rtl.timing import STORE_LEAD
from tests.rtl.core_dma_bench import bench, carried_out
from tests.rtl.core_dma_cases import (
    BASE,
    COLUMNS,
    DEPTH,
    SHAPE,
    WORDS,
    Order,
    random_order,
    random_sums,
    wanted_writes,
)  # fmt: skip
from workloads.errors import UserError

RATES = (DramRate(8), DramRate(4), DramRate(8, 3), DramRate(5, 2))
BEGIN = 20  # cycles in which walks are handed over


class Event(NamedTuple):
    """Cycles of a command: begin, end, `filled` or `freed`, and when each beat was served."""

    go: int
    ends: int
    done: int
    beats: NDArray[np.int64]


def events(
    transfers: Sequence[Transfer], gaps: Sequence[int], rate: DramRate, latency: int, wait_for_b: bool
) -> list[Event]:
    """A command begins `gaps` cycles after it could, which is when the one before has ended."""
    server, found, free, filled = DramServer(rate), list[Event](), BEGIN, list[int]()
    for transfer, gap in zip(transfers, gaps, strict=True):
        go = free + gap
        beats = server.serve(go, transfer.beats)
        if transfer.store:
            done = ends = int(beats[-1]) + ANSWER * wait_for_b
        else:
            done = int(beats[-1]) + latency + UNTIL_WRITTEN
            filled.append(done)
            ends = go + len(bursts(transfer.address, transfer.beats)) - 1
            if len(filled) >= SHAPE.outstanding:
                ends = max(ends, filled[-SHAPE.outstanding])
        found.append(Event(go, ends, done, beats))
        free = ends + 1
    return found


def timed(orders: Sequence[Order], found: Sequence[Event], rng: np.random.Generator) -> list[Order]:
    """The same orders, which the host begins as the model does; sums are announced as late as can be, or earlier."""
    out, known = list[Order](), -1
    for order, event in zip(orders, found, strict=True):
        if order.transfer.store:
            known = max(known + 1, event.go - STORE_LEAD - int(rng.choice([0, 0, 1, 7, 100])))
        out.append(replace(order, earliest=event.go, ready=known))
    return out


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{rate.num}/{rate.den}")
@pytest.mark.parametrize(
    ("latency", "wait_for_b", "most"), [(LEAST_LATENCY, False, 90), (7, True, 900), (40, False, 12), (40, False, 900)]
)
def test_words_and_cycles(rate: DramRate, latency: int, wait_for_b: bool, most: int) -> None:
    rng = np.random.default_rng([*rate, latency, most])
    sums, words = random_sums(rng), rng.integers(0, 1 << 64, WORDS, dtype=np.uint64)
    orders = [random_order(rng, most) for _ in range(80)]
    transfers = [order.transfer for order in orders]
    found = events(transfers, rng.choice([0, 0, 0, 1, 2, 30], len(orders)).tolist(), rate, latency, wait_for_b)
    orders, wanted = timed(orders, found, rng), words.copy()
    rows = wanted_writes(orders, sums, wanted, FP16)
    ran = carried_out(orders, sums, words, rate, latency, wait_for_b)
    assert ran.go.tolist() == [event.go for event in found]
    assert ran.ends.tolist() == [event.ends for event in found]
    for store, seen in ((False, ran.filled), (True, ran.freed)):
        of = [(event, each) for event, each in zip(found, transfers, strict=True) if each.store is store]
        assert seen.tolist() == [[event.done, each.tag] for event, each in of]
    beats = [event.beats for event, each in zip(found, transfers, strict=True) if not each.store]
    np.testing.assert_array_equal(ran.writes[:, 0], np.concatenate(beats) + latency + UNTIL_WRITTEN)
    np.testing.assert_array_equal(ran.writes[:, 1:], rows)
    np.testing.assert_array_equal(words, wanted)
    assert ran.bursts == sum(len(bursts(each.address, each.beats)) for each in transfers)


def test_what_loads_leave_in_their_memories() -> None:
    """The golden model's banks are those that the write port leaves, where places are visited twice, too."""
    rng = np.random.default_rng(3)
    sums, words = random_sums(rng), rng.integers(0, 1 << 64, WORDS, dtype=np.uint64)
    orders = [order for _ in range(60) if not (order := random_order(rng, 90)).transfer.store]
    found = events([order.transfer for order in orders], [0] * len(orders), DramRate(8), 2, False)
    banks, seen = (np.zeros((3, 16, 1 << SHAPE.places.address_bits), np.uint64) for _ in range(2))
    for order in orders:
        at = (order.transfer.address - BASE) // 8
        load(banks[order.transfer.memory], words[at : at + order.transfer.beats], order.walks)
    for _, memory, _, address, bank, _, data in carried_out(
        timed(orders, found, rng), sums, words, DramRate(8), 2
    ).writes:
        seen[memory, bank, address] = data
    np.testing.assert_array_equal(seen, banks)


def test_a_small_memory_of_loads_holds_back_the_next_one() -> None:
    """Twelve loads of a beat each, before a memory that answers late: the eighth ends with the first one's word."""
    walk = Walk(0, 0, ())
    transfers = [Transfer(False, BASE + 8 * number, 1) for number in range(12)]
    found = events(transfers, [0] * 12, DramRate(8), 100, False)
    assert [event.ends for event in found[:9]] == [*range(BEGIN, BEGIN + 7), BEGIN + 101, BEGIN + 102]
    orders = [Order(each, (walk,), event.go) for each, event in zip(transfers, found, strict=True)]
    ran = carried_out(orders, np.zeros((COLUMNS, DEPTH), np.uint32), np.zeros(WORDS, np.uint64), DramRate(8), 100)
    assert ran.ends.tolist() == [event.ends for event in found]


def test_a_store_that_begins_a_cycle_too_soon_is_late() -> None:
    """So `STORE_LEAD` cannot be smaller."""
    order = Order(Transfer(True, BASE, 1), (Walk(0, 0, ()),), earliest=40, ready=40 - STORE_LEAD)
    sums, words = np.full((COLUMNS, DEPTH), 7, np.uint32), np.zeros(WORDS, np.uint64)
    assert carried_out([order], sums, words, DramRate(8), 1).ends.tolist() == [40]
    assert words[0] == 7 << 32 | 7
    with pytest.raises(AssertionError, match="'late': 1"):
        carried_out([replace(order, earliest=39)], sums, words, DramRate(8), 1)


def test_a_store_that_waits_does_so_for_its_last_answer() -> None:
    """The last burst is one beat long, so the answer to the one before comes after all beats are written."""
    transfer, walk = Transfer(True, BASE + 8 * 252, 5), Walk(0, 0, (Stride(5, address=1),))
    order = Order(transfer, (walk,), earliest=40, ready=40 - STORE_LEAD)
    sums, words = np.zeros((COLUMNS, DEPTH), np.uint32), np.ones(WORDS, np.uint64)
    assert [carried_out([order], sums, words, DramRate(8), 1, waits).ends.tolist() for waits in (False, True)] == [
        [44],
        [44 + ANSWER],
    ]


def test_the_example_of_bursts() -> None:
    assert bursts(2000, 300) == [(2000, 6), (2048, 256), (4096, 38)]


def test_bus_errors_are_kept_until_they_are_cleared() -> None:
    block, cycles = bench(), 12
    walk = Walk(5, 1, ()).bits(SHAPE.places, last=True)
    port = next(each for each in block.inputs if each.name == "load_walks__payload")
    walks = np.zeros((cycles, port.words), np.uint64)
    walks[:] = [walk >> 64 * word & (1 << 64) - 1 for word in range(port.words)]

    def at(*when: int, value: int = 1) -> NDArray[np.uint64]:
        line = np.zeros(cycles, np.uint64)
        line[list(when)] = value
        return line

    block.power_up()
    made = block.run(
        load_walks__payload=walks,
        load_walks__valid=at(0),
        command=at(1, value=Transfer(False, 8, 1).bits(SHAPE)),
        go=at(1),
        m_axi_arready=at(1),
        m_axi_rvalid=at(3),
        m_axi_rresp=at(3, value=2),
        m_axi_bvalid=at(8),
        m_axi_bresp=at(8, value=3),
        clear=at(6, 10),
    )
    assert made["bus_error"].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 2, 2, 0]
    assert np.flatnonzero(made["filled"]).tolist() == [4]


def test_what_the_engine_cannot_have_is_refused() -> None:
    with pytest.raises(UserError, match=r"from 0x4 to 0xc; beats have 8 bytes"):
        Transfer(False, 4, 1)
    with pytest.raises(UserError, match="beats have 8 bytes"):
        Transfer(False, (1 << 32) - 8, 2)
    with pytest.raises(UserError, match="a transfer of 0 beats; it has one or more, at most 1,048,576"):
        Transfer(False, 0, 0)
    with pytest.raises(UserError, match="for 16 loads and 4 beats, 2 and 4 bits; wanted are 5 beats, and one"):
        DmaShape(FP16, WalkShape(), WalkShape(), ahead=4)
