"""Commands of the controller as bytes: what a host sends, and what comes back.

A command is a letter, a channel, and a count of items (two bytes, lowest first), then that many items, each in whole
bytes, lowest first:

    W row n     n words of a row's operands (rtl.tiles: `west`)      N column n   n weights of a column
    S column n  n sums that go into a column                         R 0 1        a run (`rtl.tiles.run_bits`)
    O column n  gives n sums of a column, when they are there        C 0 0        gives the counters and if it is idle
    I 0 0       gives the parameters (`identity`)

Nothing here guards against bytes that are lost or changed on the way: a framed link carries these commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from rtl.parameters import Parameters
from rtl.tiles import Tile, run_bits

VERSION = 1
FORMATS = ("fp16", "bf16", "int8")
IDENTITY_BYTES = 24
COUNTERS_BYTES = 21
WEIGHTS, SUMS, GROUPS = 256, 256, 64  # what waits on a board: weights and sums a column, groups a row


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


def identity(p: Parameters) -> bytes:
    """What an array says of itself: the protocol's version, then its parameters in order, sizes in two bytes."""
    out = bytearray([VERSION, FORMATS.index(p.format)])
    for each in fields(p)[1:]:
        value = getattr(p, each.name)
        if each.name == "buffer":
            out += bytes([value.bit_length() - 1])
        else:
            out += value.to_bytes(2 if each.name in ("rows", "cols", "results") else 1, "little")
    return bytes(out.ljust(IDENTITY_BYTES, b"\0"))


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
