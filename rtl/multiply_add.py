"""Multiplication of operands into their accumulator's format, and addition there, with a latency of choice.

FP16 x FP16 is exact in FP32: its significand has 22 bits, its exponent lies inside FP32's normal range. BF16 x BF16
and FP32 x FP32 round once, to nearest, ties to even, and reach subnormals and infinities. INT8 x INT8 is exact in
INT32.

In a sum the larger magnitude goes ahead, the smaller one is aligned to it with guard, round and sticky bit, their sum
or difference is normalised (as far as the exponent allows: below that it is subnormal, and exact) and rounded to
nearest, ties to even. An exact zero is positive unless both operands are -0.

One NaN comes out, the format's canonical one, for any NaN that goes in, 0 x infinity and infinity - infinity.
"""

from types import SimpleNamespace

from amaranth import Cat, Const, Elaboratable, Module, Mux, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.formats import FloatFormat, Format, accumulator_of
from rtl.pipeline import Pipeline, denormalised, leading_zeros, operand, rounded, shifted_left, shifted_right_sticky

# relative delays of a product's stages; registers are placed by them
EXACT_DELAYS = {"unpack": 5.0, "multiply": 5.0, "normalise": 2.0}
ROUNDED_DELAYS = EXACT_DELAYS | {"denormalise": 5.0, "round": 3.0}
# delays of a sum's stages in ns, estimated for an ECP5 of speed grade 6; registers are placed by them
SUM_DELAYS = {
    "order": 4.0,
    "swap": 2.2,
    "align": 2.7,
    "stick": 2.4,
    "sum": 3.0,
    "count": 4.0,
    "normalise": 2.5,
    "finish": 2.2,
    "round": 3.7,
}
FINE = 2  # shifts by less than 1 << FINE come in a stage of their own


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
        s = _normalised_product(_multiplied(pipe, form, product, _unpacked(m, pipe, form, self.a, self.b)))
        if exact:
            return _exact(pipe, product, s)
        s = pipe.after("denormalise", **denormalised(m, product, pipe.after("normalise", **vars(s))))
        return pipe.after("round", p=rounded(product, s.total, s.exponent, s.sign, s.nan)).p


def _unpacked(m: Module, pipe: Pipeline, form: FloatFormat, a: Value, b: Value) -> SimpleNamespace:
    x, y = operand(m, form, a, "a"), operand(m, form, b, "b")
    infinite, zero = x.infinite | y.infinite, x.zero | y.zero
    return pipe.after(
        "unpack",
        x=x.significand,
        y=y.significand,
        x_exponent=x.exponent,
        y_exponent=y.exponent,
        sign=x.sign ^ y.sign,
        zero=zero,
        infinite=infinite,
        nan=x.nan | y.nan | (infinite & zero),
    )


