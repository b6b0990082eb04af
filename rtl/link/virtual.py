"""A virtual board: the gateware of a board in Verilator, behind a TCP port or a pseudo-terminal of this machine."""

import contextlib
import ctypes
import os
import re
import select
import socket
import tty
from collections.abc import Callable
from pathlib import Path

from amaranth.back import rtlil, verilog

from rtl.board import WEIGHTS
from rtl.compiled_array import INLINE
from rtl.link.linked import LinkedArray, PinnedArray
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.verilate import built, ports_of
from rtl.verilog import blocks_verilog, fingerprint
from workloads.errors import UserError

DIVISOR = 4  # cycles a bit at the pins: the fewest that the receiver takes
CYCLES = 20_000  # at once, before the wire is looked at again
CHUNK = 1 << 16
Edit = Callable[[str], str]  # changes the Verilog before it is compiled


class _Pumped(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("taken", "made", "quiet")]


class VirtualBoard:
    """The gateware, powered up. pins: bits go over two pins of a serial port, or else bytes go in and out as such."""

    def __init__(self, parameters: Parameters, pins: bool = False, edit: Edit | None = None) -> None:
        self._compiled = _build(parameters, pins, edit)
        code = self._compiled.code
        code.pump.restype, code.wires.restype = ctypes.c_uint64, ctypes.c_void_p
        self._wires = ctypes.c_void_p(code.wires())
        self._waiting = b""
        self.quiet = True
        self.cycles = 0

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self._compiled.code.unwire(self._wires)

    def run(self, data: bytes = b"", cycles: int = CYCLES) -> bytes:
        """Give bytes to the board, let it work for at most so many cycles, and take what it answers."""
        self._waiting += data
        room, done = 4096, _Pumped()
        out = (ctypes.c_uint8 * room)()
        given = (ctypes.c_uint8 * max(1, len(self._waiting))).from_buffer_copy(self._waiting or b"\0")
        self.cycles += self._compiled.code.pump(
            self._compiled.block,
            self._wires,
            given,
            ctypes.c_uint64(len(self._waiting)),
            out,
            *(ctypes.c_uint64(each) for each in (room, cycles)),
            ctypes.byref(done),
        )
        self._waiting = self._waiting[done.taken :]
        self.quiet = bool(done.quiet)
        return bytes(out[: done.made])


def _build(p: Parameters, pins: bool, edit: Edit | None):
    linked = LinkedArray(p, WEIGHTS, place=as_instance)
    top = PinnedArray(linked, DIVISOR) if pins else linked
    text = rtlil.convert(top, name="board", emit_src=False)
    key = f"{p} {fingerprint(p)} {text}"

    def whole() -> str:
        made = blocks_verilog(p) + verilog.convert(top, name="board", emit_src=False)
        if p.rows * p.cols > INLINE:
            made = re.sub(r"(module sparse_pe\(.*?\);)", r"\1 /*verilator no_inline_module*/", made, count=1)
        return made if edit is None else edit(made)

    if edit is not None:
        key += whole()
    extra = (f"#define PINS {DIVISOR}\n" if pins else "") + (Path(__file__).parent / "pump.cpp").read_text()
    return built(key, whole, "board", ports_of(top), extra=extra)


def serve_tcp(board: VirtualBoard, address: tuple[str, int], ready: Callable[[str], None]) -> None:
    """Serve one client after the other on a loopback address; a second one at a time is sent away.

    `ready` is told the URL. Ends when the process does. Raises UserError for an address that cannot be had.
    """
    if address[0] not in ("127.0.0.1", "localhost", "::1"):
        raise UserError(f"--tcp: a virtual board listens on this machine only (127.0.0.1), not on {address[0]}")
    try:
        listener = socket.create_server(address)
    except OSError as error:
        raise UserError(f"--tcp: {address[0]}:{address[1]}: {error.strerror or error}") from None
    with listener:
        ready(f"socket://127.0.0.1:{listener.getsockname()[1]}")
        while True:
            client, _ = listener.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError):
                    _serve(board, client, listener)


def _serve(board: VirtualBoard, client: socket.socket, listener: socket.socket) -> None:
    while True:
        readable, _, _ = select.select([client, listener], [], [], None if board.quiet else 0)
        if listener in readable:
            listener.accept()[0].close()
        data = b""
        if client in readable:
            data = client.recv(CHUNK)
            if not data:
                return
        made = board.run(data)
        if made:
            client.sendall(made)


def serve_pty(board: VirtualBoard, ready: Callable[[str], None]) -> None:
    """Serve a pseudo-terminal, whose path `ready` is told. Ends when the process does."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    ready(os.ttyname(theirs))  # it stays open here, so that a client may come and go
    while True:
        readable, _, _ = select.select([ours], [], [], None if board.quiet else 0)
        made = board.run(os.read(ours, CHUNK) if readable else b"")
        while made:
            made = made[os.write(ours, made) :]
