"""Serving a virtual board at an address of this machine or at a pseudo-terminal, to one client after the other."""

import os
import select
import socket
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from rtl.link.client import GONE
from rtl.link.door import Door
from rtl.link.paced import INPUT, Paced
from rtl.link.place import check_place
from workloads.errors import UserError

if TYPE_CHECKING:
    from rtl.link.pumping import Pumped

Said = Callable[[str], None]  # is told where the board is


def serve_tcp(board: "Pumped", host: str, port: int, said: Said) -> None:
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
        door = Door(board, listener)
        while True:
            door.step()


def serve_pty(board: "Pumped", said: Said) -> None:
    """Serve a pseudo-terminal, to one client after the other. Ends when the process does.

    As on a serial port, what is not read in time is lost, and a second program that opens it takes the board.
    """
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    place = os.ttyname(theirs)
    said(place)
    while True:
        tty.setraw(theirs)  # which also drops what the last client has not read
        _serve_line(board, ours, theirs)
        board.reset()
        theirs = os.open(place, os.O_RDWR | os.O_NOCTTY)


def _serve_line(board: "Pumped", ours: int, theirs: int) -> None:
    """Serve clients at one end of a pseudo-terminal until the last one has closed the other.

    That is told only once no process has the other end open. It stays open here until somebody has said something:
    before that its closing would be told at once, and for ever.
    """
    paced, line = Paced(board), select.poll()
    line.register(ours, select.POLLIN)
    line.poll()
    os.close(theirs)
    while not any(event & GONE for _, event in line.poll(paced.patience)):
        data = b""
        with suppress(OSError):  # nothing has come, or the last one has just closed it
            data = os.read(ours, paced.room) if paced.room else b""
        made = paced.run(data)
        with suppress(OSError):
            while made:
                made = made[os.write(ours, made) :]
    with suppress(OSError):  # nothing is left, or nobody has it open
        while os.read(ours, INPUT):
            pass


def serve(board: "Pumped", at: str, said: Said) -> None:
    """Serve at a place that `check_place` takes. Ends when the process does."""
    place = check_place(at)
    if place is None:
        serve_pty(board, said)
    else:
        serve_tcp(board, *place, said)
