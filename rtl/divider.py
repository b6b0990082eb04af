"""What WUVE needs beside sums and products: division, square root, and rounding to an operand's format.

Division and root are restoring digit recurrences on FP32, rounded to nearest even: a row of a subtractor and a selector
finds each bit. Subnormals, infinities and the one NaN are
those of the multiplier: NaN for any NaN, 0 / 0, infinity / infinity and the root of anything below zero but -0.
"""

from types import SimpleNamespace

from amaranth import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.formats import FP32, FloatFormat
from rtl.pipeline import Pipeline, denormalised, operand, rounded

NARROWING_DELAYS = {"denormalise": 5.0, "round": 3.0}
ROW = 2.5  # delay of a row, as in rtl.multiply_add


def _delays(rows: int) -> dict[str, float]:
    return {"unpack": 4.5, **{f"row{number}": ROW for number in range(rows)}, "denormalise": 5.0, "round": 3.7}


class Divider(wiring.Component):
    """p = a / b, `latency` cycles later; ports as those of `rtl.multiply_add.Adder`."""

    def __init__(self, form: FloatFormat, latency: int) -> None:
        self.form = form
        self.latency = latency
        super().__init__({"a": In(form.bits), "b": In(form.bits), "en": In(1, init=1), "p": Out(form.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        rows = self.form.significand_bits + 2
        pipe = Pipeline(m, self.en, _delays(rows), self.latency)
        s = self._unpack(m, pipe)
        for number in range(rows):
            double = s.rest if number == 0 else s.rest << 1
            rest, bit = _row(double, s.divisor)
            taken = {"rest": rest[: self.form.significand_bits], "quotient": Cat(bit, s.quotient)}
            s = pipe.after(f"row{number}", **vars(s) | taken)
        above = s.quotient[-1]
        s.total = Cat(s.rest.any(), Mux(above, s.quotient, s.quotient << 1)[:rows])
        s.exponent = s.exponent - ~above
        s = pipe.after("denormalise", **denormalised(m, self.form, s))
        m.d.comb += self.p.eq(pipe.after("round", p=rounded(self.form, s.total, s.exponent, s.sign, s.nan)).p)
        return m

    def _unpack(self, m: Module, pipe: Pipeline) -> SimpleNamespace:
        form = self.form
        x, y = operand(m, form, self.a, "a"), operand(m, form, self.b, "b")
        nan = x.nan | y.nan | (x.zero & y.zero) | (x.infinite & y.infinite)
        return pipe.after(
            "unpack",
            rest=x.significand,
            divisor=y.significand,
            quotient=Const(0, 0),
            exponent=x.exponent - y.exponent + Const(form.bias, signed(form.exponent_bits + 2)),
            sign=x.sign ^ y.sign,
            zero=x.zero | y.infinite,
            infinite=x.infinite | y.zero | nan,
            nan=nan,
        )


class Root(wiring.Component):
    """p = sqrt(a), `latency` cycles later; ports as those of `rtl.multiply_add.Adder`, without `b`."""

    def __init__(self, form: FloatFormat, latency: int) -> None:
        self.form = form
        self.latency = latency
        super().__init__({"a": In(form.bits), "en": In(1, init=1), "p": Out(form.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        form, rows = self.form, self.form.significand_bits + 1
        pipe = Pipeline(m, self.en, _delays(rows), self.latency)
        s = self._unpack(m, pipe, 2 * rows)
        for number in range(rows):
            pair = s.radicand[-2:]
            rest, bit = _row(Cat(pair, s.rest), Cat(Const(1, 2), s.root))
            known = min(number + 2, rows + 1)  # bits the rest can have: it is at most twice the root
            taken = {"rest": rest[:known], "root": Cat(bit, s.root), "radicand": s.radicand[:-2]}
            s = pipe.after(f"row{number}", **vars(s) | taken)
        s = pipe.after(
            "denormalise",
            total=Mux(s.infinite, 0, Cat(s.rest.any(), s.root)),
            exponent=Mux(s.infinite, form.exponent_ones, Mux(s.zero, 0, s.exponent))[: form.exponent_bits],
            sign=s.sign,
            nan=s.nan,
        )
        m.d.comb += self.p.eq(pipe.after("round", p=rounded(form, s.total, s.exponent, s.sign, s.nan)).p)
        return m

    def _unpack(self, m: Module, pipe: Pipeline, width: int) -> SimpleNamespace:
        """The radicand in [1, 4), its integer part in the upper two bits; the exponent less the hidden bit."""
        form = self.form
        x = operand(m, form, self.a, "a")
        odd = ~x.exponent[0]  # the unbiased one is: the bias is odd
        radicand = Cat(Const(0, width - form.significand_bits - 1), Mux(odd, x.significand << 1, x.significand))
        nan = x.nan | (x.sign & ~x.zero)
        return pipe.after(
            "unpack",
            radicand=radicand[:width],
            rest=Const(0, 0),
            root=Const(0, 0),
            exponent=(x.exponent + Const(form.bias - 2, signed(form.exponent_bits + 2)) - odd) >> 1,
            sign=x.sign & ~nan,
            zero=x.zero,
            infinite=x.infinite | nan,
            nan=nan,
        )


def _row(rest: Value, less: Value) -> tuple[Value, Value]:
    """(what is left, whether `less` could be taken away)."""
    difference = rest - less
    bit = ~difference[-1]
    return Mux(bit, difference[: len(rest)], rest), bit


class Narrower(wiring.Component):
    """p = a, rounded from FP32 to `form`, `latency` cycles later; ports as those of `Divider`, without `b`."""

    def __init__(self, form: FloatFormat, latency: int) -> None:
        self.form = form
        self.latency = latency
        super().__init__({"a": In(FP32.bits), "en": In(1, init=1), "p": Out(form.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        pipe = Pipeline(m, self.en, NARROWING_DELAYS, self.latency)
        field, fraction = self.a[FP32.fraction_bits : -1], self.a[: FP32.fraction_bits]
        hidden, ones = field.any(), field.all()
        exponent = Signal(signed(FP32.exponent_bits + 2))
        m.d.comb += exponent.eq(Cat(field[0] | ~hidden, field[1:]) + Const(self.form.bias - FP32.bias))
        s = SimpleNamespace(
            total=Cat(fraction, hidden),
            exponent=exponent,
            sign=self.a[-1],
            zero=~self.a[:-1].any(),
            infinite=ones,
            nan=ones & fraction.any(),
        )
        s = pipe.after("denormalise", **denormalised(m, self.form, s))
        m.d.comb += self.p.eq(pipe.after("round", p=rounded(self.form, s.total, s.exponent, s.sign, s.nan)).p)
        return m
