"""What flows along with the operands: the five things a PE can be told, and what the edges of the array are told."""

from amaranth.lib import data, enum

from rtl.parameters import Parameters
from rtl.run import field_bits


class Op(enum.Enum, shape=3):
    """What a PE does with what arrives."""

    IDLE = 0
    OUTPUT = 1  # output stationary: multiply by the weight passing by, add to accumulator `slot`
    WEIGHT = 2  # weight stationary: multiply by the stored weight `slot`, add to the sum after weight `slot` - 1
    STORE = 3  # keep the weight passing by as number `slot`
    SHIFT = 4  # accumulator `slot` goes south, the one from the north takes its place


def run_layout() -> data.StructLayout:
    """A run as it lies in hardware."""
    return data.StructLayout(field_bits())


def pe_control(p: Parameters) -> data.StructLayout:
    """`first` starts a sum: from zero, or in WEIGHT from the one that comes from the north."""
    return data.StructLayout({"op": Op, "slot": p.slot_bits, "first": 1})


def row_token(p: Parameters) -> data.StructLayout:
    """What row after row is told: the PE's control, and which group goes with it.

    `last` marks the addition after which a sum leaves the PE (weight stationary).
    """
    return data.StructLayout({"control": pe_control(p), "entry": p.entry_bits, "last": 1})


def order(p: Parameters) -> data.StructLayout:
    """What all of the array is told for a cycle; its edges pass it on.

    token: of the first row; STORE is for row `row`, SHIFT for all rows at once. take: the first column's next weight
    is used from now on. seed: a sum goes in at the first column. skew: cycles between two rows, less one.
    """
    return data.StructLayout({"token": row_token(p), "row": p.row_bits, "take": 1, "seed": 1, "skew": p.delay_bits})


FETCH = data.StructLayout({"valid": 1, "ends": 1})
"""The next word of a row is fetched from its memory; with it a group is whole."""


def fetch_order(p: Parameters) -> data.StructLayout:
    """What the first row is told of fetching, and the cycles between two rows, less one."""
    return data.StructLayout({"fetch": FETCH, "skew": p.delay_bits})


def demand(p: Parameters) -> data.StructLayout:
    """How far the streams must have come before the next run starts: words, weights, seeds; and the sums given by then.

    Counts since the array was cleared, modulo their width.
    """
    return data.StructLayout(
        {
            "words": p.pointer_bits(p.row_depth),
            "weights": p.pointer_bits(p.column_depth),
            "seeds": p.pointer_bits(p.results),
            "results": p.pointer_bits(p.results),
        }
    )


COUNTERS = data.StructLayout({**dict.fromkeys(("cycles", "compute", "fill", "drain", "waiting"), 32), "error": 8})
"""Of the run going on or of the last one, in cycles: until the next one may start; the first row's
multiply-accumulates; the loading of weights or seeds; the way out of an output-stationary array; before it started,
waiting for what it takes or for room. error: why a run was refused (`rtl.run.Error`), until `abort_all`."""
