"""A lane of SORE or WUVE as compiled hardware: columns of fields go in, columns come back."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from amaranth.lib import wiring
from amaranth.lib.data import Layout

from rtl.formats import Bits
from rtl.lanes import ends_of
from rtl.sore import Sore
from rtl.sore_parameters import SoreParameters
from rtl.update import UpdateParameters
from rtl.verilate import Compiled, Words, compiled
from rtl.wuve import Wuve

LATENCY = 256  # cycles in which the last result has surely come


def top_n(lane: SoreParameters, values: Bits, n: int, m: int) -> tuple[Bits, Bits]:
    """(kept values, their indices) of a run of values in groups of m."""
    made = _run(_sore(lane), {"value": values, "last": ends_of(len(values), m)}, keep=_steady(n))
    return made["value"], made["index"]


def updated(lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]) -> dict[str, Bits]:
    """Weights, state and operands after a step; the same as `rtl.golden.update.updated`."""
    number = sum(constants[name] << 32 * place for place, name in enumerate(lane.constants))
    return _run(_wuve(lane), fields, constants=_steady(number, 32 * len(lane.constants)))


@cache
def _sore(lane: SoreParameters) -> tuple[wiring.Component, Compiled]:
    return (block := Sore(lane)), compiled(block)


@cache
def _wuve(lane: UpdateParameters) -> tuple[wiring.Component, Compiled]:
    return (block := Wuve(lane)), compiled(block)


def _steady(number: int, bits: int = 1) -> Words:
    return np.array([number >> 64 * word & (1 << 64) - 1 for word in range(-(-bits // 64))], np.uint64)


def _run(made: tuple[wiring.Component, Compiled], fields: Mapping[str, Bits], **steady: Words) -> dict[str, Bits]:
    """Every item in its cycle: a lane takes one a cycle while what it gives is taken, which is checked."""
    block, lane = made
    count = len(next(iter(fields.values())))
    cycles = count + LATENCY
    lane.reset()
    given = _words(block.i.payload.shape(), fields, cycles)
    held = {
        name: np.broadcast_to(value if len(value) > 1 else value[0], (cycles, *value.shape[value.size == 1 :]))
        for name, value in steady.items()
    }
    came = lane.run(i__valid=np.arange(cycles) < count, i__payload=given, o__ready=np.ones(cycles, np.uint64), **held)
    assert came["i__ready"][:count].all()
    there = came["o__valid"].astype(bool)
    return _fields(block.o.payload.shape(), came["o__payload"][there])


def _words(layout: Layout, fields: Mapping[str, Bits], cycles: int) -> Words:
    """(cycles, 64-bit words) or (cycles,) of structs, zeros behind the last one."""
    words = np.zeros((cycles, -(-layout.size // 64) + 1), np.uint64)
    for name, field in layout:
        word, bit = divmod(field.offset, 64)
        value = fields[name].astype(np.uint64)
        words[: len(value), word] |= value << np.uint64(bit)
        if bit + field.width > 64:
            words[: len(value), word + 1] |= value >> np.uint64(64 - bit)
    return words[:, 0] if layout.size <= 64 else words[:, :-1]


def _fields(layout: Layout, words: Words) -> dict[str, Bits]:
    columns = words[:, None] if words.ndim == 1 else words
    padded = np.pad(columns, [(0, 0), (0, 1)])
    out = {}
    for name, field in layout:
        word, bit = divmod(field.offset, 64)
        value = padded[:, word] >> np.uint64(bit)
        if bit + field.width > 64:
            value |= padded[:, word + 1] << np.uint64(64 - bit)
        out[name] = (value & np.uint64((1 << field.width) - 1)).astype(np.uint32)
    return out
