"""What blocks of arithmetic consist of: registers between their stages, shifts, and the handling of floats."""

from collections.abc import Sequence
from types import SimpleNamespace

from amaranth import Cat, Const, Module, Mux, Shape, Signal, Value

from rtl.formats import FloatFormat


def leading_zeros(m: Module, value: Value, name: str) -> Value:
    """How many zeros stand above the highest one of `value`; when it is zero, at least its width - 1.

    The width is filled up with ones to a power of two, which bounds the count of a zero by the width.
    """
    size = 1 << (len(value) - 1).bit_length()
    bits = list(Cat(Const(-1, size - len(value)), value)) if size > len(value) else list(value)
    # (is zero, count) of runs of 1, 2, 4 ... bits
    runs: list[tuple[Value, list[Value]]] = [(~bit, []) for bit in bits]
    level = 0
    while len(runs) > 1:
        level += 1
        merged = []
        for index in range(0, len(runs), 2):
            (low_zero, low), (high_zero, high) = runs[index], runs[index + 1]
            count = Signal(level, name=f"{name}_{level}_{index}")
            m.d.comb += count.eq(Cat(*(Mux(high_zero, a, b) for a, b in zip(low, high, strict=True)), high_zero))
            merged.append((high_zero & low_zero, list(count)))
        runs = merged
    return Cat(*runs[0][1])


def shifted_left(m: Module, value: Value, amount: Value, name: str, lowest: int = 0) -> Value:
    """`value` shifted by `amount`, its width kept; the `lowest` bits of the amount are left to another call."""
    for bit in reversed(range(lowest, len(amount))):
        level = Signal(len(value), name=f"{name}_{1 << bit}")
        m.d.comb += level.eq(Mux(amount[bit], value << (1 << bit), value))
        value = level
    return value


def shifted_right_sticky(m: Module, value: Value, amount: Value, name: str, lowest: int = 0) -> tuple[Value, Value]:
    """(`value` shifted right by `amount`, whether any one fell off); the `lowest` bits are left to another call."""
    fell = Const(0, 1)
    for bit in reversed(range(lowest, len(amount))):
        step = 1 << bit
        level = Signal(len(value), name=f"{name}_{step}")
        lost = Signal(name=f"{name}_lost_{step}")
        m.d.comb += level.eq(Mux(amount[bit], value >> step, value))
        m.d.comb += lost.eq(fell | (amount[bit] & value[:step].any()))
        value, fell = level, lost
    return value, fell


def placed(delays: Sequence[float], latency: int) -> tuple[int, ...]:
    """Registers after each stage.

    delays: estimated delay of each stage, in any unit. One register stands after the last stage, the others where the
    longest run of stages without a register is shortest; those not needed for that stand at the end, too.
    """
    if latency == 0:
        return (0,) * len(delays)
    last = len(delays) - 1
    lengths = sorted({sum(delays[start:end]) for start in range(last + 1) for end in range(start + 1, last + 2)})
    limits = (length for length in lengths if length >= max(delays))
    cuts = next(found for limit in limits if len(found := _cuts(delays, limit)) <= latency - 1)
    return (*(int(stage in cuts) for stage in range(last)), latency - len(cuts))


def _cuts(delays: Sequence[float], limit: float) -> set[int]:
    """The stages after which a register is needed so that no run is longer than `limit`."""
    cuts, run = set(), 0.0
    for stage, delay in enumerate(delays):
        if run + delay > limit:
            cuts.add(stage - 1)
            run = 0.0
        run += delay
    return cuts


class Pipeline:
    """Carries a block's signals from one stage to the next, through registers that `enable` lets go on.

    The block calls `after(stage, ...)` at the end of each stage, in order, and reads what comes back.
    """

    def __init__(self, module: Module, enable: Value, delays: dict[str, float], latency: int) -> None:
        self._module = module
        self._enable = enable
        self._registers = dict(zip(delays, placed(list(delays.values()), latency), strict=True))

    def after(self, stage: str, **values: Value) -> SimpleNamespace:
        """The values as the next stage sees them."""
        return SimpleNamespace(**{name: self._carried(f"{stage}_{name}", stage, each) for name, each in values.items()})

    def _carried(self, name: str, stage: str, value: Value) -> Value:
        if not len(value):  # Verilog has no wire without bits
            return value
        wire = Signal(Shape.cast(value.shape()), name=name)
        self._module.d.comb += wire.eq(value)
        for number in range(self._registers[stage]):
            register = Signal(wire.shape(), name=f"{name}_r{number}", reset_less=True)
            with self._module.If(self._enable):
                self._module.d.sync += register.eq(wire)
            wire = register
        return wire


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
