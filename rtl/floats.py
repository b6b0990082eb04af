"""What operations on floats share: taking operands apart, and making results subnormal, infinite or rounded."""

from types import SimpleNamespace

from amaranth import Cat, Const, Module, Mux, Signal, Value

from rtl.bits import leading_zeros, shifted_left, shifted_right_sticky
from rtl.formats import FloatFormat


def operand(m: Module, form: FloatFormat, value: Value, name: str) -> SimpleNamespace:
    """Normalised significand (its highest bit is clear only for zero), signed exponent, and what is special."""
    field, fraction = value[form.fraction_bits : -1], value[: form.fraction_bits]
    zeros = Mux(field.any(), 0, leading_zeros(m, Cat(fraction, field.any()), f"{name}_zeros"))
    significand = shifted_left(m, Cat(fraction, field.any()), zeros, f"{name}_normal")
    exponent = Signal(range(-form.significand_bits, form.exponent_ones + 1), name=f"{name}_exponent")
    m.d.comb += exponent.eq(Cat(field[0] | ~field.any(), field[1:]) - zeros)
    return SimpleNamespace(
        sign=value[-1],
        significand=significand,
        exponent=exponent,
        zero=~value[:-1].any(),
        infinite=field.all(),
        nan=field.all() & fraction.any(),
    )


def denormalised(m: Module, form: FloatFormat, s: SimpleNamespace) -> dict[str, Value]:
    """What `rounded` takes, for a normalised significand `s.total` and any exponent.

    s: total, its highest bit worth 1 (or clear, when a smaller exponent cannot be); exponent, signed and biased as the
    format's; sign, zero, infinite, nan. A significand whose exponent is below 1 is shifted right and loses its sign of
    being normal; one whose exponent is too large becomes infinity.
    """
    kept = form.significand_bits + 1
    total = Cat(Const(0, max(0, kept + 1 - len(s.total))), s.total)
    total = Cat(total[:-kept].any(), total[-kept:])
    steps = kept.bit_length()
    missing = Signal(len(s.exponent), name="missing")
    tiny = s.exponent < 1
    m.d.comb += missing.eq(1 - s.exponent)
    shift = Mux(tiny, missing[:steps] | missing[steps:].any().replicate(steps), 0)[:steps]
    shifted, lost = shifted_right_sticky(m, total, shift, "denormal")
    infinite = s.infinite | (~s.zero & (s.exponent >= form.exponent_ones))
    below = Mux(tiny | s.zero, 0, (s.exponent - 1)[: form.exponent_bits])
    return {
        "total": Mux(infinite | s.zero, 0, Cat(shifted[0] | lost, shifted[1:])),
        "exponent": Mux(infinite, form.exponent_ones, below)[: form.exponent_bits],
        "sign": s.sign & ~s.nan,
        "nan": s.nan,
    }


def rounded(form: FloatFormat, total: Value, exponent: Value, sign: Value, nan: Value) -> Value:
    """The bit pattern of a rounded result.

    total: hidden bit, fraction, guard bit and at least one sticky bit below. exponent: the field less the hidden bit,
    which the addition brings back; a carry out of the fraction raises it, up to infinity. Infinity itself comes as
    exponent of ones without significand, NaN as that with `nan`.
    """
    sticky = len(total) - form.significand_bits - 1
    fraction = total[sticky + 1 : -1]
    up = total[sticky] & (total[:sticky].any() | fraction[0])
    hidden = Cat(Const(0, form.fraction_bits), total[-1])
    magnitude = (Cat(up, fraction, exponent) + Cat(up, hidden))[1 : form.bits]
    quiet = Const(form.nan & ((1 << form.fraction_bits) - 1), form.bits - 1)
    return Cat(magnitude | Mux(nan, quiet, 0), sign)
