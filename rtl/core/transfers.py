"""Commands of the DMA engine: loads and stores as the host tells them, and what a load leaves in a memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from amaranth.lib.data import StructLayout
from numpy.typing import NDArray

from rtl.axi.master import ADDRESS_BITS, BEAT_BYTES
from rtl.core.bursts import BEAT_BITS
from rtl.core.storing import FETCH
from rtl.core.walk import Walk, WalkShape
from rtl.formats import FloatFormat
from workloads.errors import UserError

WEST, NORTH, RAW = range(3)  # memories that a load can fill
MEMORY_BITS = 3


@final
@dataclass(frozen=True)
class DmaShape:
    """Sizes of a DMA engine. form: of operands. places, sums: of the walks of loads, and of those of stores.

    per_bits, tag_bits: of what is only handed on. outstanding: loads whose data are on their way; it costs no cycle as
    long as the memory serves one less of them in more cycles than its latency. ahead: beats of stores that are fetched
    before they can leave.
    """

    form: FloatFormat
    places: WalkShape
    sums: WalkShape
    per_bits: int = 2
    tag_bits: int = 4
    outstanding: int = 16
    ahead: int = 16

    def __post_init__(self) -> None:
        # a beat's room is free again two cycles after it has come out of the memory at the soonest
        if self.outstanding < 1 or self.ahead < FETCH + 2 or min(self.per_bits, self.tag_bits) < 1:
            raise UserError(
                f"core: a DMA engine for {self.outstanding} loads and {self.ahead} beats, {self.per_bits} and "
                f"{self.tag_bits} bits; wanted are {FETCH + 2} beats, and one of all else"
            )

    @property
    def command(self) -> StructLayout:
        """A load or a store of `beats` plus one. per: what words of a load are, for the memory. tag: anybody's. joins:
        to the DRAM it is one transfer with the command before.
        """
        where = {"store": 1, "address": ADDRESS_BITS, "beats": BEAT_BITS}
        what = {"memory": MEMORY_BITS, "per": self.per_bits, "tag": self.tag_bits}
        return StructLayout({**where, **what, "joins": 1})

    @property
    def loaded(self) -> StructLayout:
        """What is remembered of a load until its data have come."""
        return StructLayout({"memory": MEMORY_BITS, "per": self.per_bits, "tag": self.tag_bits})

    @property
    def write(self) -> StructLayout:
        """A word for a bank of one of the memories. index: which one of its group a dense weight is."""
        place = {
            "address": self.places.address_bits,
            "bank": self.places.bank_bits,
            "index": self.places.turn_bits,
        }
        what = {"memory": MEMORY_BITS, "per": self.per_bits, **place}
        return StructLayout({"enable": 1, **what, "data": 8 * BEAT_BYTES})


@final
@dataclass(frozen=True)
class Transfer:
    """A command of the engine. Raises UserError where its beats do not lie in DRAM as AXI wants it."""

    store: bool
    address: int
    beats: int
    memory: int = WEST
    per: int = 0
    tag: int = 0

    def __post_init__(self) -> None:
        ends = self.address + self.beats * BEAT_BYTES
        if self.address % BEAT_BYTES or self.address < 0 or ends > 1 << ADDRESS_BITS:
            raise UserError(f"core: a transfer from {self.address:#x} to {ends:#x}; beats have {BEAT_BYTES} bytes")
        if not 1 <= self.beats <= 1 << BEAT_BITS:
            raise UserError(f"core: a transfer of {self.beats} beats; it has one or more, at most {1 << BEAT_BITS:,}")

    def bits(self, shape: DmaShape) -> int:
        """As hardware takes it."""
        where = {"store": int(self.store), "address": self.address, "beats": self.beats - 1}
        return int(shape.command.const({**where, "memory": self.memory, "per": self.per, "tag": self.tag}).as_bits())


def load(banks: NDArray[np.uint64], words: NDArray[np.uint64], walks: Iterable[Walk]) -> None:
    """Put the words of a load where they belong. banks: (banks, depth) of the memory that it fills."""
    places = np.concatenate([walk.places() for walk in walks])
    banks[places[:, 1], places[:, 0]] = words
