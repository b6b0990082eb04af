"""The band of a step's speed-up and energy ratio over everything that is assumed, all at once.

A Latin hypercube over all assumed numbers of the machine and prices of energy, each number's two ends alone, and a
coordinate search from the best and the worst sample. Prices need no simulation: a search for an end of the energy ratio
has the best prices at every step (`prices.Prices.extreme`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from scipy.stats import qmc

from simulator.card_parts import BAND, Band
from simulator.energy import UNITS
from simulator.result import Result
from simulator.rows import Show, silent
from simulator.sensitivity.digests import job_digest, machine_digest
from simulator.sensitivity.numbers import Move, OpenNumber, open_numbers, open_prices, search_moves
from simulator.sensitivity.search import Goal, Point, moved, searched, settled
from simulator.sensitivity.simulations import Simulations
from simulator.sensitivity.steps import ENERGY, SPEEDUP, Ratios, Steps
from simulator.sweep import workers
from workloads.errors import UserError
from workloads.progress import counted

Both = tuple[Ratios | None, Ratios | None]


@dataclass(frozen=True)
class How:
    """How a band is looked for: samples of the hypercube, their seed, simulations that the search may take, processes.

    jobs: one a core where it is 0.
    """

    samples: int = 256
    seed: int = 1
    search: int = 2000
    jobs: int = 0


@dataclass(frozen=True)
class Found:
    """A band and what it was found from. `varied`: numbers of the machine, then prices of energy.

    samples: values in the order of `varied`, with what they gave; None for a machine that is refused. alone: what the
    low and the high end of each gave while all others stood as they are. refused: reasons, with how many simulations.
    """

    band: Band
    varied: tuple[OpenNumber, ...]
    samples: tuple[tuple[Point, Ratios | None], ...]
    alone: tuple[Both, ...]
    refused: Mapping[str, int]


def with_band(result: Result, how: How) -> tuple[Result, Found]:
    """A result whose card has the band, and what that was found from. Raises UserError as `find_band` does."""
    check_band(result, how)
    simulations = Simulations(workers(how.jobs))
    with counted("simulation") as show:
        found = find_band(result, how, simulations, show)
    return replace(result, card=replace(result.card, more={**result.card.more, BAND: asdict(found.band)})), found


def check_band(result: Result, how: How) -> None:
    """Raises UserError for a result that has no speed-up, and for numbers of samples and simulations that cannot be."""
    if result.dense is None or "fabric" in result.card.more or result.card.is_dense:
        raise UserError("a band is of a speed-up over dense, which only a step with sparse weights has: --pattern 2:8")
    for option, value, least in (("samples", how.samples, 1), ("seed", how.seed, 0), ("search", how.search, 0)):
        if value < least:
            raise UserError(f"--{option} {value}: must be at least {least}")
    result.card.job.work.limits.check("points", how.samples + how.search, "--samples and --search")


def find_band(result: Result, how: How, simulations: Simulations, show: Show) -> Found:
    """The band of a result's speed-up over dense and of its energy ratio.

    A number that `--set` has changed stands still. The same numbers, seed and version of scipy give the same band,
    however many processes there are. Raises UserError where the step cannot be run again, and where nothing is assumed.
    """
    card = result.card
    job, numbers = replace(card.job, exact=False, dense=True), open_numbers(card.numbers)
    (row,) = simulations.rows([job], lambda *_: None)
    if row is None:
        raise UserError(f"the step cannot be run again: {next(iter(simulations.refused))}")
    energy = card.energy if row.get("energy_j") else None
    ranged = open_prices(energy, {name.removeprefix(UNITS) for name in row if name.startswith(UNITS)})
    if not numbers:
        raise UserError(f"machine '{card.arch}' has no assumed number with a range that could be varied")
    steps = Steps(job, numbers, energy, ranged, simulations)
    varied = (*numbers, *ranged.values())
    drawn = [
        tuple(each.at(share) for each, share in zip(varied, shares, strict=True))
        for shares in qmc.LatinHypercube(len(varied), seed=how.seed).random(how.samples)
    ]
    first = [steps.standing, *(point[: len(numbers)] for point in drawn)]
    lone = {each: [moved(steps.standing, numbers, Move((each,)), share) for share in (0, 1)] for each in numbers}
    steps.run([*first, *(point for ends in lone.values() for point in ends)], show, "samples, and each number alone")
    at, ended = _searched(steps, [point for point in first if steps.known[point]], how.search, show)
    standing = steps.ratios(steps.standing, {})
    assert standing is not None
    samples = tuple((point, steps.ratios(point[: len(numbers)], _prices(ranged, point))) for point in drawn)
    alone = [_both([steps.ratios(point, {}) for point in lone[each]]) for each in numbers]
    dear = {name: [{name: each.at(share)} for share in (0, 1)] for name, each in ranged.items()}
    alone += [_both([steps.ratios(steps.standing, price) for price in ends]) for ends in dear.values()]
    band = Band(
        job=job_digest(card),
        machine=machine_digest(card),
        work=card.job.describe(),
        cycles=result.cycles,
        dense_cycles=result.baseline.cycles,
        numbers=len(numbers),
        prices=len(ranged),
        seed=how.seed,
        samples=how.samples,
        refused=sum(found is None for _, found in samples),
        simulations=len(simulations),
        all_refused=simulations.refused.total(),
        ended=ended,
        speedup=steps.ends(SPEEDUP, standing.speedup, at),
        energy_ratio=None if standing.energy_ratio is None else steps.ends(ENERGY, standing.energy_ratio, at),
    )
    return Found(band, varied, samples, tuple(alone), dict(simulations.refused))


def _prices(ranged: Mapping[str, OpenNumber], point: Point) -> dict[str, float]:
    """The prices of a sample, which stand behind its numbers."""
    return dict(zip(ranged, point[-len(ranged) :], strict=True)) if ranged else {}


def _both(found: Sequence[Ratios | None]) -> Both:
    return found[0], found[1]


def _searched(steps: Steps, samples: Sequence[Point], most: int, show: Show) -> tuple[dict[Goal, Point], bool]:
    """The best point for every goal, of all that were run, and whether the search came to its end.

    There a number that makes no difference stands as in the file, which is what `settled` sees to.
    """
    spent: set[Point] = set()

    def run(points: Sequence[Point]) -> bool:
        spent.update(point for point in points if point not in steps.known)
        if len(spent) > most:
            return False
        steps.run(points, silent, "")
        show(len(spent), most, "search, at most")
        return True

    def best(goal: Goal, points: Sequence[Point]) -> Point:
        return max(points, key=lambda point: steps.score(goal, point))

    start = {goal: best(goal, samples) for goal in steps.goals}
    _, ended = searched(start, steps.numbers, search_moves(steps.numbers), run, steps.score)
    every = list(steps.known)
    most = max(most, len(spent)) + len(steps.goals) * len(steps.numbers)
    return settled({goal: best(goal, every) for goal in steps.goals}, steps.numbers, run, steps.score), ended
