"""Blocks between streams in Amaranth's own simulator: results in order, none lost, the contract kept."""

from collections.abc import Sequence

import numpy as np
import pytest
from amaranth import Elaboratable, Module
from amaranth.lib import stream, wiring
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.divider import Root
from rtl.formats import FP16, FP32, INT8, INT32
from rtl.golden.units import add, multiply, root
from rtl.multiply_add import Adder, Multiplier
from rtl.wuve import advance
from tests.rtl.vectors import biased

HOLDS = st.lists(st.integers(0, 3), min_size=1, max_size=8)


class Streamed(wiring.Component):
    """A block with ports a, perhaps b, en and p, between a stream of operands and one of results.

    i: stream of structs with `a` (and `b`); o: stream of results, in the same order, `latency` steps later. A result
    stays until it is taken; one pair may enter every cycle.
    """

    def __init__(self, core: wiring.Component, latency: int) -> None:
        self.core = core
        self.latency = latency
        shapes = {name: member.shape for name, member in core.signature.members.items() if name in ("a", "b")}
        result = core.signature.members["p"].shape
        super().__init__({"i": In(stream.Signature(StructLayout(shapes))), "o": Out(stream.Signature(result))})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.core = core = self.core
        step = advance(m, self.i.valid, self.o, self.latency)
        m.d.comb += [core.en.eq(step), self.i.ready.eq(step), self.o.payload.eq(core.p), core.a.eq(self.i.payload.a)]
        if "b" in core.signature.members:
            m.d.comb += core.b.eq(self.i.payload.b)
        return m


def through(block: Streamed, operands: Sequence[tuple[int, ...]], gaps: list[int], waits: list[int]) -> list[int]:
    """Results of the operands, with idle cycles before each operand and each result, taken in turn from the lists."""
    results: list[int] = []

    async def feed(ctx) -> None:
        for number, each in enumerate(operands):
            await ctx.tick().repeat(gaps[number % len(gaps)]) if gaps[number % len(gaps)] else None
            ctx.set(block.i.payload, dict(zip(block.i.payload.shape().members, each, strict=False)))
            ctx.set(block.i.valid, 1)
            await ctx.tick().until(block.i.ready)
            ctx.set(block.i.valid, 0)

    async def take(ctx) -> None:
        while len(results) < len(operands):
            wait = waits[len(results) % len(waits)]
            await ctx.tick().repeat(wait) if wait else None
            ctx.set(block.o.ready, 1)
            (payload,) = await ctx.tick().sample(block.o.payload).until(block.o.valid)
            ctx.set(block.o.ready, 0)
            results.append(int(payload))

    async def watch(ctx) -> None:
        held = None
        async for _, _, valid, ready, payload in ctx.tick().sample(block.o.valid, block.o.ready, block.o.payload):
            assert held is None or (valid and payload == held), "a result changed or went before it was taken"
            held = payload if valid and not ready else None

    simulator = Simulator(block)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(take)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return results


@pytest.mark.parametrize(
    ("core", "golden", "latency"),
    [
        (lambda: Multiplier(INT8, 2), lambda a, b: multiply(a, b, INT8), 2),
        (lambda: Adder(INT32, 1), lambda a, b: add(a, b, INT32), 1),
        (lambda: Multiplier(FP16, 3), lambda a, b: multiply(a, b, FP16), 3),
        (lambda: Adder(FP32, 4), lambda a, b: add(a, b, FP32), 4),
        (lambda: Root(FP32, 6), lambda a, _: root(a, FP32), 6),
    ],
)
@settings(max_examples=4, deadline=None)
@given(gaps=HOLDS, waits=HOLDS, seed=st.integers(0, 1000))
def test_results_come_in_order_and_wait_until_taken(core, golden, latency: int, gaps, waits, seed: int) -> None:
    block: wiring.Component = core()
    rng = np.random.default_rng(seed)
    left, right = biased(block.form, 12, rng), biased(block.form, 12, rng)
    results = through(Streamed(block, latency), list(zip(left.tolist(), right.tolist(), strict=True)), gaps, waits)
    assert [each & 0xFFFFFFFF for each in results] == golden(left, right).tolist()
