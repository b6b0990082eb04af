"""The one parameter object that hardware, golden models, exporters and the command share."""

from dataclasses import dataclass, replace
from fractions import Fraction

from rtl.formats import FloatFormat, Format, accumulator_of, operand_format
from rtl.timing import Array
from workloads.errors import UserError
from workloads.pattern import Pattern

LARGEST_GROUP = {"float": 32, "integer": 64}  # wider windows cost registers in every PE
DEEPEST = 8  # weights a PE holds for dense work unless told otherwise
LARGEST_SIDE = 256
LARGEST_QUEUE = 1 << 20
LATENCIES = {"float": (2, 4), "integer": (1, 1)}  # multiplier, adder: where the longest paths are about even


@dataclass(frozen=True)
class Parameters:
    """An array of sparse PEs that cannot be impossible; `make_parameters` fills in what is usual.

    n, m: the pattern it is made for; every other one runs on it that has groups of at most m and keeps at most
    `weights`. depth: largest group depth g of dense work. accumulators: largest interleave. west_link: operands a row
    takes in a cycle. buffer: groups of operands that wait at the edge of a row. results: sums that wait at the end of a
    column. Latencies in cycles; `select_latency` is a register behind the operand selector, or none.
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
    select_latency: int
    buffer: int
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
        """Cycles from the edge of a PE to its adder: input register, selector, multiplier."""
        return 1 + self.select_latency + self.multiplier_latency

    @property
    def longest_pass(self) -> int:
        """Upper bound of the cycles a position takes through a PE."""
        period = max(self.weights, self.group_words)
        return (self.weights - 1) * (self.adder_latency + period - 1) + self.adder_latency

    @property
    def delay_bits(self) -> int:
        """Bits that count the cycles from one row to the next."""
        return max(1, (self.longest_pass - 1).bit_length())

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
    buffer: int | None = None,
    results: int = 2,
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
    made = Parameters(
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
        select_latency=int(m > 1 and kind == "float"),
        buffer=LARGEST_QUEUE if buffer is None else buffer,
        results=results,
    )
    return made if buffer is not None else replace(made, buffer=1 << (least_buffer(made) - 1).bit_length())


def least_buffer(parameters: Parameters) -> int:
    """Groups a row's buffer must hold: two rounds of interleaved ones, or all that a PE is busy with, and one more."""
    lag = -(-parameters.adder_latency // parameters.weights) * (parameters.weights - 1)
    return max(2 * parameters.accumulators + 2, lag + 2, 2 * (parameters.weights - 1) + 2)


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
        ("select latency", p.select_latency, 0, 1),
        ("results", p.results, 1, LARGEST_QUEUE),
    ):
        _check_range(name, value, low, high)
    _check_range("buffer", p.buffer, least_buffer(p), LARGEST_QUEUE)  # what it must hold follows from the others
    if p.buffer & (p.buffer - 1):
        raise UserError(f"buffer: {p.buffer} groups is no power of two")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UserError(f"{name}: {value} is not possible here; it must be {low} to {high}")
