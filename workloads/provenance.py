"""Where a number comes from. The words are the same in every file and every report."""

from dataclasses import dataclass
from enum import StrEnum


class Provenance(StrEnum):
    PUBLISHED = "published"  # stated by the source named
    SECONDARY = "secondary"  # quoted by somebody other than its author
    MEASURED = "measured"  # by the program or instrument named
    DERIVED = "derived"  # follows from other stated numbers, none of them assumed, and so has no range of its own
    ASSUMED = "assumed"  # nobody said so; the reason is given
    UNKNOWN = "unknown"  # not public, and nothing was assumed
    SET = "set"  # by the user, for this run


@dataclass(frozen=True)
class Origin:
    """Provenance of one number: the word, the source or reason, and the range it may lie in."""

    provenance: Provenance
    source: str
    low: float | None = None
    high: float | None = None


def combined(*parts: Provenance) -> Provenance:
    """Of a number that is worked out from several: no better than the worst of them, and derived from stated ones.

    >>> combined(Provenance.PUBLISHED, Provenance.ASSUMED).value
    'assumed'
    """
    worst = (Provenance.UNKNOWN, Provenance.ASSUMED, Provenance.SET)
    return next((each for each in worst if each in parts), Provenance.DERIVED)
