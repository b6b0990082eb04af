"""Random products as one stream of tiles without a break: both dataflows, pieces, seeds, tails, any link."""

from dataclasses import dataclass

from numpy.random import Generator

from rtl.formats import Bits, Packed, groups_of, pack
from rtl.golden.products import sparse_product
from rtl.in_process import CompiledArray
from rtl.parameters import Parameters
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import SHORTEST, Reduction, weight_stationary_step
from tests.rtl.cases import operands, random_mask, random_work


@dataclass
class Streamed:
    """What was run, and what differed: sums, counters, the cycles between two tiles as seen from outside."""

    tiles: int = 0
    sums: int = 0
    wrong_sums: int = 0
    wrong_cycles: int = 0
    wrong_spacings: int = 0
    spacings: int = 0

    @property
    def differences(self) -> tuple[int, int, int]:
        return self.wrong_sums, self.wrong_cycles, self.wrong_spacings


def random_stream(p: Parameters, rng: Generator, products: int = 8) -> list[tuple[Tile, Bits | None]]:
    """Tiles, and the sums each has to give; None for those whose sums stay inside."""
    out: list[tuple[Tile, Bits | None]] = []
    for _ in range(products):
        work = random_work(p, rng, 24)
        inner = work.segments * work.length
        if rng.random() < 0.5:
            out += _output_stationary(p, work, inner, rng)
        else:
            rows, cols = int(rng.integers(1, 20)), int(rng.integers(1, p.cols + 1))
            left, right = _pair(p, rng, rows, cols, work, inner)
            sums: Bits | None = operands(p.accumulator, (rows, cols), rng) if rng.random() < 0.3 else None
            for fold in range(folds_of(p, work)):
                tile = weight_stationary_tile(p, left, right, work, fold, sums)
                held = groups_of(work)[fold * p.rows : (fold + 1) * p.rows]
                part = slice(held[0].first, held[-1].first + held[-1].kept)
                sums = sparse_product(left, Packed(right.values[part], right.positions[part]), p.operand, sums)
                out.append((tile, sums))
    return out


def _pair(p: Parameters, rng: Generator, rows: int, cols: int, work: Reduction, inner: int) -> tuple[Bits, Packed]:
    return (
        operands(p.operand, (rows, inner), rng),
        pack(operands(p.operand, (inner, cols), rng), random_mask(work, cols, rng), work),
    )


def _output_stationary(p: Parameters, work: Reduction, inner: int, rng: Generator) -> list[tuple[Tile, Bits | None]]:
    """One to three pieces of a reduction; only the last one's sums leave."""
    interleave, share = int(rng.integers(1, p.accumulators + 1)), bool(rng.integers(2))
    rows = int(rng.integers(1, p.rows * (interleave if share else 1) + 1))
    cols = int(rng.integers(1, p.cols * (1 if share else interleave) + 1))
    seeds = operands(p.accumulator, (rows, cols), rng) if rng.random() < 0.3 else None
    count, sums, out = int(rng.integers(1, 4)), seeds, list[tuple[Tile, Bits | None]]()
    for number in range(count):
        left, right = _pair(p, rng, rows, cols, work, inner)
        first, last = number == 0, number == count - 1
        how = (interleave, share, seeds if first else None)
        tile = output_stationary_tile(p, left, right, work, *how, fresh=first, drain=last)
        sums = sparse_product(left, right, p.operand, sums)
        out.append((tile, sums if last else None))
    return out


def run_stream(machine: CompiledArray, tiles: list[tuple[Tile, Bits | None]], found: Streamed) -> None:
    """Run them, and compare: sums, counters, and when each tile's last sum came.

    A weight-stationary sum is there with the adder's last register, an output-stationary one when it has been shifted
    out, a cycle earlier. A run that rests behind its last sum for the next one to be compared says nothing.
    """
    done = machine.stream([tile for tile, _ in tiles])
    clock = begun = 0
    for number, ((tile, sums), ran) in enumerate(zip(tiles, done, strict=True)):
        clock += tile.cycles
        counters = ran.counters
        found.tiles += 1
        found.wrong_cycles += (counters["compute"], counters["waiting"]) != (tile.compute, 0)
        found.wrong_cycles += counters["cycles"] != tile.cycles
        if sums is None:
            continue
        found.sums += sums.size
        found.wrong_sums += int((ran.product != sums).sum())
        if tile.cycles == SHORTEST:
            continue
        seen = ran.elapsed - clock - tile.run.stationary_weights + _idle_links(tile)
        if number and begun:
            found.spacings += 1
            found.wrong_spacings += seen != begun
        begun = begun or seen


def _idle_links(tile: Tile) -> int:
    """Cycles in which a weight-stationary run's last row still fetches although its last sum has left."""
    p, run = tile.parameters, tile.run
    if not run.stationary_weights:
        return 0
    n, words = run.kept + 1, run.words + 1
    _, step = weight_stationary_step(p.timing, n, words * p.west_link)
    return max(0, words - (run.kept * step + p.adder_latency + p.cols - 1 + p.input_latency))
