"""Commands of the controller as bytes: what a host sends, and what comes back.

A command is a letter, a channel, and a count of items (two bytes, lowest first), then that many items, each in whole
bytes, lowest first:

    W row n     n words of a row's operands (rtl.tiles: `west`)      N column n   n weights of a column
    S column n  n sums that go into a column                         R 0 1        a run (`rtl.tiles.run_bits`)
    O column n  gives n sums of a column, when they are there        C 0 0        gives the counters after the run
    I 0 0       gives the parameters (`identity`)

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
from rtl.tiles import Tile, run_bits
from workloads.errors import UserError

VERSION = 2
FORMATS = ("fp16", "bf16", "int8")
IDENTITY_BYTES = 24
COUNTERS_BYTES = 20
WEIGHTS, SUMS, GROUPS = 256, 256, 64  # what waits on a board: weights and sums a column, groups a row
LONG = ("rows", "cols", "results")  # parameters in two bytes; `buffer` goes as a power of two, all others in one
QUEUES = ("buffer", "results")  # parameters that say how much waits, not what comes out or when


@dataclass(frozen=True)
class ItemBytes:
    """Bytes of an item on the link."""

    west: int
    north: int
    sum: int
    run: int


def item_bytes(p: Parameters) -> ItemBytes:
    """Items in whole bytes."""
    west, north = p.west_link * p.operand.bits + 1, p.weight_bits
    return ItemBytes(-(-west // 8), -(-north // 8), p.accumulator.bits // 8, 22)


@dataclass(frozen=True)
class Gateware:
    """What is on a board: the array, the weights that wait a column, and what is beside it."""

    parameters: Parameters
    weights: int
    lanes: Lanes = Lanes()  # noqa: RUF009  frozen

    def fits(self, tile: Tile) -> bool:
        """Whether all words of a tile fit the queues at once."""
        p = self.parameters
        return fits(replace(tile, parameters=p), self.weights, p.results)


def identity(gateware: Gateware) -> bytes:
    """What a board says of itself: the protocol's version, parameters in order, the weights' queue, lanes."""
    p = gateware.parameters
    out = bytearray([VERSION, FORMATS.index(p.format)])
    for each in fields(p)[1:]:
        value = getattr(p, each.name)
        out += bytes([value.bit_length() - 1]) if each.name == "buffer" else value.to_bytes(_width(each.name), "little")
    out += gateware.weights.to_bytes(2, "little")
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
        values[each.name] = 1 << number if each.name == "buffer" else number
        at += width
    weights, sore, optimizer = int.from_bytes(said[at : at + 2], "little"), said[at + 2], said[at + 3]
    if optimizer >= len(OPTIMIZERS):
        raise WrongGateware(f"the gateware has optimizer {optimizer}, which this program does not know")
    try:
        gateware = Gateware(Parameters(**values), weights, Lanes(bool(sore), OPTIMIZERS[optimizer]))
        gateware.lanes.check(gateware.parameters)
    except UserError as error:
        raise WrongGateware(f"the gateware says of itself what cannot be: {error}") from None
    return gateware


def differences(wanted: Parameters, found: Parameters) -> list[str]:
    """What of a gateware is not as wanted, in words; how much waits in its queues may differ."""
    return [
        f"{each.name} is {getattr(found, each.name)}, not {getattr(wanted, each.name)}"
        for each in fields(wanted)
        if each.name not in QUEUES and getattr(found, each.name) != getattr(wanted, each.name)
    ]


def tile_commands(tile: Tile) -> bytes:
    """Everything a tile needs, its run last: all of it waits in the array's queues when the run begins.

    A tile whose words do not fit the queues must be cut, or the controller waits for ever for room.
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


def fits(tile: Tile, weights: int, sums: int) -> bool:
    """Whether a tile's words all fit an array's queues at once: groups a row, weights and sums a column."""
    p = tile.parameters
    groups = max(sum(word >> p.west_link * p.operand.bits for word in row) for row in tile.west)
    seeds = max((len(each) for each in tile.seeds), default=0)
    return groups <= p.buffer and max(map(len, tile.north)) <= weights and max(tile.results, seeds) <= sums
