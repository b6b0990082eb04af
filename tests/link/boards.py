"""Arrays small enough to compile in seconds, and ways to a virtual board in this very process."""

from collections.abc import Callable
from functools import cache

from rtl.hardware import Hardware
from rtl.link.remote import Board
from rtl.link.virtual import Edit, VirtualBoard
from rtl.link.wire import Wire
from rtl.parameters import Parameters, make_parameters
from rtl.selftest import Outcome, tried
from workloads.pattern import parse_pattern

HERE = "loop://"  # a port that opens anywhere, whose place a wire of the test takes


@cache
def small(form: str = "int8", pattern: str = "2:4") -> Parameters:
    return make_parameters(parse_pattern(pattern), 2, 2, form)


def array() -> Parameters:
    """One PE, to be beside lanes."""
    return make_parameters(parse_pattern("2:8"), 1, 1, "fp16")


class Direct(Wire):
    """A wire to a board in this process. before: told how many reads there have been, may do anything first."""

    def __init__(self, board: VirtualBoard, before: Callable[[int], None] = lambda _: None) -> None:
        self._board, self._before = board, before
        self._came = b""
        self._reads = 0

    def write(self, data: bytes) -> None:
        self._came += self._board.run(data)

    def read(self, seconds: float) -> bytes:
        del seconds
        self._reads += 1
        self._before(self._reads)
        came, self._came = self._came + self._board.run(), b""
        return came

    def close(self) -> None:
        """Nothing to close."""


def here(board: VirtualBoard, p: Parameters | None, before: Callable[[int], None] = lambda _: None) -> Board:
    """The driver at a board in this process."""
    return Board(p, HERE, through=lambda _: Direct(board, before))


def edited(before: str, after: str) -> Edit:
    """A change of the Verilog that must find what it changes."""

    def change(verilog: str) -> str:
        assert before in verilog
        return verilog.replace(before, after)

    return change


def all_tried(hardware: Hardware) -> list[Outcome]:
    return list(tried(hardware))
