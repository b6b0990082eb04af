"""Walks through banks: hardware visits the places that numpy does, a beat a cycle, and none between two walks."""

from collections.abc import Sequence

import numpy as np
import pytest
from amaranth.sim import Simulator, SimulatorContext

from rtl.core.walk import LOOPS, Stride, Walk, Walker, WalkShape
from workloads.errors import UserError

SHAPE = WalkShape(bank_bits=6)


def random_walk(rng: np.random.Generator) -> Walk:
    loops = [Stride(int(rng.integers(1, 5)), int(rng.integers(0, 9)), int(rng.integers(0, 3))) for _ in range(LOOPS)]
    return Walk(int(rng.integers(200)), int(rng.integers(4)), tuple(loops[: int(rng.integers(LOOPS + 1))]))


def walked(walks: Sequence[Walk], waits: float, rng: np.random.Generator) -> tuple[list[tuple[int, ...]], int]:
    """Places in the order in which hardware gives them, and the cycles from the first to the last one."""
    walker, found, cycles = Walker(SHAPE), list[tuple[int, ...]](), 0

    async def feed(ctx: SimulatorContext) -> None:
        for walk in walks:
            ctx.set(walker.walks.payload.as_value(), walk.bits(SHAPE, last=True))
            ctx.set(walker.walks.valid, 1)
            await ctx.tick().until(walker.walks.ready)
        ctx.set(walker.walks.valid, 0)

    async def take(ctx: SimulatorContext) -> None:
        nonlocal cycles
        total = sum(walk.beats for walk in walks)
        while len(found) < total:
            ctx.set(walker.places.ready, int(rng.random() >= waits))
            _, _, valid, ready, place = await ctx.tick().sample(
                walker.places.valid, walker.places.ready, walker.places.payload
            )
            cycles += bool(found) or bool(valid)
            if valid and ready:
                found.append((place.address, place.bank, place.index, place.last))

    simulator = Simulator(walker)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(take)
    simulator.run()
    return found, cycles


@pytest.mark.parametrize("waits", [0.0, 0.4])
def test_hardware_visits_the_places_of_numpy(waits: float) -> None:
    rng = np.random.default_rng(0)
    walks = [random_walk(rng) for _ in range(12)]
    found, cycles = walked(walks, waits, rng)
    wanted = np.concatenate([np.c_[each.places(), np.arange(each.beats) == each.beats - 1] for each in walks])
    np.testing.assert_array_equal(np.array(found), wanted)
    if not waits:
        assert cycles == len(wanted)


def test_the_example_of_the_page() -> None:
    walk = Walk(0, 0, (Stride(2, address=3), Stride(3, address=1), Stride(4, bank=1)))
    places = walk.places()
    assert places[:4].tolist() == [[0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 3, 0]]
    assert places[4, :2].tolist() == [1, 0]
    assert places[12, :2].tolist() == [3, 0]


def test_a_walk_that_this_core_cannot_count_is_refused() -> None:
    with pytest.raises(UserError, match="address 4096 is beyond the memories"):
        Walk(4096, 0, ()).bits(SHAPE, last=True)
    with pytest.raises(UserError, match="bank 64 is beyond"):
        Walk(0, 0, (Stride(65, bank=1),)).bits(SHAPE, last=True)
    with pytest.raises(UserError, match="up to 5 loops"):
        Walk(0, 0, (Stride(2),) * 6)
