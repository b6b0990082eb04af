"""What the array computes with, in bits: formats of operands and accumulators, and n:m weights packed as it takes them.

Bit patterns travel as unsigned numpy integers (uint8, uint16, uint32); `encode` and `decode` go between them and
values.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl.timing import Reduction
from workloads.errors import unknown_name

Bits = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class FloatFormat:
    """An IEEE 754 style binary format: sign, `exponent_bits`, `fraction_bits`, with subnormals, infinities and NaN."""

    name: str
    exponent_bits: int
    fraction_bits: int

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def significand_bits(self) -> int:
        """Fraction and hidden bit."""
        return self.fraction_bits + 1

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def exponent_ones(self) -> int:
        """The exponent field of infinities and NaNs."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity(self) -> int:
        """Bit pattern of +infinity."""
        return self.exponent_ones << self.fraction_bits

    @property
    def nan(self) -> int:
        """Bit pattern of the one NaN that arithmetic makes: positive, quiet, nothing else set."""
        return self.infinity | 1 << (self.fraction_bits - 1)


@dataclass(frozen=True)
class IntFormat:
    """Two's complement; sums wrap around."""

    name: str
    bits: int


Format = FloatFormat | IntFormat

FP32 = FloatFormat("fp32", 8, 23)
FP16 = FloatFormat("fp16", 5, 10)
BF16 = FloatFormat("bf16", 8, 7)
INT8 = IntFormat("int8", 8)
INT32 = IntFormat("int32", 32)

OPERANDS: dict[str, Format] = {each.name: each for each in (FP16, BF16, INT8)}
_UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32}


def operand_format(name: str, where: str = "format") -> Format:
    """The operand format of that name. Raises UserError with what is allowed."""
    if name not in OPERANDS:
        raise unknown_name("operand format", name, OPERANDS, where)
    return OPERANDS[name]


def accumulator_of(operand: Format) -> Format:
    """What products of two operands are, and what they are summed in: FP32 for floats, INT32 for integers."""
    return FP32 if isinstance(operand, FloatFormat) else INT32


def dtype_of(form: Format) -> type[np.unsignedinteger]:
    """The unsigned numpy type that holds one bit pattern."""
    return _UNSIGNED[form.bits]


def decode(bits: Bits, form: Format) -> NDArray[np.float32] | NDArray[np.signedinteger]:
    """Values of bit patterns, same shape: float32 for floats (exact), int8 or int32 for integers."""
    unsigned = np.asarray(bits).astype(dtype_of(form))
    if isinstance(form, IntFormat):
        return unsigned.view(np.int8 if form.bits == 8 else np.int32)
    if form is BF16:
        return (unsigned.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return unsigned.view(np.float16).astype(np.float32) if form is FP16 else unsigned.view(np.float32)


def encode(values: NDArray[np.number], form: Format) -> Bits:
    """Bit patterns of values, same shape. Floats round to nearest even and NaNs become canonical; integers wrap."""
    if isinstance(form, IntFormat):
        return np.asarray(values).astype(np.int64).astype(dtype_of(form))
    single = np.asarray(values).astype(np.float32)
    with np.errstate(over="ignore"):
        bits = _bf16(single) if form is BF16 else single.astype(np.float16 if form is FP16 else np.float32)
    unsigned = bits.view(dtype_of(form))
    return np.where(np.isnan(single), dtype_of(form)(form.nan), unsigned)


def _bf16(single: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = single.view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return ((bits + half) >> np.uint32(16)).astype(np.uint16)


@dataclass(frozen=True)
class Packed:
    """values, positions: (kept, cols); bit patterns, and the element of the reduction each belongs to."""

    values: Bits
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """One group of the reduction: elements start..start + size, and rows first..first + kept of the packed weights."""

    start: int
    size: int
    first: int
    kept: int


def groups_of(work: Reduction) -> list[Group]:
    """The groups of a reduction in order."""
    out: list[Group] = []
    first = 0
    for segment in range(work.segments):
        for at in range(0, work.length, work.m):
            size = min(work.m, work.length - at)
            kept = min(work.n, size)
            out.append(Group(segment * work.length + at, size, first, kept))
            first += kept
    return out


def pack(weights: Bits, mask: NDArray[np.bool_], work: Reduction) -> Packed:
    """Pack (inner, cols) weights under a mask; groups that keep fewer than they may are filled up with zeros.

    Raises ValueError where the mask keeps more than n of a group, or does not fit the reduction.
    """
    if weights.shape != mask.shape or len(weights) != work.segments * work.length:
        raise ValueError(f"weights {weights.shape} and mask {mask.shape} are not those of a reduction of {work}")
    values, positions = [], []
    for group in groups_of(work):
        part = slice(group.start, group.start + group.size)
        kept = mask[part]
        if (kept.sum(axis=0) > group.kept).any():
            raise ValueError(
                f"the mask keeps more than {group.kept} of the {group.size} elements from {group.start} on"
            )
        order = np.sort(np.argsort(~kept, axis=0, kind="stable")[: group.kept], axis=0)
        values.append(np.where(np.take_along_axis(kept, order, 0), np.take_along_axis(weights[part], order, 0), 0))
        positions.append(group.start + order)
    return Packed(np.concatenate(values).astype(weights.dtype), np.concatenate(positions))
