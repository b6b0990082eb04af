"""What the engines behind the raw memory have in common: their ports, and how wide a word is.

The raw memory holds words as they came from DRAM. An engine reads them one a cycle from an address on, and writes what
it makes of them to the places of its walks. It begins in the cycle of `go` and never waits, so whoever gives commands
has the words there, room where they belong, and the walks at hand.
"""

from collections.abc import Mapping

from amaranth import Value
from amaranth.lib import stream
from amaranth.lib.data import ArrayLayout, StructLayout, View
from amaranth.lib.wiring import In, Member, Out

from rtl.core.walk import WalkShape

WORD_BITS = 64


def operands(word: Value, bits: int) -> View:
    """The operands of a word, the first lowest."""
    return View(ArrayLayout(bits, WORD_BITS // bits), word)


def write_layout(shape: WalkShape, data: Mapping[str, object]) -> StructLayout:
    """The write port of banks: `data` goes to an address of a bank in every cycle with `enable`."""
    return StructLayout({"enable": 1, "address": shape.address_bits, "bank": shape.bank_bits, **data})


def engine_ports(
    command: StructLayout, raw_bits: int, shape: WalkShape, data: Mapping[str, object]
) -> dict[str, Member]:
    """command: what to do, taken in the cycle of `go`. ends: this is a command's last working cycle.

    raw_data: what lies at `raw_address` of the cycle before. walks: where what is made belongs, in order; a command's
    last one has `last`. write: from registers. filled: a command's last write is on `write`.
    """
    return {
        "command": In(command),
        "go": In(1),
        "ends": Out(1),
        "raw_address": Out(raw_bits),
        "raw_data": In(WORD_BITS),
        "walks": In(stream.Signature(shape.walk)),
        "write": Out(write_layout(shape, data)),
        "filled": Out(1),
    }
