"""An engine behind the raw memory on a bench: what it does cycle by cycle, beside what was to be seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.core.engine import WORD_BITS
from rtl.core.walk import Stride, Walk, WalkShape
from rtl.verilate import Compiled, Words, compiled

RAW_BITS, WALKS = 10, 512  # of the raw memory's addresses; walks that wait
SHAPE = WalkShape(bank_bits=6)


class EngineBench(wiring.Component):
    """The raw memory and the walks are filled first; then commands begin when they are told to."""

    def __init__(self, engine: wiring.Component) -> None:
        self.engine = engine
        seen = ("ends", "raw_address", "write", "filled")
        super().__init__(
            {
                "load": In(1),
                "load_address": In(RAW_BITS),
                "load_data": In(WORD_BITS),
                "walk": In(SHAPE.walk.size),
                "walk_valid": In(1),
                "command": In(engine.command.shape()),
                "go": In(1),
                **{name: Out(getattr(engine, name).shape()) for name in seen},
                "lost": Out(1),  # a walk found no room
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.engine = engine = self.engine
        m.submodules.raw = raw = Memory(shape=WORD_BITS, depth=1 << RAW_BITS, init=[])
        m.submodules.waiting = waiting = SyncFIFOBuffered(width=SHAPE.walk.size, depth=WALKS)
        write, read = raw.write_port(), raw.read_port()
        m.d.comb += [
            write.en.eq(self.load),
            write.addr.eq(self.load_address),
            write.data.eq(self.load_data),
            read.en.eq(1),
            read.addr.eq(engine.raw_address),
            engine.raw_data.eq(read.data),
            waiting.w_data.eq(self.walk),
            waiting.w_en.eq(self.walk_valid),
            self.lost.eq(self.walk_valid & ~waiting.w_rdy),
            engine.walks.payload.eq(waiting.r_data),
            engine.walks.valid.eq(waiting.r_rdy),
            waiting.r_en.eq(engine.walks.ready),
            engine.command.eq(self.command),
            engine.go.eq(self.go),
            self.ends.eq(engine.ends),
            self.raw_address.eq(engine.raw_address),
            self.write.eq(engine.write),
            self.filled.eq(engine.filled),
        ]
        return m


@dataclass(frozen=True)
class Seen:
    """Cycles in which commands end, are filled, and in which writes stand on the port; of each write all its fields.

    asked: what the raw memory was asked for in each cycle.
    """

    ends: np.ndarray
    filled: np.ndarray
    writes: np.ndarray
    places: np.ndarray  # (writes, 2): address, bank
    data: np.ndarray  # (writes,) Python integers, since they are wider than 64 bits
    asked: np.ndarray


@dataclass(frozen=True)
class Order:
    """A command that begins in cycle `start`, and where what it writes belongs."""

    start: int
    bits: int
    walks: tuple[Walk, ...]

    @property
    def places(self) -> np.ndarray:
        return np.concatenate([walk.places()[:, :2] for walk in self.walks])


def on_bench(engine: wiring.Component) -> Compiled:
    return compiled(EngineBench(engine), "engine_bench")


def carried_out(block: Compiled, raw: Words, orders: Sequence[Order]) -> Seen:
    """What is seen of commands, counted from the cycle 0 of their starts."""
    walks = [
        walk.bits(SHAPE, last=number == len(order.walks))
        for order in orders
        for number, walk in enumerate(order.walks, 1)
    ]
    before = max(len(raw), len(walks)) + 4  # a walk takes some cycles to the walker
    cycles = before + orders[-1].start + (1 << RAW_BITS)
    load, address, data = (np.zeros(cycles, np.uint64) for _ in range(3))
    load[: len(raw)], address[: len(raw)], data[: len(raw)] = 1, np.arange(len(raw)), raw
    offered, go = np.arange(cycles) < len(walks), np.zeros(cycles, np.uint64)
    starts = np.array([order.start for order in orders]) + before
    go[starts] = 1
    command = np.full(cycles, (1 << 64) - 1, object)  # whoever looks at it without `go` finds nonsense
    command[starts] = [order.bits for order in orders]
    width = next(port.words for port in block.inputs if port.name == "command")
    walk = np.zeros(cycles, object)
    walk[: len(walks)] = walks
    block.reset()
    made = block.run(
        load=load,
        load_address=address,
        load_data=data,
        walk=_words(walk, next(port.words for port in block.inputs if port.name == "walk")),
        walk_valid=offered.astype(np.uint64),
        command=_words(command, width),
        go=go,
    )
    assert not made["lost"].any()
    return _seen({name: values[before:] for name, values in made.items()})


def _words(values: np.ndarray, count: int) -> np.ndarray:
    """Integers of any width as columns of 64-bit words, the lowest first."""
    words = [(values >> 64 * number & (1 << 64) - 1).astype(np.uint64) for number in range(count)]
    return words[0] if count == 1 else np.stack(words, axis=1)


def _seen(made: dict[str, Words]) -> Seen:
    columns = made["write"].reshape(len(made["write"]), -1).astype(object)
    port = (columns << 64 * np.arange(columns.shape[1])).sum(axis=1)
    writes = np.flatnonzero((port & 1).astype(bool))
    fields = port[writes] >> 1
    address = fields & (1 << SHAPE.address_bits) - 1
    bank = fields >> SHAPE.address_bits & (1 << SHAPE.bank_bits) - 1
    return Seen(
        np.flatnonzero(made["ends"]),
        np.flatnonzero(made["filled"]),
        writes,
        np.stack([address, bank], axis=1).astype(np.int64),
        fields >> SHAPE.address_bits + SHAPE.bank_bits,
        made["raw_address"].astype(np.int64),
    )


def compare(seen: Seen, wanted: Seen, reads: np.ndarray) -> None:
    """All of it but the cycles in which nothing has to be asked for; reads: those in which something has."""
    for name in ("ends", "filled", "writes", "places", "data"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(wanted, name), name)
    np.testing.assert_array_equal(seen.asked[reads], wanted.asked[reads], "asked")


def random_walks(rng: np.random.Generator, beats: int) -> tuple[Walk, ...]:
    """One walk or several that visit so many places."""
    count = int(rng.integers(1, min(beats, 3) + 1))
    cuts = np.sort(rng.choice(np.arange(1, beats), count - 1, replace=False)) if beats > 1 else []
    return tuple(_random_walk(rng, int(part)) for part in np.diff([0, *cuts, beats]))


def _random_walk(rng: np.random.Generator, beats: int) -> Walk:
    divisors = [each for each in range(1, beats + 1) if beats % each == 0]
    inner = int(rng.choice(divisors))
    loops = (
        Stride(beats // inner, address=int(rng.integers(4)), bank=int(beats // inner <= 8)),
        Stride(inner, address=int(rng.integers(4)), bank=int(inner <= 8)),
    )
    return Walk(int(rng.integers(100)), int(rng.integers(8)), loops)
