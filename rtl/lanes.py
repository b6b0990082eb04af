"""What a board may have beside the array, a lane of SORE and one of WUVE: parameters, and words on their way there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl.formats import FP32, Bits, FloatFormat, Format, dtype_of, encode, operand_format
from rtl.parameters import LARGEST_GROUP, Parameters
from workloads.errors import UserError, unknown_name

STATE = {"momentum": ("momentum",), "adamw": ("first_moment", "second_moment")}
CONSTANTS = {
    "momentum": ("momentum", "weight_decay", "learning_rate"),
    "adamw": ("beta1", "beta1_rest", "beta2", "beta2_rest", "root_correction", "epsilon", "decay", "rate"),
}
OPTIMIZERS = ("", *STATE)  # by number, as a board says it
NARROWER_LATENCY = 2  # cycles in which a weight becomes an operand
ENDS = 0x80  # beside an index: a group ends


@dataclass(frozen=True)
class SoreParameters:
    """A lane that keeps up to `n` of up to `m` values in `form`. Raises UserError for an n:m that it cannot have."""

    form: Format
    n: int
    m: int

    def __post_init__(self) -> None:
        largest = LARGEST_GROUP["float" if isinstance(self.form, FloatFormat) else "integer"]
        if not 1 <= self.n <= self.m:
            raise UserError(f"SORE: {self.n}:{self.m} is no pattern; n must be from 1 to m")
        if self.m > largest:
            raise UserError(
                f"SORE: groups of {self.m} {self.form.name} values are too large; m must be at most {largest}"
            )

    @property
    def index_bits(self) -> int:
        return max(1, (self.m - 1).bit_length())


@dataclass(frozen=True)
class UpdateParameters:
    """A lane that updates FP32 weights and hands them on in an operand's format.

    optimizer: 'momentum' or 'adamw'. format: 'fp16' or 'bf16'. Latencies in cycles; one weight enters every cycle
    whatever they are. Raises UserError for what it cannot do.
    """

    optimizer: str
    format: str = "fp16"
    adder_latency: int = 4
    multiplier_latency: int = 4
    divider_latency: int = 15
    root_latency: int = 14

    def __post_init__(self) -> None:
        if self.optimizer not in STATE:
            raise unknown_name("optimizer", self.optimizer, STATE, "WUVE")
        if not isinstance(self.operand, FloatFormat):
            raise UserError(f"WUVE: weights cannot be handed on as {self.format}; allowed are fp16 and bf16")

    @property
    def operand(self) -> Format:
        return operand_format(self.format, "WUVE")

    @property
    def state(self) -> tuple[str, ...]:
        """FP32 values kept for each weight."""
        return STATE[self.optimizer]

    @property
    def constants(self) -> tuple[str, ...]:
        """FP32 values that hold for a whole step."""
        return CONSTANTS[self.optimizer]

    @property
    def latency(self) -> int:
        """Cycles from a weight to the operand that it has become: the units that its longest way leads through."""
        add, multiply = self.adder_latency, self.multiplier_latency
        if self.optimizer == "momentum":
            return 2 * multiply + 3 * add + NARROWER_LATENCY
        return 3 * multiply + 3 * add + 2 * self.divider_latency + self.root_latency + NARROWER_LATENCY


def constants(optimizer: str, settings: Mapping[str, float]) -> dict[str, int]:
    """Bit patterns of a step's constants, computed in double precision and rounded once, as the training code does.

    settings: learning_rate, weight_decay; for 'momentum' also momentum, for 'adamw' beta1, beta2, epsilon and step,
    counted from 1.
    """
    at = dict(settings)
    if optimizer == "adamw":
        b1, b2, step = at["beta1"], at["beta2"], at["step"]
        at |= {
            "beta1_rest": 1 - b1,
            "beta2_rest": 1 - b2,
            "root_correction": (1 - b2**step) ** 0.5,
            "decay": at["learning_rate"] * at["weight_decay"],
            "rate": at["learning_rate"] / (1 - b1**step),
        }
    return {name: int(encode(np.float64(at[name]), FP32)) for name in CONSTANTS[optimizer]}


@dataclass(frozen=True)
class Lanes:
    """sore: a lane that keeps up to n of up to m, those of the array. optimizer: of a lane of WUVE; '' for none."""

    sore: bool = False
    optimizer: str = ""

    def check(self, p: Parameters) -> None:
        """Raises UserError for lanes that cannot be beside an array."""
        if self.sore:
            self.sore_lane(p)
        if self.optimizer:
            self.update_lane(p)

    def sore_lane(self, p: Parameters) -> SoreParameters:
        """Parameters of the SORE lane beside an array."""
        return SoreParameters(p.operand, p.n, p.m)

    def update_lane(self, p: Parameters) -> UpdateParameters:
        """Parameters of the WUVE lane beside an array. Raises UserError where weights are no floats."""
        return UpdateParameters(self.optimizer, p.format)


def lanes_of(sore: bool, optimizer: str) -> Lanes:
    """What is beside the array. Raises UserError for an optimizer that WUVE does not have."""
    if optimizer not in OPTIMIZERS:
        raise unknown_name("optimizer", optimizer, OPTIMIZERS[1:], "--optimizer")
    return Lanes(sore, optimizer)


@dataclass(frozen=True)
class LaneBytes:
    """Bytes of an item on the link: a dense value, a kept one, a step's constants, a weight before and after."""

    dense: int
    kept: int
    constants: int
    before: int
    after: int


