"""Gateware compiled into this process, with bytes pumped into it and out of it."""

import contextlib
import ctypes
from abc import ABC

from rtl.link.paced import CYCLES
from rtl.verilate import Compiled


class _Pumped(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("taken", "made", "quiet")]


class Pumped(ABC):  # noqa: B024  what differs is which gateware
    """Gateware, powered up. longest: cycles after which, if it has taken no command and given no reply, it waits for
    its host."""

    def __init__(self, compiled: Compiled, longest: int) -> None:
        self._compiled, self.longest = compiled, longest
        code = self._compiled.code
        code.pump.restype, code.wires.restype = ctypes.c_uint64, ctypes.c_void_p
        self._wires = ctypes.c_void_p(code.wires())
        self._waiting = b""
        self.quiet = True
        self.cycles = 0

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self._compiled.code.unwire(self._wires)

    @property
    def waiting(self) -> int:
        """Bytes that were given and that it has not taken yet."""
        return len(self._waiting)

    def reset(self) -> None:
        """Off and on again: everything on the board, and on its way there, is forgotten."""
        code = self._compiled.code
        code.unwire(self._wires)
        self._wires = ctypes.c_void_p(code.wires())
        self._compiled.power_up()
        self._waiting, self.quiet = b"", True

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
