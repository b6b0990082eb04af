"""FP32 and INT32 addition with a latency of choice.

The larger magnitude goes ahead, the smaller one is aligned to it with guard, round and sticky bit, their sum or
difference is normalised (as far as the exponent allows: below that it is subnormal, and exact) and rounded to nearest,
ties to even. One NaN comes out, the format's canonical one, for any NaN that goes in and for infinity - infinity.
An exact zero is positive unless both operands are -0.
"""

from types import SimpleNamespace

from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.bits import leading_zeros, shifted_left, shifted_right_sticky
from rtl.formats import FloatFormat, Format
from rtl.pipeline import Pipeline
from rtl.rounding import rounded

# relative delays of the stages, from their depth in LUTs and carry chains; registers are placed by them
DELAYS = {"order": 3.0, "swap": 2.5, "align": 4.5, "sum": 3.0, "count": 4.0, "normalise": 4.5, "round": 3.0}


class Adder(wiring.Component):
    """p = a + b, `latency` cycles later.

    Ports, all `form.bits` wide but `en`: operands `a`, `b`; result `p`; `en`, high unless connected, lets the pipeline
    go on: while it is low everything in it stands still. A pair may enter every enabled cycle. Latency 0 is
    combinational; from 1 on the last register is `p` itself. There is no reset: what is in flight has no meaning
    until operands have gone in.
    """

    def __init__(self, form: Format, latency: int) -> None:
        self.form = form
        self.latency = latency
        super().__init__({"a": In(form.bits), "b": In(form.bits), "en": In(1, init=1), "p": Out(form.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        if isinstance(self.form, FloatFormat):
            m.d.comb += self.p.eq(self._float(m, self.form))
        else:
            pipe = Pipeline(m, self.en, {"sum": 1.0}, self.latency)
            m.d.comb += self.p.eq(pipe.after("sum", p=(self.a + self.b)[: self.form.bits]).p)
        return m

    def _float(self, m: Module, form: FloatFormat) -> Value:
        pipe = Pipeline(m, self.en, DELAYS, self.latency)
        s = _swap(m, pipe, form, _order(pipe, form, self.a, self.b))
        s = _sum(pipe, form, _align(m, pipe, form, s))
        s = _normalise(m, pipe, form, s)
        return pipe.after("round", p=rounded(form, s.total, s.exponent, s.sign, s.nan)).p


def _exponent(form: FloatFormat, value: Value) -> Value:
    """The exponent by which the fraction counts: 1 for subnormals."""
    field = value[form.fraction_bits : -1]
    return Cat(field[0] | ~field.any(), field[1:])


def _order(pipe: Pipeline, form: FloatFormat, a: Value, b: Value) -> SimpleNamespace:
    ahead, behind = _exponent(form, a), _exponent(form, b)
    width = form.exponent_bits
    return pipe.after(
        "order",
        a=a,
        b=b,
        b_larger=a[:-1] < b[:-1],
        down=(ahead - behind)[:width],
        up=(behind - ahead)[:width],
    )


def _swap(m: Module, pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    large, small = Signal(form.bits, name="large"), Signal(form.bits, name="small")
    m.d.comb += large.eq(Mux(s.b_larger, s.b, s.a))
    m.d.comb += small.eq(Mux(s.b_larger, s.a, s.b))
    fraction = slice(0, form.fraction_bits)
    large_field, small_field = large[form.fraction_bits : -1], small[form.fraction_bits : -1]
    subtract = s.a[-1] ^ s.b[-1]
    special = large_field.all()
    return pipe.after(
        "swap",
        exponent=_exponent(form, large),
        large=Cat(large[fraction], large_field.any()),
        small=Cat(small[fraction], small_field.any()),
        distance=Mux(s.b_larger, s.up, s.down),
        sign=large[-1],
        subtract=subtract,
        special=special,
        nan=special & (large[fraction].any() | (subtract & small_field.all())),
    )


def _align(m: Module, pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    steps = (form.significand_bits + 2).bit_length()
    aligned, lost = shifted_right_sticky(m, Cat(Const(0, 2), s.small), s.distance[:steps], "align")
    far = s.distance[steps:].any()
    kept = Cat(lost | (far & s.small.any()), Mux(far, 0, aligned))
    return pipe.after(
        "align",
        exponent=s.exponent,
        large=s.large,
        addend=kept ^ s.subtract.replicate(len(kept)),
        sign=s.sign,
        subtract=s.subtract,
        special=s.special,
        nan=s.nan,
    )


def _sum(pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    """Significand, carry above it, guard, round and sticky below; the lowest bits of both carry the + 1 of - x."""
    width = form.significand_bits + 4
    addend = Cat(s.subtract, s.addend, s.subtract)
    total = (Cat(s.subtract, Const(0, 3), s.large) + addend)[1 : width + 1]
    return pipe.after(
        "sum", exponent=s.exponent, total=total, sign=s.sign, subtract=s.subtract, special=s.special, nan=s.nan
    )


def _normalise(m: Module, pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    zeros = leading_zeros(m, s.total, "zeros")
    limited = Signal.like(zeros)
    m.d.comb += limited.eq(Mux(s.exponent < zeros, s.exponent, zeros))
    overflow = s.total[-1] & s.exponent[1:].all()  # the exponent is the largest finite one, and grows
    zero = ~s.total.any()
    s = pipe.after(
        "count",
        exponent=s.exponent,
        total=s.total,
        shift=limited,
        sign=s.sign & ~(s.subtract & zero & ~s.special),
        zero=zero,
        infinite=s.special | overflow,
        nan=s.nan,
    )
    total = shifted_left(m, s.total, s.shift, "normal")
    exponent = (s.exponent - s.shift)[: form.exponent_bits]
    return pipe.after(
        "normalise",
        total=Mux(s.infinite, 0, total),
        exponent=Mux(s.infinite, form.exponent_ones, Mux(s.zero, 0, exponent)),
        sign=s.sign & ~s.nan,
        nan=s.nan,
    )
