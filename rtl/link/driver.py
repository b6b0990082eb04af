"""The host's end of the link: commands to a board and its replies, whatever happens to frames on the way.

All waiting is bounded: a board that says nothing for `GIVE_UP`, or that takes and gives nothing for `STUCK` seconds, is
lost. Where answers are late, or say the same again, the host asks where the board is (S), and goes back to there when
the answer shows that frames are lost. A board that is only slow is sent nothing twice.
"""

import secrets
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import final

from rtl.hardware import LinkFigures
from rtl.link.frames import (
    CRC_BYTES,
    LONGEST,
    NUMBERS,
    OUTBOX,
    STATUS_BYTES,
    WRAP,
    Frame,
    Unpacker,
    status_of,
    wire_bytes,
)
from rtl.link.wire import LinkLost, Wire

FIRST, LEAST, MOST = 0.5, 0.02, 1.5  # seconds to wait for an answer
GIVE_UP, STUCK = 3.0, 10.0
OPENING = 3.0  # seconds in which a board has to answer at all
POLL, SLOWEST_POLL = 0.001, 0.1  # between questions when there is nothing to send
SAME = 2  # answers with the same offset after which a frame may be lost
MOST_REPLIES = 0xFFFF  # asked for at once
FORGET = OUTBOX // 2  # replies after which the board is told that they are here


@dataclass
class Pace:
    """How long to wait for an answer before the board is asked where it is, by how long answers have taken (RFC 6298).

    Not frozen: it learns. seconds: to wait.
    """

    seconds: float = FIRST
    _mean: float | None = None
    _spread: float = 0.0

    def answered(self, took: float) -> None:
        """An answer came so many seconds after its frame, which was sent once."""
        if self._mean is None:
            self._mean, self._spread = took, took / 2
        else:
            self._spread += (abs(took - self._mean) - self._spread) / 4
            self._mean += (took - self._mean) / 8
        self.seconds = min(MOST, max(LEAST, self._mean + 4 * self._spread))

    def lost(self) -> None:
        """Nothing came in time."""
        self.seconds = min(MOST, 2 * self.seconds)


class TakenOver(LinkLost):
    """Another program has opened the board."""


class InUse(LinkLost):
    """The wire broke before the first answer, as a served board ends it for who comes while another is at work."""


@dataclass
class _Exchange:
    """One exchange under way. first, replies: offsets at which it begins. taken, got: bytes that have arrived there and
    here. sent: of the commands. limit: the board has room up to there. question: number of the S that has no answer
    yet, when `sent` was `asked`."""

    commands: bytes
    wanted: int
    first: int
    replies: int
    limit: int
    taken: int = 0
    sent: int = 0
    got: bytearray = field(default_factory=bytearray)
    kept: int = 0  # replies the board was told of
    promised: int = 0  # replies it was asked for
    flying: deque[tuple[int, float]] = field(default_factory=deque)  # ends of what was sent once, and when
    same: int = 0
    question: int | None = None
    asked: int = 0
    going_back: int = 0  # commands up to here have been sent again already
    gap: bool = False  # missing replies have been asked for again already
    poll: float = POLL

    @property
    def done(self) -> bool:
        return self.taken == len(self.commands) and len(self.got) == self.wanted

    @property
    def left(self) -> int:
        return self.wanted - len(self.got)


