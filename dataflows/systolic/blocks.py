"""Cutting a product into blocks, and putting loads ahead of the work that needs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rtl.timing import Reduction
from simulator.program import Loop, Node


class Run(NamedTuple):
    """`count` blocks of `size` elements in a row."""

    size: int
    count: int  # type: ignore[assignment]  # tuples have a method of this name


@lru_cache(maxsize=4096)
def cut(total: int, size: int) -> tuple[Run, ...]:
    """Whole blocks of `size` and the rest."""
    whole, rest = divmod(total, size)
    return tuple(Run(part, count) for part, count in ((size, whole), (rest, 1)) if part and count)


@lru_cache(maxsize=4096)
def pieces(reduction: Reduction, most: int) -> tuple[tuple[Reduction, int], ...]:
    """The reduction in pieces of at most about `most` elements, each with how often it comes.

    Whole kernel positions where there are several and one is small enough, otherwise runs of whole groups; the pieces
    keep the order of the reduction, and the first is the largest.
    """
    segments, length, n, m = reduction.segments, reduction.length, reduction.n, reduction.m
    if segments > 1 and length <= most:
        return tuple((Reduction(run.size, length, n, m), run.count) for run in cut(segments, most // length))
    a_segment = tuple((Reduction(1, run.size, n, m), run.count) for run in cut(length, max(1, most // m) * m))
    if len(a_segment) == 1:
        return ((a_segment[0][0], a_segment[0][1] * segments),)
    return a_segment * segments


class Share(NamedTuple):
    """A part of a reduction: its dense elements, those kept of them, and the groups they are in."""

    elements: int
    kept: int
    groups: int


@lru_cache(maxsize=4096)
def share(reduction: Reduction) -> Share:
    """All of a reduction."""
    return Share(reduction.segments * reduction.length, reduction.kept, reduction.groups)


@dataclass(frozen=True)
class Stage:
    """`count` times: `loads` fetch what `work` needs."""

    loads: tuple[Node, ...]
    work: tuple[Node, ...]
    count: int


def prefetched(stages: Sequence[Stage]) -> tuple[Node, ...]:
    """Stages in order, each round's loads written ahead of the work of the round before it (two slots suffice)."""
    out: list[Node] = list(stages[0].loads)
    for stage, after in zip(stages, [*stages[1:], None], strict=True):
        if stage.count > 1:
            out.append(Loop(stage.count - 1, (*stage.loads, *stage.work)))
        out.extend((*after.loads, *stage.work) if after else stage.work)
    return tuple(out)


def in_turn(stages: Sequence[Stage]) -> tuple[Node, ...]:
    """Stages in order, each round's loads right before its work (one slot suffices)."""
    return tuple(Loop(stage.count, (*stage.loads, *stage.work)) for stage in stages)


def repeat(count: int, body: Sequence[Node]) -> tuple[Node, ...]:
    """The body `count` times, without a loop where once is enough."""
    if count < 1 or not body:
        return ()
    return tuple(body) if count == 1 else (Loop(count, tuple(body)),)
