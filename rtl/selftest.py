"""A fixed small set of chains of tiles, with what must come of them: a board is tried with it before it is believed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rtl.exported.vectors import fold_of, random_operands
from rtl.formats import FP32, Bits, Packed, encode
from rtl.golden.products import sparse_product
from rtl.golden.units import packed, updated
from rtl.hardware import Answer, Hardware
from rtl.lanes import Lanes
from rtl.parameters import Parameters
from rtl.tiles import Tile, folds_of, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction

SEED = 1
COUNT = 700  # values through a lane


@dataclass(frozen=True)
class Case:
    """Tiles to run one after the other, and the bit patterns that each has to give, none where sums stay inside."""

    dataflow: str
    chain: Sequence[Tile]
    products: Sequence[Bits]


@dataclass(frozen=True)
class Outcome:
    """What came of the cases of one dataflow, or of a lane.

    wrong_cycles: tiles whose counted cycles are not those of the model.
    """

    dataflow: str
    tiles: int = 0
    bits: int = 0
    wrong_bits: int = 0
    cycles: int = 0
    wrong_cycles: int = 0

    @property
    def passed(self) -> bool:
        return not self.wrong_bits and not self.wrong_cycles

    def after(self, case: Case, answers: Sequence[Answer]) -> "Outcome":
        """With another case."""
        pairs = list(zip(case.products, answers, strict=True))
        return Outcome(
            self.dataflow,
            self.tiles + len(pairs),
            self.bits + sum(want.size * 32 for want, _ in pairs),
            self.wrong_bits + sum(_bits_apart(want, answer.product) for want, answer in pairs),
            self.cycles + sum(answer.counters["cycles"] for answer in answers),
            self.wrong_cycles
            + sum(
                answer.counters["cycles"] != tile.cycles or answer.counters["waiting"] != 0
                for tile, answer in zip(case.chain, answers, strict=True)
            ),
        )


def tried(hardware: Hardware) -> Iterator[Outcome]:
    """Run all cases, dataflow after dataflow. Raises Unconfirmed."""
    rng = np.random.default_rng(SEED)
    for dataflow, cases in (
        ("output-stationary", output_stationary_cases(hardware.parameters, rng)),
        ("weight-stationary", weight_stationary_cases(hardware.parameters, rng)),
    ):
        outcome = Outcome(dataflow)
        for case in cases:
            outcome = outcome.after(case, hardware.run(case.chain))
        yield outcome


def tried_lanes(hardware: Hardware, lanes: Lanes) -> Iterator[Outcome]:
    """The lanes there are, with values of which many are alike. Raises Unconfirmed."""
    p, rng = hardware.parameters, np.random.default_rng(SEED)
    if lanes.sore:
        values = encode(rng.integers(-8, 8, COUNT).astype(np.float64), p.operand)
        kept, indices, _ = packed(values, p.operand, p.n, p.m)
        found = hardware.top_n(values, p.n, p.m)
        yield _compared("SORE", [(kept, found[0]), (indices, found[1])])
    if lanes.optimizer:
        lane = lanes.update_lane(p)
        by = {name: int(encode(rng.random(1), FP32)[0]) for name in lane.constants}
        names = ("weight", *lane.state, "gradient")
        fields = {name: encode(rng.standard_normal(COUNT) ** 2, FP32) for name in names}
        wanted, found_fields = updated(lane, fields, by), hardware.updated(lane, fields, by)
        yield _compared(f"WUVE {lane.optimizer}", [(wanted[name], found_fields[name]) for name in wanted])


def _compared(name: str, pairs: Sequence[tuple[Bits, Bits]]) -> Outcome:
    sizes, wrong = sum(want.size * 32 for want, _ in pairs), sum(_bits_apart(*pair) for pair in pairs)
    return Outcome(name, bits=sizes, wrong_bits=wrong)


def output_stationary_cases(p: Parameters, rng: np.random.Generator) -> Iterator[Case]:
    """The array's pattern and dense work, few and many outputs a PE, a reduction in one piece and in two."""
    for n, m in ((p.n, p.m), (p.depth, p.depth)):
        for interleave, share in ((1, True), (p.accumulators, True), (p.accumulators, False)):
            rows, cols = p.rows * (interleave if share else 1), p.cols * (1 if share else interleave)
            tiles, sums = [], None
            for number, last in enumerate((False, True)):
                work = Reduction(1, 2 * m + (m // 2 if last else 0), n, m)
                left, right = random_operands(p, rows, work, cols, rng)
                sums = sparse_product(left, right, p.operand, sums)
                tiles.append(output_stationary_tile(p, left, right, work, interleave, share, None, number == 0, last))
            yield Case("output-stationary", tiles, [np.zeros((0, 0), np.uint32), sums])


def weight_stationary_cases(p: Parameters, rng: np.random.Generator) -> Iterator[Case]:
    """The array's pattern and dense work, fold after fold on the sums of the one before."""
    for n, m in ((p.n, p.m), (p.depth, p.depth)):
        work = Reduction(1, (p.rows + 1) * m, n, m)
        left, right = random_operands(p, 5, work, p.cols, rng)
        sums: Bits | None = None
        for fold in range(folds_of(p, work)):
            tile = weight_stationary_tile(p, left, right, work, fold, sums)
            part: tuple[Bits, Packed] = fold_of(p, left, right, work, fold)
            sums = sparse_product(*part, p.operand, sums)
            yield Case("weight-stationary", [tile], [sums])


def _bits_apart(want: Bits, got: Bits) -> int:
    """Bits in which two products differ; all of them where one is missing."""
    if want.shape != got.shape:
        return want.size * 32
    return int(np.unpackbits((want ^ got).astype("<u4").view(np.uint8)).sum())
