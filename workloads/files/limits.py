"""Every bound on what a user brings along, each with its reason.

A refused input costs at most 3 seconds and 300 MB, an accepted one of the default limits at most 10 seconds and 500 MB:
`make fuzz` holds the bounds to that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType

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
# Fields of an ONNX file's messages, weights passed over: each takes four microseconds; BERT-large has 40,000.
ONNX_FIELDS = 500_000
# Bytes of memory and seconds of the process that finds an ONNX file's sizes: BERT-large takes 0.2 GB and a second.
ONNX_MEMORY = 2 * 1024 * 1024 * 1024
ONNX_SECONDS = 60
# Letters of a sentence on standard error; what was given is cut in its middle, its ends say which it was.
SENTENCE_LETTERS = 1_000
# Bytes of a file of samples; the largest that is shipped has 0.7 MB.
SAMPLES_BYTES = 64 * 1024 * 1024
# Rows of a table of a result or a sweep's bucket: 64 times the ops of the largest step that is taken.
TABLE_ROWS = 2_000_000
# Rows times columns of it: each takes 40 bytes as a value of Python's, however few it takes on disk.
TABLE_VALUES = 8_000_000
# Bytes of a table on disk, and of it in memory as the file itself states them.
TABLE_BYTES = 256 * 1024 * 1024
# Tiles of a run on hardware: on a link each takes a second or two, so that these are a day or two.
HIL_TILES = 100_000
# Bytes of a file that grows by a line for every tile of a run or every step of a proposal: 1.4 kB a tile with the
# longest names, 2 to 14 kB a proposal, so that 50,000 of either fit. It is read line by line.
LINES_BYTES = 1024 * 1024 * 1024
# Bytes of one of its lines: the longest that was seen has 10 kB.
LINE_BYTES = 1024 * 1024
# Letters of a sweep's constraints and ties, all together: each is worked out for every point. Ours have 60.
EXPRESSION_LETTERS = 1_000
# Values of a machine's fields that a sweep names: each is held against its machine first, in half a millisecond.
SWEEP_VALUES = 2_000
# Processes of a sweep on this machine: each takes 200 MB.
JOBS = 1_024
# A line of a training's log has 8 numbers, of at most 25 letters each.
LOG_LINE = 400
# Bytes of one array of images as it is unpacked: MNIST has 47 MB, EMNIST's digits 188 MB.
IMAGES_BYTES = 256 * 1024 * 1024
# Pixels a side of an image in such an array: one image becomes 64-bit numbers to be measured.
IMAGES_SIDE = 4096
# Bytes of one image file, and its pixels, unpacked or enlarged: ImageNet's largest has 61 million.
IMAGE_BYTES = 64 * 1024 * 1024
IMAGE_PIXELS = 1 << 26
# What a training run can be asked for: beyond these, products of sizes leave 64 bits before memory could refuse them.
TRAINING: Mapping[str, int] = MappingProxyType(
    {
        "limit": 10**9,
        "image": 16_384,
        "sequence": 10**6,
        "epochs": 10**9,
        "steps": 10**9,
        "batch": 10**6,
        "accumulate": 10**6,
        "threads": 512,  # OpenMP ends the process when it gets no more threads
        "checkpoint_every": 10**9,
    }
)
LARGEST_WIDTH = 1000.0  # times a model's own channels
# Pixels and tokens of a step, at up to its own width, for which no model that is known takes more than a few GB: there
# its memory is not looked at before, which takes seconds.
SMALL_PIXELS, SMALL_TOKENS = 1 << 20, 1 << 11
# Numbers in one input of a module, and one side of it: torch counts bytes in 64 bits.
INPUT_NUMBERS = 2**48


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
    points: of a sweep, before constraints; each is made before the first is run. commands: carried out one by one by
    `--exact`, 300,000 of them a second; ResNet-50 has 5.7 million.
    """

    file_mib: int = 16
    ops: int = 6_000
    distinct_products: int = 300
    elements: int = 1 << 20
    side: int = 100_000
    multiplies: int = 4_000_000
    comparisons: int = 500_000_000
    points: int = 50_000
    commands: int = 6_000_000

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
