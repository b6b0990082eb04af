"""The one parameter object that hardware, golden models, exporters and the command share."""

from dataclasses import dataclass
from fractions import Fraction

from rtl.formats import FloatFormat, Format, accumulator_of, operand_format
from rtl.timing import INPUT, SHORTEST, Array, fetch_lead, run_latency
from workloads.errors import UserError
from workloads.pattern import Pattern

LARGEST_GROUP = {"float": 32, "integer": 64}  # wider windows cost registers in every PE
DEEPEST = 8  # weights a PE holds for dense work unless told otherwise
LARGEST_SIDE = 256
LARGEST_MEMORY = 1 << 15  # words, weights and sums are counted in 16 bits
DEPTH = 512  # words a row, weights and sums a column: what a block memory of an FPGA holds anyway
LATENCIES = {"float": (3, 5), "integer": (1, 1)}  # multiplier, adder: where the longest paths are about even


@dataclass(frozen=True)
class Parameters:
    """An array of sparse PEs that cannot be impossible; `make_parameters` fills in what is usual.

    n, m: the pattern it is made for; every other one runs on it that has groups of at most m and keeps at most
    `weights`. depth: largest group depth g of dense work. accumulators: largest interleave. west_link: operands in a
    word of a row's memory, which gives one a cycle. row_depth: words in it. column_depth: weights in a column's memory.
    results: sums that wait before and behind a column. Depths are powers of two; a run that needs more is refused.
    Latencies in cycles.
    """

    format: str
    rows: int
    cols: int
    n: int
    m: int
    depth: int
    accumulators: int
    west_link: int
    multiplier_latency: int
    adder_latency: int
    row_depth: int
    column_depth: int
    results: int

    def __post_init__(self) -> None:
        operand_format(self.format, "--format")
        _check(self)

    @property
    def operand(self) -> Format:
        return operand_format(self.format)

    @property
    def accumulator(self) -> Format:
        return accumulator_of(self.operand)

    @property
    def weights(self) -> int:
        """Weights a PE holds."""
        return max(self.n, self.depth)

    @property
    def slots(self) -> int:
        """Sums a PE holds: an accumulator for each interleaved output, or one after each weight."""
        return max(self.accumulators, self.weights)

    @property
    def index_bits(self) -> int:
        """Bits that select one of m operands."""
        return (self.m - 1).bit_length()

    @property
    def slot_bits(self) -> int:
        return max(1, (self.slots - 1).bit_length())

    @property
    def group_bits(self) -> int:
        return self.m * self.operand.bits

    @property
    def weight_bits(self) -> int:
        """A weight with its index above it."""
        return self.operand.bits + self.index_bits

    @property
    def group_words(self) -> int:
        """Words a full group takes on a row's link."""
        return -(-self.m // self.west_link)

    @property
    def input_latency(self) -> int:
        """Cycles from the edge of a PE to its adder: input register, selected operand, multiplier."""
        return INPUT + self.multiplier_latency

    @property
    def fetch_lead(self) -> int:
        """Cycles from the fetch of a group's first word to its first use."""
        return fetch_lead(self.accumulators, self.group_words)

    @property
    def groups(self) -> int:
        """Groups that lie assembled at a row's edge: all that are fetched ahead or still in use, a power of two."""
        ahead = self.fetch_lead + max(self.accumulators, self.adder_latency + self.weights) + 2
        return 1 << (ahead - 1).bit_length()

    @property
    def entry_bits(self) -> int:
        """Bits that number a group at a row's edge."""
        return (self.groups - 1).bit_length()

    @property
    def row_bits(self) -> int:
        return max(1, (self.rows - 1).bit_length())

    @property
    def latency(self) -> int:
        """Cycles besides its own from a run's arrival at an idle array to its last sum: `rtl.timing.run_latency`."""
        return run_latency(self.accumulators, self.group_words)

    @property
    def settle(self) -> int:
        """Cycles after a reset in which the array is cleared: until whatever was on its way has passed by.

        Orders wait for their fetches, go through rows and columns, then through a PE; 16 more are for the registers of
        edges and memories on that way, of which there are fewer.
        """
        return self.fetch_lead + self.rows + self.cols + self.input_latency + self.adder_latency + 16

    @property
    def after_reset(self) -> int:
        """Cycles after a reset, or `abort_all`, until the last row and column take words: they hear of it in turn."""
        return self.settle + max(self.rows, self.cols)

    @property
    def turn_bits(self) -> int:
        """Bits that count the cycles of a period."""
        return max(self.accumulators, self.adder_latency, self.weights, self.group_words).bit_length()

    @property
    def loop_bits(self) -> int:
        """Bits that count groups, segments, positions and weights, of which no run has more than the memories hold."""
        return max(self.row_depth, self.column_depth).bit_length()

    @property
    def longest_pass(self) -> int:
        """Upper bound of the cycles a position takes through a PE."""
        period = max(self.weights, self.group_words)
        return (self.weights - 1) * (self.adder_latency + period - 1) + self.adder_latency

    @property
    def delay_bits(self) -> int:
        """Bits that count the cycles from one row to the next."""
        return max(1, self.longest_pass.bit_length())

    @staticmethod
    def pointer_bits(depth: int) -> int:
        """Bits that count places of a memory, and tell how far two counts are apart, either way."""
        return (depth - 1).bit_length() + 2

    @property
    def timing(self) -> Array:
        """The same array as `rtl.timing` sees it."""
        return Array(
            self.rows,
            self.cols,
            self.adder_latency,
            self.input_latency,
            west_link=Fraction(self.west_link),
            north_link=Fraction(1),
            sum_link=Fraction(2),
            sum_hop=1,
            shortest=SHORTEST,
            latency=self.latency,
        )

    @property
    def title(self) -> str:
        pattern = "dense" if self.m == 1 else f"{self.n}:{self.m}"
        return f"{pattern} {self.format} {self.rows}x{self.cols}"


def make_parameters(
    pattern: Pattern,
    rows: int,
    cols: int,
    form: str = "fp16",
    depth: int | None = None,
    accumulators: int | None = None,
    west_link: int | None = None,
    multiplier_latency: int | None = None,
    adder_latency: int | None = None,
    row_depth: int = DEPTH,
    column_depth: int = DEPTH,
    results: int = DEPTH,
) -> Parameters:
    """Parameters for a pattern, everything else as usual unless given.

    Raises UserError with what is allowed: for a pattern that is not grouped, sizes below 1, groups too large for the
    format, a depth beyond the group, latencies the cores do not have.
    """
    if not (pattern.is_grouped or pattern.is_dense):
        raise UserError(f"--pattern: the array takes 'dense', 'n:m' or 'bank n:m', not '{pattern}'")
    n, m = (1, 1) if pattern.is_dense else (pattern.n, pattern.m)
    kind = "float" if isinstance(operand_format(form, "--format"), FloatFormat) else "integer"
    multiplier, adder = LATENCIES[kind]
    adder = adder if adder_latency is None else adder_latency
    interleave = max(1, adder) if accumulators is None else accumulators
    return Parameters(
        format=form,
        rows=rows,
        cols=cols,
        n=n,
        m=m,
        depth=min(m, DEEPEST) if depth is None else depth,
        accumulators=interleave,
        west_link=min(m, 4) if west_link is None else west_link,
        multiplier_latency=multiplier if multiplier_latency is None else multiplier_latency,
        adder_latency=adder,
        row_depth=row_depth,
        column_depth=column_depth,
        results=results,
    )


def _check(p: Parameters) -> None:
    kind = "float" if isinstance(p.operand, FloatFormat) else "integer"
    largest = LARGEST_GROUP[kind]
    if p.n > p.m:
        raise UserError(f"--pattern: {p.n}:{p.m} keeps more than a group has; n must be at most m")
    if p.n < 1:
        raise UserError(f"--pattern: {p.n}:{p.m} keeps nothing; n must be at least 1")
    if p.m > largest:
        raise UserError(f"--pattern: groups of {p.m} are too wide for {p.format}; m must be at most {largest}")
    for name, value, low, high in (
        ("--rows", p.rows, 1, LARGEST_SIDE),
        ("--cols", p.cols, 1, LARGEST_SIDE),
        ("--depth", p.depth, 1, p.m),
        ("--accumulators", p.accumulators, 1, 64),
        ("--west-link", p.west_link, 1, p.m),
        ("--multiplier-latency", p.multiplier_latency, 1, 8),
        ("--adder-latency", p.adder_latency, 1, 13),
    ):
        _check_range(name, value, low, high)
    for name, value, low in (  # what a memory must hold follows from the others
        ("row depth", p.row_depth, 2 * p.group_words),
        ("column depth", p.column_depth, 2),
        ("results", p.results, p.rows),
    ):
        _check_range(name, value, low, LARGEST_MEMORY)
        if value & (value - 1):
            raise UserError(f"{name}: {value} is no power of two")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UserError(f"{name}: {value} is not possible here; it must be {low} to {high}")
