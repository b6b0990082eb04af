"""Every bound on what a user brings along, each with its reason.

A refused input costs at most 3 seconds and 300 MB, an accepted one of the default limits at most 10 seconds and 500 MB:
`make fuzz` holds the bounds to that.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

from workloads.errors import UserError, unknown_name

# ruamel's parser reads about 250 kB a second; the longest machine file that is shipped has 16 kB.
YAML_BYTES = 256 * 1024
# Nodes of a YAML file with every alias written out: doubling aliases make a file of 900 bytes 2^30 nodes long.
YAML_NODES = 20_000
# No file of ours is nested deeper than 8; Python's own recursion ends at 1,000.
DEPTH = 64
# A card names every number of its machine with its source, about 30 kB; a sweep's description is shorter.
CARD_BYTES = 8 * 1024 * 1024
# Digits of a number: every count here fits 64 bits, and a longer one cannot be meant.
DIGITS = 40
# Letters of a name, of a layer or an operand: what a column of a table can show, several times over.
NAME_LETTERS = 500
# Globs with a pattern of their own, and those of a workload file: each is held against the name of every layer.
GLOBS = 1_000
# Kernel positions of a convolution, which dataflows walk through one by one; the largest known kernels have 51 x 51.
TAPS = 4_096
# Values of a JSON text: an empty list takes 64 bytes where its text takes 3.
JSON_VALUES = 2_000_000
# Letters of a sentence on standard error; what was given is cut in its middle, its ends say which it was.
SENTENCE_LETTERS = 1_000
# Bytes of a file of samples; the largest that is shipped has 0.7 MB.
SAMPLES_BYTES = 64 * 1024 * 1024
# Rows of a table of a result or a sweep's bucket: 64 times the ops of the largest step that is taken.
TABLE_ROWS = 2_000_000
# Bytes of a table on disk, and of it in memory as the file itself states them.
TABLE_BYTES = 256 * 1024 * 1024


NOUNS = {"file_mib": "MiB", "side": "rows or columns"}  # where the name of a limit is none in a sentence


@dataclass(frozen=True)
class Limits:
    """The bounds that a user with more memory, or more time, may raise: `--limit points=200000`.

    file_mib: of a workload, a topology or a matrix on disk, unpacked; JSON takes ten times its size in memory. ops: of
    a step; each takes about a millisecond to be laid out. distinct_products: of a step, counted by their sizes and
    patterns; a mapping is looked for in each, which takes 10 to 30 milliseconds. elements: stored in one matrix; making
    one takes about 100 bytes for each. side: rows or columns of a matrix; a row of a uniform one takes 15 microseconds.
    multiplies: elementary products of two matrices; the slowest kernels take 1.5 microseconds and 50 bytes for each.
    comparisons: rows times the elements that each is held against, which kernel `inner` does; 10 nanoseconds each.
    points: of a sweep, before constraints; each is made before the first is run.
    """

    file_mib: int = 16
    ops: int = 6_000
    distinct_products: int = 300
    elements: int = 1 << 20
    side: int = 1 << 18
    multiplies: int = 4_000_000
    comparisons: int = 500_000_000
    points: int = 50_000

    def check(self, name: str, size: float, what: str) -> None:
        """Raises UserError where `what` ("a sweep of 3 axes") has a size above the limit of that name."""
        most = getattr(self, name)
        if size > most:
            noun = NOUNS.get(name, name.replace("_", " "))
            raise UserError(f"{what} has {_number(size)} {noun}, and {most:,} are taken; --limit {name}=N raises that")

    def raised(self) -> dict[str, int]:
        """The limits that are not the default ones."""
        return {name: value for name, value in asdict(self).items() if value != getattr(Limits, name)}


LIMITS = Limits()
LARGEST_LIMIT = 2**60  # beyond this, sizes do not fit 64 bits anyway


def parse_limits(texts: Sequence[str]) -> Limits:
    """The limits with those of texts such as "points=200000". Raises UserError for anything else."""
    found, known = LIMITS, [field.name for field in fields(Limits)]
    for text in texts:
        name, _, value = text.partition("=")
        if name not in known:
            raise unknown_name("limit", name, known, f"--limit {text}")
        if not (value.isascii() and value.isdigit() and len(value) <= DIGITS and 1 <= int(value) <= LARGEST_LIMIT):
            raise UserError(f"--limit {text}: write {name}=N with a whole number from 1 to {LARGEST_LIMIT}")
        found = replace(found, **{name: int(value)})
    return found


def _number(size: float) -> str:
    """A size as it is read best: 1,000,000 or 1.0e+15."""
    return f"{size:,}" if isinstance(size, int) and size < 10**12 else f"{float(size):.1e}"
