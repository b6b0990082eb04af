"""The timing diagram of the room's README, from a simulation of a small array: python -m rtl.diagram."""

import numpy as np
from amaranth.sim import Simulator, SimulatorContext

from rtl.array import SparseArray
from rtl.control import Op
from rtl.formats import pack
from rtl.parameters import Parameters, make_parameters
from rtl.run import run_bits
from rtl.tiles import Tile, output_stationary_tile, weight_stationary_tile
from rtl.timing import COMPARE, Reduction
from workloads.pattern import parse_pattern

MARKS = {Op.IDLE: ".", Op.OUTPUT: "o", Op.WEIGHT: "w", Op.STORE: "s", Op.SHIFT: "d"}
Lines = dict[str, list[str]]


def diagram(p: Parameters, tile: Tile) -> str:
    """A line a PE and a column of sums, a field a cycle: what is in the PE's input register, and when sums leave.

    The first cycle is the one before the first PE hears of the run.
    """
    array, lines = SparseArray(p), Lines()
    lead = p.settle + max(len(tile.west[0]), len(tile.north[0]))  # cycles in which all that it takes comes in
    first = lead + COMPARE + p.fetch_lead + 6

    async def drive(ctx: SimulatorContext) -> None:
        waiting = [
            (port, list(words))
            for name, streams in (("west", tile.west), ("north", tile.north), ("seeds", tile.seeds))
            for port, words in zip(getattr(array, name), streams, strict=False)
        ]
        ctx.set(array.run.payload.as_value(), run_bits(tile.run))
        for port in array.results:
            ctx.set(port.ready, 1)
        for cycle in range(first + tile.cycles + 2):
            ctx.set(array.run.valid, cycle == lead)
            for port, words in waiting:
                ctx.set(port.valid, bool(words))
                ctx.set(port.payload, words[0] if words else 0)
            for port, words in waiting:
                if words and ctx.get(port.ready):
                    words.pop(0)
            if cycle >= first:
                _note(ctx, array, lines)
            await ctx.tick()

    simulator = Simulator(array)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    cycles = len(next(iter(lines.values())))
    head = "".join(f"{number:<3}" for number in range(cycles))
    return "\n".join([f"{'cycle':10}{head}", *(f"{name:10}{''.join(fields)}" for name, fields in lines.items())])


def _note(ctx: SimulatorContext, array: SparseArray, lines: Lines) -> None:
    for (row, col), control in array.mesh.inside.items():
        op, slot = Op(ctx.get(control.op)), ctx.get(control.slot)
        text = "." if op is Op.IDLE else f"{MARKS[op]}{slot}"
        lines.setdefault(f"PE {row},{col}", []).append(f"{text:<3}")
    for number, leaves in enumerate(array.leaves):
        lines.setdefault(f"sums {number}", []).append("#  " if ctx.get(leaves) else ".  ")


def both() -> str:
    """A tile of each dataflow on 2 x 2 PEs, 2:4, INT8."""
    p = make_parameters(parse_pattern("2:4"), 2, 2, "int8", accumulators=2)
    work, rng = Reduction(1, 8, 2, 4), np.random.default_rng(1)
    right = rng.integers(1, 9, (8, 2)).astype(np.uint8)
    packed = pack(right, np.arange(8)[:, None] % 4 < np.array([[2, 2]]), work)
    left = rng.integers(1, 9, (4, 8)).astype(np.uint8)
    tiles = (output_stationary_tile(p, left, packed, work, 2), weight_stationary_tile(p, left, packed, work, 0))
    names = ("output stationary, two outputs a PE", "weight stationary, four positions")
    return "\n\n".join(
        f"{name}: {tile.cycles} cycles\n{diagram(p, tile)}" for name, tile in zip(names, tiles, strict=True)
    )


if __name__ == "__main__":
    print(both())
