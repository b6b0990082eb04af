"""Rounding FP32 to an operand's format, to nearest even: what WUVE hands on."""

from types import SimpleNamespace

from amaranth import Cat, Const, Elaboratable, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.floats import denormalised, rounded
from rtl.formats import FP32, FloatFormat
from rtl.pipeline import Pipeline

DELAYS = {"denormalise": 5.0, "round": 3.0}


class Narrower(wiring.Component):
    """p = a, rounded from FP32 to `form`, `latency` cycles later; ports as those of `rtl.adder.Adder`, without `b`."""

    def __init__(self, form: FloatFormat, latency: int) -> None:
        self.form = form
        self.latency = latency
        super().__init__({"a": In(FP32.bits), "en": In(1, init=1), "p": Out(form.bits)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        pipe = Pipeline(m, self.en, DELAYS, self.latency)
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
