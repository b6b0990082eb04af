"""Golden models of adder, multiplier, divider and square root: the processor's IEEE arithmetic, one canonical NaN."""

import numpy as np

from rtl.formats import FP32, Bits, FloatFormat, Format, IntFormat, accumulator_of, decode, encode


def multiply(a: Bits, b: Bits, form: Format) -> Bits:
    """Bit patterns of products, in the accumulator's format; a, b: bit patterns in `form`, shapes that broadcast."""
    product = accumulator_of(form)
    if isinstance(form, IntFormat):
        return encode(decode(a, form).astype(np.int64) * decode(b, form), product)
    with np.errstate(all="ignore"):
        return encode(decode(a, form) * decode(b, form), product)


def add(a: Bits, b: Bits, form: Format) -> Bits:
    """Bit patterns of sums; a, b: bit patterns in `form`, shapes that broadcast."""
    if isinstance(form, IntFormat):
        return encode(decode(a, form).astype(np.int64) + decode(b, form), form)
    with np.errstate(all="ignore"):
        return encode(decode(a, form) + decode(b, form), form)


def divide(a: Bits, b: Bits, form: FloatFormat) -> Bits:
    """Bit patterns of quotients of FP32 values."""
    with np.errstate(all="ignore"):
        return encode(decode(a, form) / decode(b, form), form)


def root(a: Bits, form: FloatFormat) -> Bits:
    """Bit patterns of square roots of FP32 values."""
    with np.errstate(all="ignore"):
        return encode(np.sqrt(decode(a, form)), form)


def narrow(a: Bits, form: FloatFormat) -> Bits:
    """Bit patterns of FP32 values rounded to another format."""
    return encode(decode(a, FP32), form)
