"""A client of a served board: its socket, and its turn at the board."""

import fcntl
import select
import socket
import sys
import termios
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, final

from rtl.link.frames import END, FRAME_LEAST, FRAME_MOST, WRAP, Frame, Unpacker, frame_of

if TYPE_CHECKING:
    from rtl.link.pumping import Pumped

# Bytes that are read at once of somebody who has not got the board: noise there takes little time from who has it.
GREETING = 512
# Bytes of answers that a client has not taken: many times what a host can ask for before it must have read an answer.
OUTPUT = 1 << 16
# Bytes that a client has sent since the board's last answer, from which on it is none that talks this protocol: a host
# sends a full inbox, 5 KiB with its frames, and the same again for every answer that is late, three times at most.
FLOOD = 1 << 15
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL | getattr(select, "POLLRDHUP", 0)


@final
class Client:
    """A client's socket. ahead: what it has said before it got the board, for which it has asked at `asked`.

    answers: what it has not taken yet.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, OUTPUT)
        self.socket, self.number = connection, connection.fileno()
        self.ahead = self.answers = b""
        self.gone = False
        self.asked = 0.0
        self._unanswered = 0

    @property
    def full(self) -> bool:
        """Whether so many answers wait for it that it is given no more, and asked for nothing."""
        return len(self.answers) >= OUTPUT

    def receive(self, most: int) -> bytes:
        """What has come, if anything; notes where it has hung up."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.gone = not data
        self._unanswered += len(data)
        return data

    def greets(self) -> bool:
        """Read what it says; whether there is a whole frame in it, which is then the first of what it has said."""
        *packets, rest = (self.ahead + self.receive(GREETING)).split(END)
        for at, packet in enumerate(packets):
            if len(packet) >= FRAME_LEAST and frame_of(packet) is not None:
                self.ahead = END + END.join([*packets[at:], rest])
                return True
        self.ahead = rest if len(rest) <= FRAME_MOST else b""
        return False

    def send(self, made: bytes) -> None:
        """Send answers as far as they are taken."""
        self.answers += made
        try:
            self.answers = self.answers[self.socket.send(self.answers) :]
            self._unanswered = 0
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def lost(self) -> bool:
        """Whether the board is of no use to it: it has gone, floods it, or does not read answers."""
        waiting = select.poll()
        waiting.register(self.number, GONE)
        if waiting.poll(0) or self.answers:
            return True
        unread = fcntl.ioctl(self.number, termios.FIONREAD, bytes(4))
        return int.from_bytes(unread, sys.byteorder) + self._unanswered > FLOOD

    def begin(self) -> bytes:
        """It has the board from now on. Returns what it has said already."""
        said, self.ahead, self._unanswered = self.ahead, b"", 0
        return said


@final
class Turn:
    """A client's turn at a board, and whether anything comes of it.

    Told by the board's own answers: questions are answered for ever, and nothing that a client sends says by itself
    that the board can do something with it.
    """

    def __init__(self, board: "Pumped") -> None:
        self._board = board
        self._unpacker, self._session, self._reached = Unpacker(), 0, Counter[str]()
        self._when, self._cycles = time.monotonic(), board.cycles

    def note(self, made: bytes) -> None:
        """Answers of the board."""
        for frame in self._unpacker.frames(made):
            if self._goes_on(frame):
                self._when, self._cycles = time.monotonic(), self._board.cycles

    def _goes_on(self, frame: Frame) -> bool:
        """Whether commands have been taken, or replies given, since the answer of this kind before."""
        if frame.session != self._session:
            self._session, self._reached = frame.session, Counter()
        reached = frame.offset + (len(frame.payload) if frame.kind == "d" else 0)
        further = 0 < (reached - self._reached[frame.kind]) % WRAP < WRAP // 2
        if further:
            self._reached[frame.kind] = reached
        return further

    def stands_still(self, seconds: float) -> bool:
        """Whether nothing has come of it for so long, and the board is not still working something out."""
        working = not self._board.quiet and self._board.cycles - self._cycles <= self._board.longest
        return not working and time.monotonic() - self._when > seconds
