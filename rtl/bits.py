"""Small combinational pieces: counting zeros, shifting and keeping what falls off."""

from amaranth import Cat, Const, Module, Mux, Signal, Value


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
