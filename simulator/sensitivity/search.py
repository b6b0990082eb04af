"""A coordinate search: one number after the other to the ends and the middle of its range, as long as that helps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

from simulator.sensitivity.numbers import Move, OpenNumber

SHARES = (0.0, 0.5, 1.0)  # of a range, which are tried
GAIN = 1e-4  # less is no improvement: mappings within 0.2 % of the best count as equally good already
Point = tuple[float, ...]  # a value a number


@dataclass(frozen=True)
class Goal:
    """A ratio ("speedup", "energy_ratio") to be made as large (sign 1) or as small (-1) as can be."""

    ratio: str
    sign: int


Score = Callable[[Goal, Point], float]  # what is larger is better; points that cannot be run are last


def searched(
    start: Mapping[Goal, Point],
    numbers: Sequence[OpenNumber],
    moves: Sequence[Move],
    run: Callable[[Sequence[Point]], bool],
    score: Score,
) -> tuple[dict[Goal, Point], bool]:
    """The best point found for every goal from where it starts, and whether each search came to its end.

    A goal is given up when no move has helped it for a whole pass. `run` simulates points, those of all goals at once,
    and says whether it may go on.
    """
    at, quiet = dict(start), dict.fromkeys(start, 0)
    for move in cycle(moves):
        tried = {
            goal: [moved(at[goal], numbers, move, share) for share in SHARES] for goal in at if quiet[goal] < len(moves)
        }
        if not tried:
            return at, True
        if not run([point for points in tried.values() for point in points]):
            return at, False
        for goal, points in tried.items():
            best = max(points, key=lambda point, goal=goal: score(goal, point))  # type: ignore[misc]
            better = score(goal, best) > score(goal, at[goal]) + GAIN * abs(score(goal, at[goal]))
            at[goal], quiet[goal] = (best, 0) if better else (at[goal], quiet[goal] + 1)
    raise AssertionError("there is no number to move")


def moved(point: Point, numbers: Sequence[OpenNumber], move: Move, share: float) -> Point:
    """A point with some of its numbers at a share of their ranges."""
    return tuple(each.at(share) if each in move.numbers else value for each, value in zip(numbers, point, strict=True))


def settled(
    at: Mapping[Goal, Point], numbers: Sequence[OpenNumber], run: Callable[[Sequence[Point]], bool], score: Score
) -> dict[Goal, Point]:
    """The same points with every number as it stands in the file that makes nothing worse there."""
    found = dict(at)
    for place, number in enumerate(numbers):
        tried = {goal: (*point[:place], number.value, *point[place + 1 :]) for goal, point in found.items()}
        run(list(tried.values()))
        found |= {goal: point for goal, point in tried.items() if score(goal, point) >= score(goal, found[goal])}
    return found
