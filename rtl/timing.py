"""Cycles of a tile on the systolic array of unified sparse PEs: what the RTL must take and the simulator believes.

A tile's time is what it takes between its neighbours: the next one starts so many cycles after this one did, its links
included. A PE multiplies one kept weight by one selected operand a cycle. A group of m operands holds n kept weights;
dense work of group depth g is the pattern g:g. Notation: R rows, C columns, L adder latency, M multiplier latency, I
outputs a PE accumulates in turn (interleave), H cycles a sum waits between two rows. A latency of 0 stands for a result
usable in the next cycle.

Output stationary (outputs stay, both operands stream; skew and drain are those of any systolic array):

    round   = max(I, L, 1)                      one addition for each of I accumulators, waiting for the adder
    group   = max(n * round, ceil(m / link))    links feed m operands a row and n weights a column; a group begins
                                                a new word of the link, I groups of operands when outputs share weights
    tile    = sum of groups + (R - 1) + (C - 1) + M + max(L, 1) - 1 + R * I      (the last term: drain)

Weight stationary (n weights a PE stay, operands stream from the west, sums from the north):

    words   = ceil(m / link)                    a position's operands on a row's link
    period  = max(n, words, ceil(2 / link))     one position enters
    pass    = (n - 1) * L' + max(L, 1)          a position's way through a PE; L' >= L, L' = 1 modulo period, so that
                                                additions of different positions never meet in the adder
    fold    = R * ceil(n / link) + (P - 1) * period + (R - 1) * (pass + H)
              + max(pass + C - 1 + M, words, ceil(2 / link))
                                                the last position's operands and sums take the links as long as any
                                                others' do, in the last row too

On the RTL a run starts no sooner than `shortest` cycles after the one before it: what it takes is counted and compared
in registers. A run that finds the array idle pays the same, and `Array.latency` in all until its last sum is out.

Around the array:

    transposer  = ceil(blocks / units) * side             blocks of side x side, each turned by one unit in side cycles
    SORE        = m cycles a group, n + 1 more until what is kept of the last one has left
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

INPUT = 2  # cycles from the edge of a PE to its multiplier: the input's register, the selected operand's
COMPARE = 6  # cycles from a run's arrival to its start: what it takes is counted, compared and gathered
CORE_LAG = 4  # cycles from a run's start to the first word at the edge of the core's array, with a cycle to spare
CORE_EDGE = 16  # words, weights and sums that its edges hold
CORE_SUMS = 13  # cycles of the core from a run's last order to its last sum in memory
STORE_LEAD = 5  # cycles of its DMA from sums in memory to the first word of a store
CORE_TURNED = 2  # cycles of its transposer besides those of a block
CORE_SIDE = 4  # operands of a word of it, and rows of a block that it turns
CORE_UPDATED = 3  # cycles of its update engine besides those of a WUVE lane: memory, registers on both sides
CORE_SORTED = 2  # cycles of its SORE lanes besides those of `sorted_latency`
SHORTEST = COMPARE + 1  # cycles between the starts of two runs: the next one arrives when this one has started


@dataclass(frozen=True)
class Array:
    """The array's size and latencies in cycles, and its links: operands a row, weights and sums a column, a cycle.

    A link of None is never too narrow. `drains` says that results leave through the columns one a cycle; without it
    they vanish when they are done, as in an idealised array. sum_hop: cycles a sum waits between two rows, weight
    stationary. shortest: cycles between the starts of two runs at least. latency: cycles besides its own until a run's
    last sum can be used, which hold up nothing but who waits for it. multiplier_latency: from the edge of a PE.
    """

    rows: int
    cols: int
    adder_latency: int = 0
    multiplier_latency: int = 0
    west_link: Fraction | None = None
    north_link: Fraction | None = None
    sum_link: Fraction | None = None
    drains: bool = True
    sum_hop: int = 0
    shortest: int = 1
    latency: int = 0


class Reduction(NamedTuple):
    """The reduction of a product: `segments` runs of `length` elements, n of every m kept; groups stay in a run."""

    segments: int
    length: int
    n: int
    m: int

    @property
    def groups(self) -> int:
        return self.segments * -(-self.length // self.m)

    @property
    def kept(self) -> int:
        """Multiply-accumulates one output takes."""
        return self.segments * ((self.length // self.m) * self.n + min(self.n, self.length % self.m))


class TileCycles(NamedTuple):
    """Array cycles of one tile by what they are spent on; their sum is the tile's time."""

    busy: int
    latency: int
    links: int
    fill_drain: int

    @property
    def total(self) -> int:
        return self.busy + self.latency + self.links + self.fill_drain