def _multiplied(pipe: Pipeline, form: FloatFormat, product: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    """`exponent` is biased as the product's, for a significand whose highest bit is worth 2 and clear."""
    return pipe.after(
        "multiply",
        total=s.x * s.y,
        exponent=s.x_exponent + s.y_exponent + Const(product.bias - 2 * form.bias, signed(product.exponent_bits + 2)),
        sign=s.sign,
        zero=s.zero,
        infinite=s.infinite,
        nan=s.nan,
    )


def _normalised_product(s: SimpleNamespace) -> SimpleNamespace:
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
        pipe = Pipeline(m, self.en, SUM_DELAYS, self.latency)
        s = _align(m, pipe, form, _swap(pipe, _order(pipe, form, self.a, self.b)))
        s = _normalise(m, pipe, form, _sum(pipe, form, s))
        return pipe.after("round", p=rounded(form, s.total, s.exponent, s.sign, s.nan)).p


def _order(pipe: Pipeline, form: FloatFormat, a: Value, b: Value) -> SimpleNamespace:
    x, y = _parts(form, a), _parts(form, b)
    subtract = a[-1] ^ b[-1]
    return pipe.after(
        "order",
        a=x.significand,
        b=y.significand,
        a_exponent=x.exponent,
        b_exponent=y.exponent,
        b_larger=a[:-1] < b[:-1],
        down=(x.exponent - y.exponent)[: form.exponent_bits],
        up=(y.exponent - x.exponent)[: form.exponent_bits],
        a_sign=a[-1],
        subtract=subtract,
        special=x.ones | y.ones,
        nan=(x.ones & a[: form.fraction_bits].any())
        | (y.ones & b[: form.fraction_bits].any())
        | (x.ones & y.ones & subtract),
    )


def _parts(form: FloatFormat, value: Value) -> SimpleNamespace:
    """Fraction with hidden bit, and the exponent by which they count: 1 for subnormals."""
    field = value[form.fraction_bits : -1]
    hidden = field.any()
    return SimpleNamespace(
        significand=Cat(value[: form.fraction_bits], hidden),
        exponent=Cat(field[0] | ~hidden, field[1:]),
        ones=field.all(),
    )


def _swap(pipe: Pipeline, s: SimpleNamespace) -> SimpleNamespace:
    return pipe.after(
        "swap",
        exponent=Mux(s.b_larger, s.b_exponent, s.a_exponent),
        large=Mux(s.b_larger, s.b, s.a),
        small=Mux(s.b_larger, s.a, s.b),
        distance=Mux(s.b_larger, s.up, s.down),
        sign=s.a_sign ^ (s.subtract & s.b_larger),
        subtract=s.subtract,
        special=s.special,
        nan=s.nan,
    )


def _align(m: Module, pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    """The smaller significand with guard, round and sticky bit, inverted to be subtracted."""
    steps = (form.significand_bits + 2).bit_length()
    far = s.distance[steps:].any()
    coarse, lost = shifted_right_sticky(m, Cat(Const(0, 2), s.small), s.distance[:steps], "coarse", FINE)
    s = pipe.after(
        "align",
        **vars(s) | {"small": Mux(far, 0, coarse), "distance": s.distance[:FINE]},
        lost=lost | (far & s.small.any()),
    )
    fine, lost = shifted_right_sticky(m, s.small, s.distance, "fine")
    aligned = Cat(lost | s.lost, fine)
    return pipe.after(
        "stick",
        exponent=s.exponent,
        large=s.large,
        addend=aligned ^ s.subtract.replicate(len(aligned)),
        sign=s.sign,
        subtract=s.subtract,
        special=s.special,
        nan=s.nan,
    )


def _sum(pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    """Significand, carry above it, guard, round and sticky below; the lowest bits of both carry the + 1 of - x.

    `floor` has a one where the highest bit of a subnormal result counts: the exponent ends there.
    """
    width = form.significand_bits + 4
    addend = Cat(s.subtract, s.addend, s.subtract)
    total = (Cat(s.subtract, Const(0, 3), s.large) + addend)[1 : width + 1]
    floor = Cat(s.exponent == width - 1 - bit for bit in range(width))
    return pipe.after(
        "sum",
        exponent=s.exponent,
        total=total,
        floor=floor,
        sign=s.sign,
        subtract=s.subtract,
        special=s.special,
        nan=s.nan,
    )


def _normalise(m: Module, pipe: Pipeline, form: FloatFormat, s: SimpleNamespace) -> SimpleNamespace:
    shift = leading_zeros(m, s.total | s.floor, "zeros")
    overflow = s.total[-1] & s.exponent[1:].all()  # the exponent is the largest finite one, and grows
    zero = ~s.total.any()
    s = pipe.after(
        "count",
        exponent=s.exponent,
        total=s.total,
        shift=shift,
        sign=s.sign & ~(s.subtract & zero & ~s.special) & ~s.nan,
        zero=zero,
        infinite=s.special | overflow,
        nan=s.nan,
    )
    s = pipe.after(
        "normalise",
        exponent=(s.exponent - s.shift)[: form.exponent_bits],
        total=shifted_left(m, s.total, s.shift, "coarse", FINE),
        shift=s.shift[:FINE],
        sign=s.sign,
        zero=s.zero,
        infinite=s.infinite,
        nan=s.nan,
    )
    total = shifted_left(m, s.total, s.shift, "fine")
    exponent = Mux(s.infinite, form.exponent_ones, Mux(s.zero, 0, s.exponent))
    return pipe.after("finish", total=Mux(s.infinite, 0, total), exponent=exponent, sign=s.sign, nan=s.nan)
