"""Commands of the controller as bytes: what a host sends, and what comes back.

A command is a letter, a channel, and a count of items (two bytes, lowest first), then that many items, each in whole
bytes, lowest first:

    W row n     n words of a row's operands (rtl.tiles: `west`)      N column n   n weights of a column
    S column n  n sums that go into a column                         R 0 1        a run (`rtl.run.run_bits`)
    O column n  gives n sums of a column, when they are there        C 0 0        gives the counters after the run
    I 0 0       gives the parameters (`identity`)                    A 0 0        aborts: everything is forgotten

An array that has stopped with an error takes nothing and gives zeros for sums; the counters say why, until 'A'.

and on boards with lanes (`rtl.lanes`):

    G keep n    n values for SORE, a byte after each that is 1 where a group ends; gives the kept ones, each with its
                index in a byte whose highest bit is 1 where a group ends
    V 0 1       a step's constants for WUVE                          U 0 n   n weights; gives them after the step

Nothing here guards against bytes that are lost or changed on the way: a framed link carries these commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from rtl.lanes import OPTIMIZERS, Lanes
from rtl.parameters import Parameters
from rtl.run import RUN_BITS, run_bits
from rtl.tiles import Tile
from workloads.errors import UserError

VERSION = 4
FORMATS = ("fp16", "bf16", "int8")
IDENTITY_BYTES = 24
COUNTERS_BYTES = 21
LONG = ("rows", "cols")  # parameters in two bytes; depths go as powers of two, all others in one
DEPTHS = ("row_depth", "column_depth", "results")  # parameters that say how much waits, not what comes out or when


@dataclass(frozen=True)
class ItemBytes:
    """Bytes of an item on the link."""

    west: int
    north: int
    sum: int
    run: int


def item_bytes(p: Parameters) -> ItemBytes:
    """Items in whole bytes."""
    return ItemBytes(
        -(-p.west_link * p.operand.bits // 8), -(-p.weight_bits // 8), p.accumulator.bits // 8, RUN_BITS // 8
    )


@dataclass(frozen=True)
class Gateware:
    """What is on a board: the array, and what is beside it."""

    parameters: Parameters
    lanes: Lanes = Lanes()  # noqa: RUF009  frozen

    def fits(self, tile: Tile) -> bool:
        """Whether the memories on the board hold all that a tile takes and gives."""
        return replace(tile, parameters=self.parameters).fits


def identity(gateware: Gateware) -> bytes:
    """What a board says of itself: the protocol's version, parameters in order, lanes."""
    p = gateware.parameters
    out = bytearray([VERSION, FORMATS.index(p.format)])
    for each in fields(p)[1:]:
        value = getattr(p, each.name)
        out += bytes([value.bit_length() - 1]) if each.name in DEPTHS else value.to_bytes(_width(each.name), "little")
    out += bytes([gateware.lanes.sore, OPTIMIZERS.index(gateware.lanes.optimizer)])
    return bytes(out.ljust(IDENTITY_BYTES, b"\0"))


def _width(name: str) -> int:
    return 2 if name in LONG else 1


class WrongGateware(UserError):
    """A board answers, but it is not the one that is wanted."""


def gateware_of(said: bytes) -> Gateware:
    """The board that said so. Raises WrongGateware when it speaks another version, and for what cannot be."""
    if len(said) != IDENTITY_BYTES:
        raise WrongGateware(f"the gateware says {len(said)} bytes of itself, not {IDENTITY_BYTES}")
    if said[0] != VERSION:
        raise WrongGateware(f"the gateware speaks version {said[0]} of the protocol, this program version {VERSION}")
    if said[1] >= len(FORMATS):
        raise WrongGateware(f"the gateware has format {said[1]}, which this program does not know")
    values, at = {"format": FORMATS[said[1]]}, 2
    for each in fields(Parameters)[1:]:
        width = _width(each.name)
        number = int.from_bytes(said[at : at + width], "little")
        values[each.name] = 1 << number if each.name in DEPTHS else number
        at += width
    sore, optimizer = said[at], said[at + 1]
    if optimizer >= len(OPTIMIZERS):
        raise WrongGateware(f"the gateware has optimizer {optimizer}, which this program does not know")
    try:
        gateware = Gateware(Parameters(**values), Lanes(bool(sore), OPTIMIZERS[optimizer]))
        gateware.lanes.check(gateware.parameters)
    except UserError as error:
        raise WrongGateware(f"the gateware says of itself what cannot be: {error}") from None
    return gateware


def differences(wanted: Parameters, found: Parameters) -> list[str]:
    """What of a gateware is not as wanted, in words; how much its memories hold may differ."""
    return [
        f"{each.name} is {getattr(found, each.name)}, not {getattr(wanted, each.name)}"
        for each in fields(wanted)
        if each.name not in DEPTHS and getattr(found, each.name) != getattr(wanted, each.name)
    ]


def tile_commands(tile: Tile) -> bytes:
    """Everything a tile needs, its run last: all of it is in the array's memories when the run begins.

    A tile whose words do not fit them must be cut, or the controller waits for ever for room.
    """
    size, out = item_bytes(tile.parameters), bytearray()
    for letter, streams, width in (
        ("W", tile.west, size.west),
        ("N", tile.north, size.north),
        ("S", tile.seeds, size.sum),
    ):
        for channel, words in enumerate(streams):
            out += command(letter, channel, words, width)
    return bytes(out + command("R", 0, [run_bits(tile.run)], size.run))


def command(letter: str, channel: int, items: Sequence[int], width: int) -> bytes:
    """One command with its items."""
    head = letter.encode() + bytes([channel]) + len(items).to_bytes(2, "little")
    return head + b"".join(item.to_bytes(width, "little") for item in items)


def read_sums(column: int, count: int) -> bytes:
    """The command that asks for a column's sums."""
    return b"O" + bytes([column]) + count.to_bytes(2, "little")
