"""The timing diagram of the room's README, from a simulation of a small array: python -m rtl.diagram."""

import numpy as np
from amaranth import Value
from amaranth.sim import Simulator, SimulatorContext

from rtl.array import SparseArray
from rtl.control import Op
from rtl.formats import pack
from rtl.parameters import Parameters, make_parameters
from rtl.tiles import Tile, output_stationary_tile, run_bits, weight_stationary_tile
from rtl.timing import Reduction
from workloads.pattern import parse_pattern

MARKS = {Op.IDLE: ".", Op.OUTPUT: "o", Op.WEIGHT: "w", Op.STORE: "s", Op.SHIFT: "d"}
PRIME = 40  # cycles in which the rows' buffers fill


def diagram(p: Parameters, tile: Tile) -> str:
    """A line a PE and a column of sums, a field a cycle: what is in the PE's input register, and when sums leave."""
    array, lines = SparseArray(p), {}

    async def drive(ctx: SimulatorContext) -> None:
        sides = {"west": tile.west, "north": tile.north, "seed": tile.seeds or [[]] * p.cols}
        widths = {"west": p.west_link * p.operand.bits + 1, "north": p.weight_bits, "seed": p.accumulator.bits}
        at = {name: [0] * len(streams) for name, streams in sides.items()}
        ctx.set(array.result_ready, -1)
        ctx.set(Value.cast(array.run_payload), run_bits(tile.run))
        for cycle in range(PRIME + tile.cycles + 3):
            ctx.set(array.run_valid, cycle == PRIME)
            for name, streams in sides.items():
                there = [number for number, words in enumerate(streams) if at[name][number] < len(words)]
                ctx.set(getattr(array, f"{name}_valid"), sum(1 << number for number in there))
                words = sum(streams[number][at[name][number]] << number * widths[name] for number in there)
                ctx.set(getattr(array, f"{name}_payload"), words)
                ready = ctx.get(getattr(array, f"{name}_ready"))
                for number in there:
                    at[name][number] += ready >> number & 1
            if cycle >= PRIME + 2:
                _note(ctx, array, lines)
            await ctx.tick()

    simulator = Simulator(array)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    cycles = len(next(iter(lines.values())))
    head = "".join(f"{number:<3}" for number in range(cycles))
    return "\n".join([f"{'cycle':10}{head}", *(f"{name:10}{''.join(fields)}" for name, fields in lines.items())])


def _note(ctx: SimulatorContext, array: SparseArray, lines: dict[str, list[str]]) -> None:
    for (row, col), control in array.controls.items():
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
