"""What goes over the link to a core on a board: commands and replies, in bytes, lowest first.

A command is a letter, a channel, and a count of items (two bytes), then that many items:

    I 0 0       gives what never changes: registers from ID to DEPTH, and words of the board's DRAM, 4 bytes each
    P queue n   n parts of words for a queue, of 4 bytes, whole words: each waits for room in its queue
    A 0 1       a word's number (4 bytes): where in DRAM the next M or G begins
    M 0 n       n words of 8 bytes into DRAM; G 0 n gives n of them; each goes on where the one before ended
    W 0 n       n writes of a register: its byte address and its value, 4 bytes each
    R 0 n       n reads of a register: its byte address in 4 bytes; gives 4 bytes each
    Q 0 0       waits until the core is quiet, or has stopped; gives STATUS

A core that has stopped with a fault takes words and forgets them, until CONTROL is written. A new session of the link
resets the core, and leaves DRAM as it is.
"""

from dataclasses import dataclass

from rtl.core.registers import PART, CoreMap

LETTERS = {"P": 4, "A": 4, "M": 8, "W": 8, "R": 4}  # that have items, and the bytes of one
PART_BYTES, WORD_BYTES = PART // 8, 8
MOST_ITEMS = 0xFFFF


@dataclass(frozen=True)
class CoreIdentity:
    """What a board says of itself. constants: of `CoreMap`. dram: words."""

    constants: dict[str, int]
    dram: int


def identity_bytes(where: CoreMap) -> int:
    return PART_BYTES * (len(where.constants) + 1)


def identity(where: CoreMap, dram: int) -> bytes:
    """What the board answers to I."""
    return b"".join(value.to_bytes(PART_BYTES, "little") for value in (*where.constants.values(), dram))


def command(letter: str, channel: int = 0, items: bytes = b"", count: int | None = None) -> bytes:
    """A command with its items; count: of them, where it has none itself."""
    number = len(items) // LETTERS.get(letter, 1) if count is None else count
    return letter.encode() + bytes([channel]) + number.to_bytes(2, "little") + items
