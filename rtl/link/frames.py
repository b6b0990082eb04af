"""Frames of the link between a host and a board: two streams of bytes, each at its own offset, guarded by a CRC.

A frame is a kind, a session (2 bytes), an offset (4 bytes), a payload and the CRC-32 of all that, lowest bytes first,
between SLIP's END bytes (RFC 1055; the CRC is that of Ethernet). The host asks and the board answers:

    O  a new session begins: everything on the board is cleared            -> s
    D  bytes of the command stream, from `offset` on                       -> s
    R  as many replies as the payload says (2 bytes), from `offset` on     -> s, and d after d as replies are made
    A  replies before `offset` are no longer needed; R says so too         -> s
    S  nothing; its offset is a number that the answer has too             -> s

    s  `offset`: commands taken so far; room for more, the number of the last S, and replies that are still to go out of
       those that R asked for (2 bytes each)
    d  replies from `offset` on: LONGEST of them, or the last ones of those that R asked for

The board takes a D only whole, unchanged, of its own session and at the offset it expects, so that a frame that is
lost, late, repeated or changed is as if it had not been sent; the host then sends again from where the board is. It
does so when it knows: nothing overtakes on the wire, so what was sent before an S and is not taken when that S is
answered is lost, and so are replies that are not here when none is to go out any more.
Offsets count from 0 in each session. A board that has just started is in session 0.
"""

import zlib
from dataclasses import dataclass

from sliplib import ProtocolError, decode, encode

END = b"\xc0"
HEADER_BYTES, CRC_BYTES = 7, 4
LONGEST = 240  # bytes of a payload
STATUS_BYTES = 6  # of an `s`, beside its offset
FRAME_LEAST = HEADER_BYTES + CRC_BYTES  # bytes of a frame on the wire without a payload
FRAME_MOST = 2 * (FRAME_LEAST + LONGEST)  # the same with the longest one, where SLIP doubles every byte
WRAP = 2**32  # offsets begin again there
NUMBERS = 2**16  # numbers of S do
INBOX, OUTBOX = 2048, 2048  # bytes of commands and of replies that wait on a board


@dataclass(frozen=True)
class Frame:
    """One frame. kind: a letter. offset: in bytes of its stream, below 2^32."""

    kind: str
    session: int
    offset: int = 0
    payload: bytes = b""


@dataclass(frozen=True)
class Status:
    """What an `s` says, in bytes: commands taken since the session began, room for more, replies still to go out.

    number: of the last S.
    """

    taken: int
    room: int
    number: int
    owed: int


def wire_bytes(frame: Frame) -> bytes:
    """The frame as it is sent. END leads it too: what noise left on the line ends there."""
    head = frame.kind.encode() + frame.session.to_bytes(2, "little") + frame.offset.to_bytes(4, "little")
    body = head + frame.payload
    return END + encode(body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")) + END


def frame_of(packet: bytes) -> Frame | None:
    """The frame between two ENDs; None where it is not what was sent."""
    try:
        body = decode(packet)
    except ProtocolError:
        return None
    if len(body) < FRAME_LEAST or zlib.crc32(body[:-CRC_BYTES]) != int.from_bytes(body[-CRC_BYTES:], "little"):
        return None
    session, offset = (int.from_bytes(body[first:last], "little") for first, last in ((1, 3), (3, 7)))
    return Frame(chr(body[0]), session, offset, body[HEADER_BYTES:-CRC_BYTES])


def status_of(frame: Frame) -> Status:
    """What an `s` says."""
    room, number, owed = (int.from_bytes(frame.payload[first : first + 2], "little") for first in (0, 2, 4))
    return Status(frame.offset, room, number, owed)


@dataclass
class Unpacker:
    """Frames out of bytes as they come. Not frozen: it keeps the beginning of a frame. damaged: frames thrown away."""

    damaged: int = 0
    _rest: bytes = b""

    def frames(self, data: bytes) -> list[Frame]:
        *packets, self._rest = (self._rest + data).split(END)
        found = [frame_of(packet) for packet in packets if packet]
        self.damaged += sum(frame is None for frame in found)
        if len(self._rest) > FRAME_MOST:  # no frame ends there any more
            self._rest = b""
            self.damaged += 1
        return [frame for frame in found if frame is not None]
