"""What flows along with the operands: the five things a PE can be told, and what the edges of the array are told."""

from amaranth.lib import data, enum

from rtl.parameters import Parameters


class Op(enum.Enum, shape=3):
    """What a PE does with what arrives."""

    IDLE = 0
    OUTPUT = 1  # output stationary: multiply by the weight passing by, add to accumulator `slot`
    WEIGHT = 2  # weight stationary: multiply by the stored weight `slot`, add to the sum after weight `slot` - 1
    STORE = 3  # keep the weight passing by as number `slot`
    SHIFT = 4  # accumulator `slot` goes south, the one from the north takes its place


def pe_control(p: Parameters) -> data.StructLayout:
    """`first` starts a sum: from zero, or in WEIGHT from the one that comes from the north."""
    return data.StructLayout({"op": Op, "slot": p.slot_bits, "first": 1})


def entry_bits(p: Parameters) -> int:
    """Bits that number a group in a row's buffer, and one above to tell full from empty."""
    return (p.buffer - 1).bit_length() + 1


def row_token(p: Parameters) -> data.StructLayout:
    """What row after row is told: the PE's control, which group goes with it, and whether that was its last use.

    `last` marks the addition after which a sum leaves the PE (weight stationary).
    """
    return data.StructLayout({"control": pe_control(p), "use": 1, "entry": entry_bits(p), "release": 1, "last": 1})


def run_layout() -> data.StructLayout:
    """One run of the array, filled in by `rtl.tiles`. Counts are minus one unless said otherwise.

    Output stationary: `segments` x (`groups` full groups of `kept` weights, then a tail of `tail_kept` if that is not
    0), rounds of `round` cycles for `interleave` outputs, `pad` and `tail_pad` cycles for the link after a group.
    Weight stationary: `positions` positions, one every `period` cycles, of `kept` weights; a sum takes `skew` cycles
    through a PE, and weight j works on the position `lag` x j periods ago.
    `seed`: sums come from the seed streams (before an output-stationary run, with each position otherwise).
    `fresh`: output-stationary accumulators start from zero. `drain`: and leave afterwards.
    """
    count = 16
    return data.StructLayout(
        {
            "stationary_weights": 1,
            "share_weights": 1,
            "fresh": 1,
            "seed": 1,
            "drain": 1,
            "reserved": 3,
            "interleave": 8,
            "round": 8,
            "kept": 8,
            "tail_kept": 8,  # itself
            "period": 8,
            "lag": 8,  # itself
            "skew": count,
            "groups": count,  # itself
            "pad": count,  # itself
            "tail_pad": count,  # itself
            "segments": count,
            "positions": count,
        }
    )


COUNTERS = data.StructLayout({"cycles": 32, "compute": 32, "fill": 32, "drain": 32, "waiting": 32})
"""Cycles of the run going on or of the last one: all but the frozen ones; the first row's multiply-accumulates; the
loading of weights or seeds; the way out of an output-stationary array; frozen ones, waiting for operands or room."""
