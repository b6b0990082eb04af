"""A virtual board: the gateware of a board in Verilator, in this process or served by one of its own."""

import contextlib
import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from amaranth.back import rtlil, verilog

from rtl.compiled_array import INLINE
from rtl.controller import NONE
from rtl.lanes import Lanes
from rtl.link.linked import LinkedArray, PinnedArray, PoweredUp
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.verilate import Compiled, built, ports_of
from rtl.verilog import blocks_verilog, fingerprint
from workloads.errors import UserError

GROUPS, WEIGHTS, SUMS = 256, 1024, 1024  # what waits, more than on a real board: groups a row, weights, sums a column
DIVISOR = 4  # cycles a bit at the pins: the fewest that the receiver takes
CYCLES = 2_000  # at once, before the wire is looked at again
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
    command = [sys.executable, "-P", "-m", "rtl.link.serve", at, shape]
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
