"""Operands for tests of arithmetic: every class of number, both signs, and close calls."""

import numpy as np

from rtl.formats import Bits, Format, IntFormat, dtype_of


def corners(form: Format) -> Bits:
    """Every class at both signs: zero, subnormal, normal, infinity and NaN, each at its ends and in its middle."""
    if isinstance(form, IntFormat):
        top = 1 << (form.bits - 1)
        return np.array([0, 1, 2, 3, top - 1, top, top + 1, 2 * top - 2, 2 * top - 1], dtype_of(form))
    last = (1 << form.fraction_bits) - 1
    fractions = [0, 1, last // 2, last // 2 + 1, last // 2 + 2, last - 1, last]
    exponents = [0, 1, 2, form.bias - 1, form.bias, form.bias + 1, form.exponent_ones - 1, form.exponent_ones]
    values = [exponent << form.fraction_bits | fraction for exponent in exponents for fraction in fractions]
    return np.array([sign << (form.bits - 1) | value for sign in (0, 1) for value in values], dtype_of(form))


def pairs(values: Bits) -> tuple[Bits, Bits]:
    """Every pair of the values."""
    left, right = np.meshgrid(values, values)
    return left.reshape(-1), right.reshape(-1)


def biased(form: Format, count: int, rng: np.random.Generator) -> Bits:
    """Random bit patterns, of which many lie at ends of their range or near one another."""
    if isinstance(form, IntFormat):
        return rng.integers(0, 1 << form.bits, count).astype(dtype_of(form))
    exponent = rng.integers(0, form.exponent_ones + 1, count)
    near = form.bias + rng.integers(-3, 4, count)
    ends = rng.choice([0, 1, form.exponent_ones - 1, form.exponent_ones], count)
    exponent = np.choose(rng.integers(0, 4, count), [exponent, near, ends, near])
    fraction = rng.integers(0, 1 << form.fraction_bits, count)
    few = np.uint64(1) << rng.integers(0, form.fraction_bits, count).astype(np.uint64)
    full = np.full(count, (1 << form.fraction_bits) - 1)
    fraction = np.choose(
        rng.integers(0, 4, count), [fraction, few.astype(np.int64), full - few.astype(np.int64), fraction]
    )
    sign = rng.integers(0, 2, count)
    return (sign << (form.bits - 1) | exponent << form.fraction_bits | fraction).astype(dtype_of(form))


def rounding_cases(exponent: int, each: int, rng: np.random.Generator) -> tuple[Bits, Bits]:
    """FP32 operands of sums: `exponent` against every other, all signs, `each` fractions for every case.

    Below the place where the second fraction is cut when it is aligned (or where the first would be) it holds nothing,
    the least, just under a half, a half, just over it, or ones; the bits above are random, full or empty.
    """
    other, signs, number = np.meshgrid(np.arange(256), np.arange(4), np.arange(each), indexing="ij")
    distance = np.clip(np.abs(other - exponent) + rng.integers(-1, 2, other.shape), 0, 24)
    half = np.where(distance > 0, 1 << np.maximum(distance - 1, 0), 0)
    below = np.choose(number % 6, [half * 0, np.minimum(half, 1), half - 1, half, half + 1, 2 * half - 1])
    last = (1 << 23) - 1
    fractions = [rng.integers(0, last + 1, other.shape) for _ in range(2)]
    filled = [np.choose(rng.integers(0, 6, other.shape), [f, f, f, f, f * 0, f * 0 + last]) for f in fractions]
    cut = (filled[1] >> distance << distance | np.maximum(below, 0)) & last
    left = (signs & 1) << 31 | exponent << 23 | filled[0]
    right = (signs >> 1) << 31 | other << 23 | np.where(number % 7 == 6, filled[0] ^ (1 << number % 23), cut)
    return left.reshape(-1).astype(np.uint32), right.reshape(-1).astype(np.uint32)


def cancelling(each: int, rng: np.random.Generator) -> tuple[Bits, Bits]:
    """FP32 operands of differences that leave few bits: at every exponent, `each` fractions, one bit of them changed.

    Half of the time the second exponent is one less, so that the guard bit is all that is left of it.
    """
    exponent, bit, less, _ = np.meshgrid(np.arange(1, 256), np.arange(23), np.arange(2), np.arange(each), indexing="ij")
    fraction = np.where(less, rng.integers(0, 4, bit.shape), rng.integers(0, 1 << 23, bit.shape))
    other = np.where(less, (1 << 23) - 1 - (fraction >> 1), fraction) ^ (1 << bit)
    left, right = exponent << 23 | fraction, 1 << 31 | (exponent - less) << 23 | other
    return left.reshape(-1).astype(np.uint32), right.reshape(-1).astype(np.uint32)
