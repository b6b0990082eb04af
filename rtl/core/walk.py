"""Walks through the banks of a memory: in which order words lie in DRAM, and where each of them lies on chip.

A load or a store is a row of words in DRAM, one beat each. Nested loops say to which address of which bank each one
belongs, so that DMA, transposer and SORE lanes count and know nothing of products. Example: 2 turns of 4 rows, each row
in a bank of its own and 3 words long: loops (2, address 3), (3, address 1), (4, bank 1) visit address 0 of banks 0 to
3, then address 1, and after 12 beats address 3.
"""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from amaranth import Elaboratable, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from workloads.errors import UserError

LOOPS = 5  # as many as the deepest walk of a compiler has
INDEXED = 2  # the loop whose turn is told: of dense weights, which one of its group a weight is


class Stride(NamedTuple):
    """A loop of a walk: how often it turns, and how far a turn leads."""

    turns: int
    address: int = 0
    bank: int = 0


@final
@dataclass(frozen=True)
class WalkShape:
    """Bits of an address, of a bank and of a loop's turns."""

    address_bits: int = 12
    bank_bits: int = 4
    turn_bits: int = 16

    @property
    def walk(self) -> StructLayout:
        """A walk as it lies in hardware. `turns` are less one; `last`: with this walk a command's work is done."""
        loop = {"turns": self.turn_bits, "address": self.address_bits, "bank": self.bank_bits}
        start = {"address": self.address_bits, "bank": self.bank_bits, "last": 1}
        return StructLayout({"loops": ArrayLayout(StructLayout(loop), LOOPS), **start})

    @property
    def place(self) -> StructLayout:
        """Where a beat belongs. `index`: the turn of loop `INDEXED`. `last`: it is a command's last beat."""
        return StructLayout({"address": self.address_bits, "bank": self.bank_bits, "index": self.turn_bits, "last": 1})


@final
@dataclass(frozen=True)
class Walk:
    """Places from (address, bank) on; loops from the outermost to the innermost, missing outer ones turn once.

    Raises UserError for more loops than there are, or for one that never turns.
    """

    address: int
    bank: int
    loops: tuple[Stride, ...]

    def __post_init__(self) -> None:
        if len(self.loops) > LOOPS or any(loop.turns < 1 for loop in self.loops):
            raise UserError(f"core: a walk has up to {LOOPS} loops that turn once or more, not {self.loops}")

    @property
    def beats(self) -> int:
        """Places that it visits."""
        return int(np.prod([loop.turns for loop in self.loops], dtype=np.int64))

    def places(self) -> NDArray[np.int64]:
        """(beats, 3): address, bank, and index of every beat in order."""
        at = np.array([[self.address, self.bank, 0]], np.int64)
        for number, loop in enumerate(self.padded):
            steps = np.array([loop.address, loop.bank, int(number == INDEXED)], np.int64)
            at = (at[:, None, :] + np.arange(loop.turns)[:, None] * steps).reshape(-1, 3)
        return at

    @property
    def padded(self) -> tuple[Stride, ...]:
        """All the loops that hardware has."""
        return (*(Stride(1),) * (LOOPS - len(self.loops)), *self.loops)

    def bits(self, shape: WalkShape, last: bool) -> int:
        """As hardware takes it. Raises UserError for what it cannot count to."""
        turns = max(loop.turns for loop in self.padded)
        places = self.places()
        if turns > 1 << shape.turn_bits or places.min() < 0:
            raise UserError(f"core: a walk of {turns} turns, from place {places.min()}; this core cannot count that")
        address, bank, _ = places.max(axis=0)
        for name, most, bits in (("address", address, shape.address_bits), ("bank", bank, shape.bank_bits)):
            if most >> bits:
                raise UserError(f"core: {name} {most} is beyond the memories of this core")
        wrap = (1 << shape.address_bits) - 1, (1 << shape.bank_bits) - 1
        loops = [
            {"turns": loop.turns - 1, "address": loop.address & wrap[0], "bank": loop.bank & wrap[1]}
            for loop in self.padded
        ]
        start = {"address": self.address, "bank": self.bank, "last": int(last)}
        return int(shape.walk.const({"loops": loops, **start}).as_bits())


class Walker(wiring.Component):
    """walks: one after the other. places: a beat's place each time it is taken, without a cycle between two walks."""

    def __init__(self, shape: WalkShape) -> None:
        self.shape = shape
        ports = {"walks": In(stream.Signature(shape.walk)), "places": Out(stream.Signature(shape.place))}
        super().__init__({**ports, "clear": In(1)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, walk, there = Module(), Signal(self.shape.walk), Signal()
        # of each loop: the turns that are left, whether none is, and where this turn of it began
        left = [Signal(self.shape.turn_bits, name=f"left_{number}") for number in range(LOOPS)]
        over = [Signal(name=f"over_{number}") for number in range(LOOPS)]
        address = [Signal(self.shape.address_bits, name=f"address_{number}") for number in range(LOOPS)]
        bank = [Signal(self.shape.bank_bits, name=f"bank_{number}") for number in range(LOOPS)]
        ends, steps = Signal(), Signal()
        index = Signal(self.shape.turn_bits)
        place = self.places.payload
        inner: Value = Value.cast(1)  # all loops inside this one are over
        m.d.comb += [
            self.places.valid.eq(there),
            steps.eq(there & self.places.ready),
            place.address.eq(address[-1]),
            place.bank.eq(bank[-1]),
            place.index.eq(index),
            place.last.eq(ends & walk.last),
        ]
        for number in reversed(range(LOOPS)):
            loop, turns = walk.loops[number], Signal(name=f"turns_{number}")
            m.d.comb += turns.eq(steps & inner & ~over[number])
            with m.If(turns):
                m.d.sync += [left[number].eq(left[number] - 1), over[number].eq(left[number] == 1)]
                for deeper in range(number, LOOPS):
                    m.d.sync += [
                        address[deeper].eq(address[number] + loop.address),
                        bank[deeper].eq(bank[number] + loop.bank),
                    ]
                for deeper in range(number + 1, LOOPS):
                    turns_of = walk.loops[deeper].turns
                    m.d.sync += [left[deeper].eq(turns_of), over[deeper].eq(turns_of == 0)]
                if number <= INDEXED:
                    m.d.sync += index.eq(index + 1 if number == INDEXED else 0)
            inner = inner & over[number]
        m.d.comb += [ends.eq(inner), self.walks.ready.eq(~there | (steps & ends))]
        with m.If(steps & ends):
            m.d.sync += there.eq(0)
        with m.If(self.walks.ready & self.walks.valid):
            next_ = self.walks.payload
            m.d.sync += [walk.eq(next_), there.eq(1), index.eq(0)]
            for number in range(LOOPS):
                turns_of = next_.loops[number].turns
                m.d.sync += [
                    left[number].eq(turns_of),
                    over[number].eq(turns_of == 0),
                    address[number].eq(next_.address),
                    bank[number].eq(next_.bank),
                ]
        with m.If(self.clear):
            m.d.sync += there.eq(0)
        return m