def fetch_lead(interleave: int, words: int) -> int:
    """Cycles from the fetch of a group of so many words to its first use, when the last interleaved one is there."""
    return interleave * (words - 1) + 2


def run_latency(interleave: int, words: int) -> int:
    """Cycles besides its own from a run's arrival at an idle array to its last sum, when operands are there.

    It is compared, fetched ahead, told to the edges (3), put into and taken out of the results' memory (4). A
    weight-stationary sum is there when the adder has it, an output-stationary one a cycle earlier, when it has been
    shifted out. `interleave`: the most the array is made for; `words` of its widest group on a row's link.
    """
    return COMPARE + fetch_lead(interleave, words) + 7


def core_latency(interleave: int, words: int) -> int:
    """The same in the core, from the end of a run on, until the DMA can send its sums off.

    A run needs no comparison there. Behind the memory of the sums are the DMA's own registers (`STORE_LEAD`).
    """
    return fetch_lead(interleave, words) + CORE_SUMS + STORE_LEAD


def core_unread(rows: int, cols: int, interleave: int, words: int) -> int:
    """Cycles after a run's end in which the core still reads what the run gave back, in the last row or column.

    Its orders come `fetch_lead` and `CORE_LAG` cycles after the control's, a column or row further on a cycle later;
    as many words as the edges hold were read before. Nobody may write into the slot that soon.
    """
    return fetch_lead(interleave, words) + CORE_LAG + max(rows, cols) + 1 - CORE_EDGE


def transposed(lines: int, length: int, side: int, units: int) -> int:
    """Cycles in which `units` of side x side registers turn `lines` of operands; the last line needs a side more."""
    blocks = -(-lines // side) * -(-length // side)
    return -(-blocks // units) * side


def sorted_latency(n: int) -> int:
    """Cycles from the last value of a group that SORE takes until the last of n kept ones has left."""
    return n + 1


def _over(amount: int, link: Fraction | None) -> int:
    return 0 if link is None else -(-amount * link.denominator // link.numerator)


def output_stationary_stream(array: Array, work: Reduction, interleave: int, share_weights: bool) -> TileCycles:
    """Cycles in which a piece of the reduction streams through an output-stationary tile, fill and drain left out.

    The `interleave` outputs of a PE lie in different rows of the product, and share a weight, when `share_weights`;
    otherwise in different columns, and share operands.
    """
    tail = work.length % work.m
    full = (work.length // work.m) * work.segments
    busy = latency = links = 0
    parts = ((full, work.m, work.n), (work.segments, tail, min(work.n, tail)))
    for number, operands, kept in parts if tail else parts[:1]:
        waiting = kept * max(0, array.adder_latency - interleave)
        west = _over(operands, array.west_link) * (interleave if share_weights else 1)
        north = _over(kept * (1 if share_weights else interleave), array.north_link)
        busy += number * kept * interleave
        latency += number * waiting
        links += number * max(0, max(west, north) - kept * interleave - waiting)
    return TileCycles(busy, latency, links, 0)


def output_stationary_ends(array: Array, interleave: int) -> TileCycles:
    """Cycles of one output-stationary tile outside its stream: skew, pipeline, drain."""
    skew = array.rows - 1 + array.cols - 1
    pipeline = array.multiplier_latency + max(array.adder_latency, 1) - 1
    drain = array.rows * max(interleave, _over(interleave, array.sum_link)) if array.drains else 0
    return TileCycles(0, 0, 0, skew + pipeline + drain)


def weight_stationary_step(array: Array, n: int, m: int) -> tuple[int, int]:
    """The period in which positions enter, and the cycles between two additions to a position's sum in one PE."""
    period = max(n, _over(m, array.west_link), _over(2, array.sum_link))
    adder = max(array.adder_latency, 1)
    return period, adder + (1 - adder) % period


def weight_stationary_weights(array: Array, n: int) -> int:
    """Cycles in which a fold's weights enter, before its first position."""
    return array.rows * max(1, _over(n, array.north_link))


def weight_stationary_fold(array: Array, positions: int, n: int, m: int) -> TileCycles:
    """Cycles of one weight-stationary fold: R groups of the reduction by C columns, over `positions` rows."""
    period, step = weight_stationary_step(array, n, m)
    through = (n - 1) * step + max(array.adder_latency, 1)
    weights = weight_stationary_weights(array, n)
    rows = (array.rows - 1) * (through + array.sum_hop)
    links = max(_over(m, array.west_link), _over(2, array.sum_link))
    ends = weights + rows + max(through + array.cols - 1 + array.multiplier_latency, links) - period
    return TileCycles(positions * n, 0, positions * (period - n), ends)