def lane_bytes(p: Parameters, lanes: Lanes) -> LaneBytes:
    """Items in whole bytes."""
    value = p.operand.bits // 8
    if not lanes.optimizer:
        return LaneBytes(value + 1, value + 1, 0, 0, 0)
    lane = lanes.update_lane(p)
    words = 4 * (1 + len(lane.state))
    return LaneBytes(value + 1, value + 1, 4 * len(lane.constants), words + 4, words + value)


def ends_of(length: int, m: int) -> NDArray[np.bool_]:
    """Where groups of m end in a run of values, the last one perhaps shorter."""
    ends = np.arange(length) % m == m - 1
    ends[-1:] = True
    return ends


def sore_command(values: Bits, p: Parameters, n: int, m: int) -> bytes:
    """A run of values in groups of m, to keep n of each."""
    items = _records(values.astype(dtype_of(p.operand)), ends_of(len(values), m).astype(np.uint8))
    return b"G" + bytes([n]) + len(values).to_bytes(2, "little") + items.tobytes()


def kept_count(length: int, n: int, m: int) -> int:
    """Values that are kept of a run."""
    return length // m * n + min(n, length % m)


def kept_of(said: bytes, p: Parameters) -> tuple[Bits, NDArray[np.intp]]:
    """(values, indices in their groups) of what SORE gave."""
    items = np.frombuffer(said, [("value", dtype_of(p.operand)), ("index", np.uint8)])
    return items["value"], (items["index"] & (ENDS - 1)).astype(np.intp)


def update_commands(lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]) -> bytes:
    """A step's constants, then weights with their state and gradients: (count,) FP32 bit patterns by name."""
    by = np.array([constants[name] for name in lane.constants], "<u4")
    items = _records(*(fields[name].astype("<u4") for name in ("weight", *lane.state, "gradient")))
    return b"V\0\1\0" + by.tobytes() + b"U\0" + len(items).to_bytes(2, "little") + items.tobytes()


def updated_of(said: bytes, lane: UpdateParameters) -> dict[str, Bits]:
    """What WUVE gave, by name, as `rtl.golden.units.updated` does."""
    names = ("weight", *lane.state)
    items = np.frombuffer(said, [*((name, "<u4") for name in names), ("operand", dtype_of(lane.operand))])
    return {name: items[name] for name in (*names, "operand")}


def _records(*columns: Sequence[object]) -> NDArray[np.void]:
    """Columns side by side, each item's bytes together."""
    out = np.empty(len(columns[0]), [(f"f{number}", column.dtype) for number, column in enumerate(columns)])
    for number, column in enumerate(columns):
        out[f"f{number}"] = column
    return out
