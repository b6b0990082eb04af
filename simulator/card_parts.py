"""What a run card says beside its own fields, as pages read it: the parts on a fabric, a band and hardware."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from workloads.errors import UserError
from workloads.files.reading import checked

MOST = 1e60  # of picojoules, say: beyond any run that is taken, and far from where sums of numbers are no number
BAND = "band"  # what the part on a band is called
Whole = Annotated[int, Field(strict=True, ge=0, lt=2**62)]
Amount = Annotated[float, Field(strict=True, ge=0, le=MOST)]
Truth = Annotated[bool, Field(strict=True)]
Finite = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, ge=-MOST, le=MOST)]
Scalar = Truth | Finite | str
Json = Mapping[str, Any]  # values as JSON has them


@dataclass(frozen=True)
class Sizes:
    """A sparse matrix."""

    name: str
    rows: Whole
    cols: Whole
    nonzeros: Whole


@dataclass(frozen=True)
class Timeline:
    """Load over time in equal parts: `working` has a row a core."""

    bin_cycles: Amount
    working: list[list[Amount]]
    instructions_per_cycle: list[Amount]
    bytes_per_cycle: list[Amount]


@dataclass(frozen=True)
class Occupancy:
    """How full tables are."""

    least: Amount
    mean: Amount
    most: Amount


@dataclass(frozen=True)
class OnChips:
    """A run's work on so many chips: what a load takes, and threads that must be at work for it to take as long."""

    chips: Whole
    load_cycles: Whole
    threads: Whole
    at_work: Amount


@dataclass(frozen=True)
class Fabric:
    """What a product of matrices was on a fabric."""

    thread_time: Mapping[str, Amount]
    used: Mapping[str, Amount]
    loads_in_flight: Whole
    load_time: Amount
    chips: list[OnChips]
    instructions_per_cycle: Amount
    multiplies: Whole
    stored: Whole
    windows: Whole
    split_rows: Whole
    probe_lengths: list[Whole]
    steps: Whole
    occupancy: Occupancy
    timeline: Timeline


@dataclass(frozen=True)
class OnFabric:
    """The card's part on fabrics."""

    kernel: str
    kernel_does: str
    kernel_options: Mapping[str, Scalar | None]
    kernel_steps: Mapping[str, object]


@dataclass(frozen=True)
class OfProduct(OnFabric):
    """The same of a product of matrices."""

    matrices: Mapping[str, Sizes]
    fabric: Fabric


@dataclass(frozen=True)
class Class:
    """A class of tiles."""

    layer: str
    phase: str
    dataflow: str
    pattern: str
    array_cycles: Whole
    tiles: Whole
    status: Literal["confirmed", "differs", "not confirmed", "no tile"]


@dataclass(frozen=True)
class Lane:
    """A block through SORE or WUVE."""

    lane: str
    layer: str
    what: str
    values: Whole
    bits: Whole
    wrong_bits: Whole
    ties: Whole
    status: str
    difference: str


@dataclass(frozen=True)
class Link:
    """What the link to the hardware did."""

    sent: Whole
    received: Whole
    payload: Whole
    frames: Whole
    repeated: Whole
    damaged: Whole
    sessions: Whole
    seconds: Amount


@dataclass(frozen=True)
class BufferWaits:
    """Cycles of a product in which the array could have begun but for a slot of a buffer: in hardware, simulated."""

    layer: str
    phase: str
    buffers: Mapping[str, tuple[Whole, Whole]]


@dataclass(frozen=True)
class Hardware:
    """The card's part on hardware in the loop; with `core` its tiles are whole products, which have `waits`."""

    hardware: str
    array: str
    parameters: Mapping[str, Scalar | None]
    seed: Whole
    resumed_tiles: Whole
    tiles: Whole
    confirmed_tiles: Whole
    differing_tiles: Whole
    unconfirmed_tiles: Whole
    first_difference: str
    bits: Whole
    wrong_bits: Whole
    operands: Whole
    nonzero_operands: Whole
    model_cycles: Whole
    hardware_cycles: Whole
    tiles_with_other_cycles: Whole
    own_values_tiles: Whole
    confirmed_share_of_array_cycles: Mapping[str, Amount]
    classes: list[Class]
    lanes: list[Lane]
    link: Link
    waits: list[BufferWaits] = field(default_factory=list)


@dataclass(frozen=True)
class Ends:
    """A ratio, how far it goes, and the settings (`--set`) that give it at either end; others stand as they are."""

    value: Amount
    low: Amount
    high: Amount
    low_settings: tuple[str, ...]
    high_settings: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """How far a step's speed-up over dense and its energy ratio (dense over sparse) go over all that is assumed.

    job, machine: digests of what it is of (`simulator.sensitivity.digests`); work: that in words. cycles, dense_cycles:
    as everything stands. numbers, prices: how many were varied, all at once. samples, seed: of a Latin hypercube, of
    which `refused` cannot be run. simulations: in all, of which all_refused cannot be run. ended: whether the search
    came to its end, or to what it was allowed. energy_ratio: None without an energy table.
    """

    job: str
    machine: str
    work: str
    cycles: Whole
    dense_cycles: Whole
    numbers: Whole
    prices: Whole
    seed: Whole
    samples: Whole
    refused: Whole
    simulations: Whole
    all_refused: Whole
    ended: Truth
    speedup: Ends
    energy_ratio: Ends | None


def check_parts(more: Json, hil: Json | None, place: str) -> None:
    """Raises UserError where a part of a card is not what pages read."""
    if "fabric" in more:
        fabric = checked(OfProduct, more, f"{place}: more").fabric
        timeline = fabric.timeline
        lists = (*timeline.working, timeline.instructions_per_cycle, timeline.bytes_per_cycle)
        if not timeline.working or len({0, *map(len, lists)}) != 2:
            raise UserError(f"{place}: more: fabric.timeline: its lists are not of one length")
        if len(fabric.chips) < 2:
            raise UserError(f"{place}: more: fabric.chips: the run's own number of chips and another are needed")
    elif "kernel" in more:
        checked(OnFabric, more, f"{place}: more")
    if BAND in more:
        checked(Band, more[BAND], f"{place}: more: {BAND}")
    if hil is not None:
        found = checked(Hardware, hil, f"{place}: hil")
        for phase in ("step", *(each.phase for each in found.classes)):
            if phase not in found.confirmed_share_of_array_cycles:
                raise UserError(f"{place}: hil: confirmed_share_of_array_cycles: has no '{phase}'")
