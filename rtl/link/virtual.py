"""A virtual board: the gateware of a board in Verilator, in this process or served to one client after the other.

It is served on a TCP port or a pseudo-terminal of this machine. As a program (`python -m rtl.link.virtual`) it says
where it is on a line of its own and ends with its standard input.
"""

import contextlib
import ctypes
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from amaranth.back import rtlil, verilog

from rtl.array import blocks_verilog, fingerprint
from rtl.controller import NONE
from rtl.in_process import INLINE
from rtl.lanes import Lanes
from rtl.link.linked import LinkedArray, PinnedArray, PoweredUp
from rtl.link.place import check_place
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.verilate import Compiled, built, ports_of
from workloads.errors import UserError

GROUPS, WEIGHTS, SUMS = 256, 1024, 1024  # what waits, more than on a real board: groups a row, weights, sums a column
DIVISOR = 4  # cycles a bit at the pins: the fewest that the receiver takes
CYCLES = 2_000  # at once, before the wire is looked at again
CHUNK = 1 << 16
LOOK = 0.005  # seconds after which the wire is looked at again, about
Said = Callable[[str], None]  # is told where the board is
Edit = Callable[[str], str]  # changes the Verilog before it is compiled


class _Pumped(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("taken", "made", "quiet")]


class VirtualBoard:
    """The gateware, powered up. pins: bits go over two pins of a serial port, or else bytes go in and out as such.

    Raises UserError for lanes that an array of this format cannot have.
    """

    def __init__(
        self, parameters: Parameters, pins: bool = False, edit: Edit | None = None, lanes: Lanes = NONE
    ) -> None:
        lanes.check(parameters)
        roomy = replace(parameters, buffer=max(GROUPS, parameters.buffer), results=max(SUMS, parameters.results))
        self._compiled = _build(roomy, pins, edit, lanes)
        code = self._compiled.code
        code.pump.restype, code.wires.restype = ctypes.c_uint64, ctypes.c_void_p
        self._wires = ctypes.c_void_p(code.wires())
        self._waiting = b""
        self.quiet = True
        self.cycles = 0

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self._compiled.code.unwire(self._wires)

    def reset(self) -> None:
        """Off and on again: everything on the board is forgotten."""
        self._compiled.power_up()
        self._waiting = b""

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


def _build(p: Parameters, pins: bool, edit: Edit | None, lanes: Lanes) -> Compiled:
    linked = LinkedArray(p, WEIGHTS, place=as_instance, lanes=lanes)
    top = PoweredUp(PinnedArray(linked, DIVISOR) if pins else linked)
    ports = [port for port in ports_of(top) if port.name != "clk"]
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
    return built(key, whole, "board", ports, extra=extra)


@contextlib.contextmanager
def started(
    parameters: Parameters, pins: bool = False, at: str = "tcp 127.0.0.1:0", lanes: Lanes = NONE
) -> Iterator[str]:
    """The URL of a virtual board in a process of its own, which ends with this one, or with what is done with it.

    at: 'tcp ADDRESS:PORT', port 0 for any that is free, or 'pty'. Raises UserError when it does not come up, with its
    words.
    """
    shape = json.dumps({"parameters": asdict(parameters), "pins": pins, "lanes": asdict(lanes)})
    command = [sys.executable, "-P", "-m", "rtl.link.virtual", at, shape]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            if not url:
                raise UserError(f"the virtual board did not start: {_last_words(process)}")
            yield url
        finally:
            process.kill()


def _last_words(process: subprocess.Popen[str]) -> str:
    said = (process.stderr.read() if process.stderr else "").strip()
    return said.splitlines()[-1] if said else f"it ended with status {process.wait()} and said nothing"


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
