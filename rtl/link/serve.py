"""Serving a virtual board on a TCP port or a pseudo-terminal of this machine, to one client after the other.

As a program (`python -m rtl.link.serve`) it says where it is on a line of its own and ends with its standard input.
"""

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
import tty
from collections.abc import Callable

from rtl.lanes import Lanes
from rtl.link.place import check_place
from rtl.link.virtual import CYCLES, VirtualBoard
from rtl.parameters import Parameters
from workloads.errors import UserError

CHUNK = 1 << 16
LOOK = 0.005  # seconds after which the wire is looked at again, about
Said = Callable[[str], None]  # is told where the board is


class _Paced:
    """A board that is run for about LOOK seconds at a time."""

    def __init__(self, board: VirtualBoard) -> None:
        self._board, self._cycles = board, CYCLES

    @property
    def patience(self) -> float | None:
        """Seconds to wait for bytes before it has to run again."""
        return None if self._board.quiet else 0.0

    def run(self, data: bytes) -> bytes:
        began, before = time.perf_counter(), self._board.cycles
        made = self._board.run(data, self._cycles)
        if self._board.cycles - before == self._cycles:
            quicker = LOOK / max(1e-9, time.perf_counter() - began)
            self._cycles = max(64, int(self._cycles * min(2.0, max(0.5, quicker))))
        return made


def serve_tcp(board: VirtualBoard, host: str, port: int, said: Said) -> None:
    """Serve a loopback address; a second client at a time is sent away.

    Ends when the process does. Raises UserError for an address that cannot be had.
    """
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UserError(f"--tcp: {host}:{port}: {reason}") from None
    paced = _Paced(board)
    with listener:
        said(f"socket://{host}:{listener.getsockname()[1]}")
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _serve(paced, client, listener)


def _serve(paced: _Paced, client: socket.socket, listener: socket.socket) -> None:
    while True:
        readable, _, _ = select.select([client, listener], [], [], paced.patience)
        if listener in readable:
            listener.accept()[0].close()
        data = b""
        if client in readable and not (data := client.recv(CHUNK)):
            return
        client.sendall(paced.run(data))


def serve_pty(board: VirtualBoard, said: Said) -> None:
    """Serve a pseudo-terminal. Ends when the process does."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    said(os.ttyname(theirs))  # it stays open here, so that a client may come and go
    paced = _Paced(board)
    while True:
        readable, _, _ = select.select([ours], [], [], paced.patience)
        made = paced.run(os.read(ours, CHUNK) if readable else b"")
        while made:
            made = made[os.write(ours, made) :]


def serve(board: VirtualBoard, at: str, said: Said) -> None:
    """Serve at a place that `check_place` takes. Ends when the process does."""
    place = check_place(at)
    if place is None:
        serve_pty(board, said)
    else:
        serve_tcp(board, *place, said)


def main() -> None:
    """Arguments: where, and in JSON the array's parameters, whether over pins, and the lanes."""
    at, shape = sys.argv[1:]
    threading.Thread(target=lambda: os._exit(bool(sys.stdin.read())), daemon=True).start()
    asked = json.loads(shape)
    try:
        board = VirtualBoard(Parameters(**asked["parameters"]), asked["pins"], lanes=Lanes(**asked["lanes"]))
        serve(board, at, lambda where: print(where, flush=True))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
