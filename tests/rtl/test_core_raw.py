"""The raw memory gives words as they were written, and turned."""

import numpy as np

from rtl.core.raw import SIDE, RawMemory, turned_words
from rtl.verilate import compiled


def test_words_come_back_as_they_were_and_turned() -> None:
    rng, depth, cycles = np.random.default_rng(2), 32, 2000
    block = compiled(RawMemory(depth), "raw_memory")
    words = rng.integers(0, 1 << 64, cycles, np.uint64)
    write = rng.integers(0, 2, cycles)
    write[:depth] = 1
    write_address = np.where(np.arange(cycles) < depth, np.arange(cycles) % depth, rng.integers(0, depth, cycles))
    address, turned = rng.integers(0, depth, cycles), rng.integers(0, 2, cycles)
    block.reset()
    made = block.run(
        write=write.astype(np.uint64),
        write_address=write_address.astype(np.uint64),
        write_data=words,
        address=address.astype(np.uint64),
        turned=turned.astype(np.uint64),
    )
    raw = np.zeros((depth, SIDE), np.uint16)
    for cycle in range(cycles - 1):
        there = turned_words(raw, address[cycle : cycle + 1])[0] if turned[cycle] else raw[address[cycle]]
        if cycle >= depth:
            assert made["data"][cycle + 1] == there.copy().view(np.uint64)[0]
        if write[cycle]:
            raw[write_address[cycle]] = words[cycle : cycle + 1].view(np.uint16)


def test_a_turned_block_in_an_example() -> None:
    raw = np.arange(32).reshape(8, 4)
    assert turned_words(raw, np.array([5]))[0].tolist() == [17, 21, 25, 29]
