"""A run of the array, field by field: the one place that says how it is laid out, for host and hardware alike."""

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any

from workloads.errors import UserError


def _bits(width: int, default: int = 0) -> Any:
    return field(default=default, metadata={"bits": width})


@dataclass(frozen=True)
class Run:
    """One run, in the order in which its fields lie, the first one lowest. Counts are minus one unless said otherwise.

    Output stationary: `segments` x (`groups` full groups of `kept` weights, then a tail of `tail_kept` if that is not
    0) for `interleave` outputs a PE. Weight stationary: `kept` weights a PE, then `positions` positions.

    share_weights: the outputs of a PE share its weights, otherwise its operands. fresh: accumulators start from zero.
    seed: they start from the seed streams; weight stationary, every position's sum does. drain: sums leave afterwards.
    words, tail_words: words of a row that a full group and a tail take. row_words, column_weights: all words that a row
    takes and all weights that a column takes, which the array counts along.
    """

    stationary_weights: int = _bits(1)
    share_weights: int = _bits(1)
    fresh: int = _bits(1, 1)
    seed: int = _bits(1)
    drain: int = _bits(1, 1)
    reserved: int = _bits(3)
    interleave: int = _bits(8)
    kept: int = _bits(8)
    words: int = _bits(8)
    tail_kept: int = _bits(8)  # itself
    tail_words: int = _bits(8)
    groups: int = _bits(16)  # itself
    segments: int = _bits(16)
    positions: int = _bits(16)
    row_words: int = _bits(16)
    column_weights: int = _bits(16)


ITSELF = ("stationary_weights", "share_weights", "fresh", "seed", "drain", "reserved", "tail_kept", "groups")
"""Fields that are no counts less one."""


def field_bits() -> dict[str, int]:
    """Bits of every field by name, the lowest field first."""
    return {each.name: each.metadata["bits"] for each in fields(Run)}


RUN_BITS = sum(field_bits().values())


def run_bits(run: Run) -> int:
    """The run as one number. Raises UserError for a count that is too large for its field."""
    out = at = 0
    for name, width in field_bits().items():
        value = getattr(run, name)
        if not 0 <= value < 1 << width:
            raise UserError(f"the array cannot count {name} to {value}; cut the tile into smaller pieces")
        out |= value << at
        at += width
    return out


class Error(IntEnum):
    """Why a run was refused or given up."""

    NONE = 0
    EMPTY = 1
    INTERLEAVE = 2
    KEPT = 3
    WORDS = 4
    LONG = 5
    HELD = 6
    COUNT = 7
    STARVED = 8


REASONS = {
    Error.EMPTY: "neither a full group nor a tail",
    Error.INTERLEAVE: "more outputs a PE than accumulators",
    Error.KEPT: "more weights than a PE keeps",
    Error.WORDS: "more words in a group than a group has",
    Error.LONG: "more than the memories hold",
    Error.HELD: "adds to sums that are not there, or its seeds would meet sums that never left",
    Error.COUNT: "takes other numbers of words or weights than it says",
    Error.STARVED: "what it takes did not come in time, or nobody took what the runs before it gave",
}
