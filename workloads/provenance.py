"""Where a number comes from. The words are the same in every file and every report."""

from dataclasses import dataclass
from enum import StrEnum


class Provenance(StrEnum):
    PUBLISHED = "published"  # stated by the source named
    SECONDARY = "secondary"  # quoted by somebody other than its author
    MEASURED = "measured"  # by the program or instrument named
    DERIVED = "derived"  # follows from other stated numbers
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
