"""The last step of every operation on floats: round to nearest, ties to even, and pack."""

from amaranth import Cat, Const, Mux, Value

from rtl.formats import FloatFormat


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
