"""Multiplication of two operands into their accumulator's format, with a latency of choice.

FP16 x FP16 is exact in FP32: its significand has 22 bits, its exponent lies inside FP32's normal range. BF16 x BF16
and FP32 x FP32 round once, to nearest, ties to even, and reach subnormals and infinities. INT8 x INT8 is exact in
INT32. One NaN comes out, FP32's canonical one, for any NaN that goes in and for 0 x infinity.
"""

from types import SimpleNamespace

from amaranth import Cat, Const, Elaboratable, Module, Mux, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.formats import FloatFormat, Format, accumulator_of
from rtl.pipeline import Pipeline, denormalised, operand, rounded

# relative delays of the stages; registers are placed by them
EXACT_DELAYS = {"unpack": 5.0, "multiply": 5.0, "normalise": 2.0}
ROUNDED_DELAYS = EXACT_DELAYS | {"denormalise": 5.0, "round": 3.0}


class Multiplier(wiring.Component):
    """p = a x b, `latency` cycles later.

    Ports: operands `a`, `b`, `form.bits` wide; result `p`, as wide as the accumulator of `form`; `en`, high unless
    connected, lets the pipeline go on: while it is low everything in it stands still. A pair may enter every enabled
    cycle. Latency 0 is combinational; from 1 on the last register is `p` itself. There is no reset: what is in flight
    has no meaning until operands have gone in.
    """

    def __init__(self, form: Format, latency: int) -> None:
        self.form = form
        self.latency = latency
        self.product = accumulator_of(form)
        super().__init__({"a": In(form.bits), "b": In(form.bits), "en": In(1, init=1), "p": Out(self.product.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        if isinstance(self.form, FloatFormat) and isinstance(self.product, FloatFormat):
            m.d.comb += self.p.eq(self._float(m, self.form, self.product))
        else:
            pipe = Pipeline(m, self.en, {"multiply": 1.0}, self.latency)
            m.d.comb += self.p.eq(pipe.after("multiply", p=self.a.as_signed() * self.b.as_signed()).p)
        return m

    def _float(self, m: Module, form: FloatFormat, product: FloatFormat) -> Value:
        smallest = 2 * (1 - form.fraction_bits) - 2 * form.bias + product.bias
        exact = 2 * form.significand_bits <= product.significand_bits and smallest >= 1
        pipe = Pipeline(m, self.en, EXACT_DELAYS if exact else ROUNDED_DELAYS, self.latency)
        s = _normalise(_multiply(pipe, form, product, _unpack(m, pipe, form, self.a, self.b)))
        if exact:
            return _exact(pipe, product, s)
        s = pipe.after("denormalise", **denormalised(m, product, pipe.after("normalise", **vars(s))))
        return pipe.after("round", p=rounded(product, s.total, s.exponent, s.sign, s.nan)).p


def _unpack(m: Module, pipe: Pipeline, form: FloatFormat, a: Value, b: Value) -> SimpleNamespace:
    x, y = operand(m, form, a, "a"), operand(m, form, b, "b")
    infinite, zero = x.infinite | y.infinite, x.zero | y.zero
    return pipe.after(
        "unpack",
        x=x.significand,
        y=y.significand,
        exponent=x.exponent + y.exponent,
        sign=x.sign ^ y.sign,
        zero=zero,
        infinite=infinite,
        nan=x.nan | y.nan | (infinite & zero),
    )


def _multiply(pipe: Pipeline, form: FloatFormat, product: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    """`exponent` is biased as the product's, for a significand whose highest bit is worth 2 and clear."""
    return pipe.after(
        "multiply",
        total=s.x * s.y,
        exponent=s.exponent + Const(product.bias - 2 * form.bias, signed(product.exponent_bits + 2)),
        sign=s.sign,
        zero=s.zero,
        infinite=s.infinite,
        nan=s.nan,
    )


def _normalise(s: SimpleNamespace) -> SimpleNamespace:
    """The significand's highest bit set (unless it is zero), the exponent for a highest bit worth 1."""
    carry = s.total[-1]
    s.total = Mux(carry, s.total, s.total << 1)[: len(s.total)]
    s.exponent = s.exponent + carry
    return s


def _exact(pipe: Pipeline, product: FloatFormat, s: SimpleNamespace) -> Value:
    width = product.fraction_bits
    fraction = Cat(Const(0, width + 1 - len(s.total)), s.total[:-1])
    exponent = Mux(s.infinite, product.exponent_ones, Mux(s.zero, 0, s.exponent[: product.exponent_bits]))
    quiet = Mux(s.nan, 1 << (width - 1), Mux(s.infinite, 0, fraction))[:width]
    return pipe.after("normalise", p=Cat(quiet, exponent[: product.exponent_bits], s.sign & ~s.nan)).p
