"""Serving a virtual board: one client after the other has it, whatever the one before does, or does not do.

A client has to say something that the link understands before it gets the board, so that noise and silence cost the
gateware nothing. What a client sends is read only as the board takes it, and what waits for one that has gone is
forgotten: the next finds a board that has just been switched on.
"""

import fcntl
import os
import select
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, final

from rtl.link.frames import END, FRAME_LEAST, FRAME_MOST, frame_of
from rtl.link.place import check_place
from workloads.errors import UserError

if TYPE_CHECKING:
    from rtl.link.virtual import VirtualBoard

Said = Callable[[str], None]  # is told where the board is
CYCLES = 2_000  # at once, before the wire is looked at again
LOOK = 0.005  # seconds after which the wire is looked at again, about
# Bytes that wait before the board: a full inbox of commands with their frames, and questions beside it.
INPUT = 4096
# Bytes that are read at once of somebody who has not got the board: noise there takes little time from who has it.
GREETING = 512
# Bytes of answers that a client has not taken: many times what a host can ask for before it must have read an answer.
OUTPUT = 1 << 16
# Bytes that a client has sent and that are not read yet, from which on it does not heed what the board has room for: a
# host sends a full inbox, 5 KiB with its frames, and the same again for every answer that is late, three times at most.
FLOOD = 1 << 15
# Clients that have said nothing yet; the oldest has to go when one more comes.
LOBBY = 16
# Seconds after the last answer for which a client keeps the board from others. A host at work asks ten times a second.
HELD = 5.0
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL | getattr(select, "POLLRDHUP", 0)


class _Paced:
    """A board that is run for about LOOK seconds at a time."""

    def __init__(self, board: "VirtualBoard") -> None:
        self.board, self._cycles = board, CYCLES

    @property
    def room(self) -> int:
        """Bytes that may be given to it now."""
        return max(0, INPUT - self.board.waiting)

    @property
    def patience(self) -> float | None:
        """Milliseconds to wait for bytes before it has to run again."""
        return None if self.board.quiet else 0.0

    def run(self, data: bytes) -> bytes:
        began, before = time.perf_counter(), self.board.cycles
        made = self.board.run(data, self._cycles)
        if self.board.cycles - before == self._cycles:
            quicker = LOOK / max(1e-9, time.perf_counter() - began)
            self._cycles = max(64, int(self._cycles * min(2.0, max(0.5, quicker))))
        return made


@final
class _Client:
    """A client's socket. ahead: what it has said before it got the board. answers: what it has not taken yet."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # gone already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, OUTPUT)
        self.socket, self.number = connection, connection.fileno()
        self.ahead = self.answers = b""
        self.gone = False
        self._answered = time.monotonic()

    def receive(self, most: int) -> bytes:
        """What has come, if anything; notes where it has hung up."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.gone = not data
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
            self._answered = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def gives_way(self) -> bool:
        """Whether another may have the board: this one is gone, floods it, does not read answers, or has had none."""
        waiting = select.poll()
        waiting.register(self.number, GONE)
        if waiting.poll(0) or self.answers or time.monotonic() - self._answered > HELD:
            return True
        unread = fcntl.ioctl(self.number, termios.FIONREAD, bytes(4))
        return int.from_bytes(unread, sys.byteorder) > FLOOD

    def begin(self) -> bytes:
        """It has the board from now on. Returns what it has said already."""
        self._answered = time.monotonic()
        said, self.ahead = self.ahead, b""
        return said


@final
class _Door:
    """A listening socket, the client that has the board, if any, and those that have said nothing yet."""

    def __init__(self, board: "VirtualBoard", listener: socket.socket) -> None:
        listener.setblocking(False)
        self._paced, self._listener = _Paced(board), listener
        self._lobby: list[_Client] = []
        self._present: _Client | None = None
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._waits_for = 0  # what the present client is waited on for

    def turn(self) -> None:
        """Wait until something can be done, and do it."""
        ready = dict(self._poll.poll(self._look()))
        if (present := self._present) is not None:
            self._serve(present, ready.get(present.number, 0))
        self._hear(ready)
        if self._listener.fileno() in ready:
            self._accept()

    def _look(self) -> float | None:
        """Say what the present client is waited on for. Returns for how many milliseconds; None is without an end."""
        if (present := self._present) is None:
            return None
        wanted = GONE | (select.POLLIN if self._paced.room else 0) | (select.POLLOUT if present.answers else 0)
        if wanted != self._waits_for:
            self._poll.modify(present.number, wanted)
            self._waits_for = wanted
        return None if len(present.answers) >= OUTPUT else self._paced.patience

    def _serve(self, present: _Client, ready: int) -> None:
        data = present.receive(self._paced.room) if ready & select.POLLIN and not ready & GONE else b""
        if ready & GONE or present.gone:
            self._leave()
            return
        self._work(present, data)

    def _work(self, present: _Client, data: bytes) -> None:
        """Let the board work, unless its answers pile up."""
        made = b""
        if data or not (self._paced.board.quiet or len(present.answers) >= OUTPUT):
            made = self._paced.run(data)
        if made or present.answers:
            present.send(made)
        if present.gone:
            self._leave()

    def _hear(self, ready: Mapping[int, int]) -> None:
        """Those that have the board not yet: who says what the link understands gets it, or is sent away."""
        for client in [each for each in self._lobby if each.number in ready]:
            asks = client.greets()
            if not asks and not client.gone:
                continue
            self._lobby.remove(client)
            if asks and (self._present is None or self._present.gives_way()):
                self._leave()
                self._present, self._waits_for = client, select.POLLIN
                self._work(client, client.begin())
            else:
                self._forget(client)

    def _accept(self) -> None:
        with suppress(OSError):  # gone already
            connection, _ = self._listener.accept()
            self._lobby.append(client := _Client(connection))
            self._poll.register(client.number, select.POLLIN)
        if len(self._lobby) > LOBBY:
            self._forget(self._lobby.pop(0))

    def _leave(self) -> None:
        """Nobody has the board; what it holds of the last client is forgotten."""
        if self._present is not None:
            self._forget(self._present)
            self._present = None
            self._paced.board.reset()

    def _forget(self, client: _Client) -> None:
        self._poll.unregister(client.number)
        client.socket.close()


def serve_tcp(board: "VirtualBoard", host: str, port: int, said: Said) -> None:
    """Serve a loopback address; a second client is sent away while the first is at work.

    Ends when the process does. Raises UserError for an address that cannot be had.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UserError(f"--tcp: {host}:{port}: {reason}") from None
    with listener:
        said(f"socket://{host}:{listener.getsockname()[1]}")
        door = _Door(board, listener)
        while True:
            door.turn()


def serve_pty(board: "VirtualBoard", said: Said) -> None:
    """Serve a pseudo-terminal. As on a serial port, what is not read in time is lost. Ends when the process does."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    said(os.ttyname(theirs))  # it stays open here, so that a client may come and go
    paced, line = _Paced(board), select.poll()
    line.register(ours, select.POLLIN)
    while True:
        line.poll(paced.patience)
        data = b""
        with suppress(BlockingIOError):
            data = os.read(ours, paced.room) if paced.room else b""
        made = paced.run(data)
        with suppress(BlockingIOError):
            while made:
                made = made[os.write(ours, made) :]


def serve(board: "VirtualBoard", at: str, said: Said) -> None:
    """Serve at a place that `check_place` takes. Ends when the process does."""
    place = check_place(at)
    if place is None:
        serve_pty(board, said)
    else:
        serve_tcp(board, *place, said)