@final
class Driver:
    """One end of a wire, begun with `open`; after LinkLost another wire can be plugged in and opened."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        self._pace, self._unpacker = Pace(), Unpacker()
        self._session, self._mine = 0, set[int]()
        self._offset = self._replies = 0
        self._room = self._number = 0
        self._figures = LinkFigures()

    @property
    def figures(self) -> LinkFigures:
        """What has gone over all its wires."""
        return replace(self._figures, damaged=self._unpacker.damaged)

    def open(self, wire: Wire) -> None:
        """Begin a session, in which the board starts afresh.

        Raises LinkLost when nothing answers, InUse for a wire that breaks before anything has.
        """
        self._wire, self._pace = wire, Pace()
        try:
            begun = self._begun()
        except LinkLost as error:
            raise InUse(f"{error}; the board may be in use by another client: try again when it is free") from None
        if not begun:
            raise LinkLost(f"nothing that talks this protocol has answered for {OPENING:.0f} s")

    def _begun(self) -> bool:
        """Whether an answer has come to the opening of a session."""
        self._session = secrets.randbelow(0xFFFF) + 1
        self._mine.add(self._session)
        began = time.monotonic()
        while time.monotonic() - began < OPENING:
            asked = time.monotonic()
            self._send(Frame("O", self._session))
            while (left := asked + self._pace.seconds - time.monotonic()) > 0:
                for frame in self._receive(left):
                    if _is_status(frame) and frame.session == self._session:
                        self._pace.answered(time.monotonic() - asked)
                        self._offset = self._replies = 0
                        self._room = status_of(frame).room
                        self._count(sessions=1)
                        return True
        return False

    def close(self) -> None:
        """Let go of the wire."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def talk(self, commands: bytes, wanted: int) -> bytes:
        """Send commands and return so many bytes of replies. Raises LinkLost."""
        now = _Exchange(commands, wanted, self._offset, self._replies, self._room - CRC_BYTES)
        began = heard = progress = asked = time.monotonic()
        self._ask(now)
        while not now.done:
            asked = time.monotonic() if self._push(now) else asked
            before = now.taken, len(now.got)
            frames = self._receive(max(0.0, asked + self._wait(now) - time.monotonic()))
            for frame in frames:
                self._understand(now, frame)
            moment = time.monotonic()
            if frames:
                heard = asked = moment
            elif moment >= asked + self._wait(now):
                self._ask_again(now)
                asked = moment
            if (now.taken, len(now.got)) != before:
                progress, now.poll = moment, POLL
            if moment - heard > GIVE_UP:
                raise LinkLost(f"the board has said nothing for {GIVE_UP:.0f} s")
            if moment - progress > STUCK:
                raise LinkLost(f"the board has neither taken commands nor given replies for {STUCK:.0f} s")
        self._offset, self._replies = (now.first + len(commands)) % WRAP, (now.replies + wanted) % WRAP
        self._room = now.limit + CRC_BYTES - now.taken
        self._count(payload=len(commands) + wanted, seconds=time.monotonic() - began)
        return bytes(now.got)

    def _push(self, now: _Exchange) -> bool:
        """Send what there is room for; whether there was something."""
        end = min(len(now.commands), now.limit)
        if now.sent >= end:
            return False
        while now.sent < end:
            part = now.commands[now.sent : min(now.sent + LONGEST, end)]
            self._send(Frame("D", self._session, (now.first + now.sent) % WRAP, part))
            now.sent += len(part)
            if now.sent > now.going_back:
                now.flying.append((now.sent, time.monotonic()))
        return True

    def _ask(self, now: _Exchange) -> None:
        """Ask for all replies that are still to come; those that are here are forgotten there."""
        now.kept = len(now.got)
        if now.left:
            more = min(now.left, MOST_REPLIES)
            now.promised = len(now.got) + more
            self._send(Frame("R", self._session, self._here(now), more.to_bytes(2, "little")))

    def _here(self, now: _Exchange) -> int:
        return (now.replies + len(now.got)) % WRAP

    def _wait(self, now: _Exchange) -> float:
        """Seconds of silence after which it is time to ask."""
        if now.sent > now.taken:
            return self._pace.seconds
        full = now.taken < len(now.commands)  # then room is made without a word
        return now.poll if full else max(now.poll, self._pace.seconds)

    def _ask_again(self, now: _Exchange) -> None:
        """No answer has come in time: has the board got what was sent, has it room now, are replies on their way?"""
        if now.question is not None:
            self._pace.lost()
        if now.got:  # as what said so may be lost, and a board that keeps replies for us makes no others
            self._send(Frame("A", self._session, self._here(now)))
        self._question(now)
        now.poll = min(1.5 * now.poll, SLOWEST_POLL)

    def _question(self, now: _Exchange) -> None:
        self._number = (self._number + 1) % NUMBERS
        now.question, now.asked, now.same = self._number, now.sent, 0
        self._send(Frame("S", self._session, self._number))

    def _go_back(self, now: _Exchange) -> None:
        now.going_back, now.sent = now.sent, now.taken
        now.flying.clear()
        self._count(repeated=1)

    def _understand(self, now: _Exchange, frame: Frame) -> None:
        if frame.session != self._session:
            if frame.session == 0:
                raise LinkLost("the board was reset")
            if frame.session not in self._mine:
                raise TakenOver("another program has opened the board")
        elif _is_status(frame):
            self._hear_status(now, frame)
        elif frame.kind == "d":
            self._hear_replies(now, frame)

    def _hear_status(self, now: _Exchange, frame: Frame) -> None:
        status = status_of(frame)
        taken = (status.taken - now.first) % WRAP
        if not now.taken <= taken <= len(now.commands):
            return  # late: the board was there before
        now.same = now.same + 1 if taken == now.taken else 0
        now.taken, now.sent = taken, max(now.sent, taken)
        now.limit = taken + status.room - CRC_BYTES
        answered = None
        while now.flying and now.flying[0][0] <= taken:
            answered = now.flying.popleft()
        if answered is not None:
            self._pace.answered(time.monotonic() - answered[1])
        if status.number == now.question:
            now.question = None
            if now.taken < now.asked:
                self._go_back(now)
            if now.left and not status.owed:  # nothing is on its way any more
                self._count(repeated=1)
                self._ask(now)
        elif now.same >= SAME and now.sent > now.taken and now.question is None:
            self._question(now)

    def _hear_replies(self, now: _Exchange, frame: Frame) -> None:
        ahead = (frame.offset - self._here(now)) % WRAP
        if ahead == 0:
            now.got += frame.payload[: now.left]
            now.gap = False
            if len(now.got) >= now.promised:
                self._ask(now)
            elif now.left and len(now.got) - now.kept >= FORGET:
                now.kept = len(now.got)
                self._send(Frame("A", self._session, self._here(now)))
        elif ahead < WRAP // 2 and not now.gap:
            now.gap = True
            self._count(repeated=1)
            self._ask(now)

    def _send(self, frame: Frame) -> None:
        assert self._wire is not None
        data = wire_bytes(frame)
        self._wire.write(data)
        self._count(sent=len(data), frames=1)

    def _receive(self, seconds: float) -> list[Frame]:
        assert self._wire is not None
        data = self._wire.read(seconds)
        frames = self._unpacker.frames(data)
        self._count(received=len(data), frames=len(frames))
        return frames

    def _count(self, **more: float) -> None:
        have = self._figures
        self._figures = replace(have, **{name: getattr(have, name) + value for name, value in more.items()})


def _is_status(frame: Frame) -> bool:
    return frame.kind == "s" and len(frame.payload) == STATUS_BYTES
