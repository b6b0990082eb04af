"""The host's end of the link: commands to a board and its replies, whatever happens to frames on the way.

All waiting is bounded: a board that says nothing for `GIVE_UP`, or that takes and gives nothing for `STUCK` seconds, is
lost. When frames are missed the host sends again from where the board is (go-back-N), at once where the board's answers
show it, else after `patience`.
"""

import secrets
import time
from dataclasses import dataclass, field, replace
from typing import final

from rtl.hardware import LinkFigures
from rtl.link.frames import CRC_BYTES, LONGEST, Frame, Unpacker, status_of, wire_bytes
from rtl.link.wire import LinkLost, Wire

GIVE_UP, STUCK = 3.0, 20.0
OPENING = 3.0  # seconds in which a board has to answer at all
POLL = 0.002  # between questions when there is nothing to send
SLOWEST_POLL = 0.05
SAME = 2  # answers with the same offset that show a frame was lost


@dataclass
class _Exchange:
    """One exchange under way: bytes of `commands` taken by the board and sent, replies so far."""

    commands: bytes
    wanted: int
    first: int  # offset of the first command
    taken: int = 0
    sent: int = 0
    limit: int = 0  # the board has room up to here
    same: int = 0
    got: bytearray = field(default_factory=bytearray)
    asked: bool = False
    poll: float = POLL

    @property
    def done(self) -> bool:
        return self.taken == len(self.commands) and len(self.got) == self.wanted


@final
class Driver:
    """One end of a wire. patience: seconds until frames are thought lost. `open` begins a session."""

    def __init__(self, wire: Wire, patience: float = 0.5) -> None:
        self._wire, self._patience = wire, patience
        self._unpacker = Unpacker()
        self._session, self._mine = 0, set[int]()
        self._offset = self._replies = 0
        self._room = 0
        self._figures = LinkFigures()

    @property
    def figures(self) -> LinkFigures:
        return replace(self._figures, damaged=self._unpacker.damaged)

    def open(self) -> None:
        """Begin a session, in which the board starts afresh. Raises LinkLost when nothing answers."""
        self._session = secrets.randbelow(0xFFFF) + 1
        self._mine.add(self._session)
        began = time.monotonic()
        while time.monotonic() - began < OPENING:
            self._send(Frame("O", self._session))
            until = time.monotonic() + min(self._patience, OPENING / 4)
            while (left := until - time.monotonic()) > 0:
                for frame in self._receive(left):
                    if frame.kind == "s" and frame.session == self._session:
                        self._offset = self._replies = 0
                        self._room = status_of(frame).room
                        self._count(sessions=1)
                        return
        raise LinkLost("nothing that talks this protocol answers")

    def talk(self, commands: bytes, wanted: int) -> bytes:
        """Send commands and return so many bytes of replies. Raises LinkLost."""
        began = heard = progress = time.monotonic()
        now = _Exchange(commands, wanted, self._offset, limit=self._room - CRC_BYTES)
        patience = self._patience
        while not now.done:
            self._push(now)
            wait = now.poll if now.sent == now.taken and not now.asked else patience
            before = now.taken, len(now.got)
            frames = self._receive(min(wait, patience))
            for frame in frames:
                self._understand(now, frame)
            moment = time.monotonic()
            if frames:
                heard, patience = moment, self._patience
            elif now.asked or now.sent > now.taken:
                self._repeat(now)
                patience = min(2 * patience, GIVE_UP)
            if (now.taken, len(now.got)) != before:
                progress = moment
            if moment - heard > GIVE_UP:
                raise LinkLost(f"the board has said nothing for {GIVE_UP:.0f} s")
            if moment - progress > STUCK:
                raise LinkLost(f"the board has neither taken commands nor given replies for {STUCK:.0f} s")
        self._offset, self._replies = now.first + len(commands), self._replies + wanted
        self._room = now.limit + CRC_BYTES - now.taken
        self._count(payload=len(commands) + wanted, seconds=time.monotonic() - began)
        return bytes(now.got)

    def _push(self, now: _Exchange) -> None:
        """Send what there is room for, and ask for replies, or for room where there is none."""
        while now.sent < min(len(now.commands), now.limit):
            part = now.commands[now.sent : min(now.sent + LONGEST, now.limit)]
            self._send(Frame("D", self._session, (now.first + now.sent) % 2**32, part))
            now.sent += len(part)
        if now.asked or now.sent > now.taken:
            return
        if now.taken < len(now.commands):
            self._send(Frame("S", self._session))
        else:
            count = min(LONGEST, now.wanted - len(now.got))
            self._send(Frame("R", self._session, (self._replies + len(now.got)) % 2**32, bytes([count])))
        now.asked = True

    def _understand(self, now: _Exchange, frame: Frame) -> None:
        if frame.session != self._session:
            if frame.session == 0:
                raise LinkLost("the board was reset")
            if frame.session not in self._mine:
                raise LinkLost("another program has opened the board")
            return
        if frame.kind == "s":
            self._hear_status(now, frame)
        elif frame.kind == "d" and frame.offset == (self._replies + len(now.got)) % 2**32:
            now.got += frame.payload[: now.wanted - len(now.got)]
            now.asked = False
            if frame.payload:
                now.poll = POLL
            else:
                self._wait(now)

    def _hear_status(self, now: _Exchange, frame: Frame) -> None:
        status = status_of(frame)
        taken = (status.taken - now.first) % 2**32
        if not now.taken <= taken <= len(now.commands):
            return  # late: the board was there before
        now.same = now.same + 1 if taken == now.taken else 0
        if taken == now.taken and now.sent == now.taken:
            now.asked = False
            self._wait(now)
        now.taken, now.sent = taken, max(now.sent, taken)
        now.limit = taken + status.room - CRC_BYTES
        if now.same >= SAME and now.sent > now.taken:
            self._repeat(now)

    def _wait(self, now: _Exchange) -> None:
        """There was nothing yet: ask again a little later."""
        time.sleep(now.poll)
        now.poll = min(1.5 * now.poll, SLOWEST_POLL)

    def _repeat(self, now: _Exchange) -> None:
        now.sent, now.same, now.asked = now.taken, 0, False
        self._count(repeated=1)

    def _send(self, frame: Frame) -> None:
        data = wire_bytes(frame)
        self._wire.write(data)
        self._count(sent=len(data), frames=1)

    def _receive(self, seconds: float) -> list[Frame]:
        data = self._wire.read(seconds)
        frames = self._unpacker.frames(data)
        self._count(received=len(data), frames=len(frames))
        return frames

    def _count(self, **more: float) -> None:
        have = self._figures
        self._figures = replace(have, **{name: getattr(have, name) + value for name, value in more.items()})
