"""A virtual board: the gateware of a board in Verilator, in this process or served from one of its own.

As a program (`python -m rtl.link.virtual`) it says where it is on a line of its own and ends with its standard input.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import final

from amaranth.back import rtlil

from rtl.array import blocks_verilog, fingerprint
from rtl.controller import NONE
from rtl.in_process import INLINE
from rtl.lanes import Lanes
from rtl.link.linked import LinkedArray, PinnedArray, PoweredUp
from rtl.link.paced import INPUT
from rtl.link.pumping import Pumped
from rtl.link.serving import serve
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.protocol import DEPTHS
from rtl.tools import to_verilog
from rtl.verilate import Compiled, built, ports_of
from workloads.errors import UserError
from workloads.files.reading import checked, parse_json

DEPTH = 1024  # words a row, weights and sums a column: more than on a real board
ENDING = 2.0  # seconds in which a served board has to end once nobody needs it
PROGRAM = ("-m", "rtl.link.virtual")
DIVISOR = 4  # cycles a bit at the pins: the fewest that the receiver takes
BYTE = 10 * DIVISOR  # cycles a byte there: a start and a stop bit come with it
Edit = Callable[[str], str]  # changes the Verilog before it is compiled


@dataclass(frozen=True)
class Asked:
    """What a process is asked to serve."""

    parameters: Parameters
    pins: bool
    lanes: Lanes


@final
class VirtualBoard(Pumped):
    """The gateware with an array. pins: bits go over two pins of a serial port, or else bytes go in and out as such.

    Raises UserError for lanes that an array of this format cannot have.
    """

    def __init__(
        self, parameters: Parameters, pins: bool = False, edit: Edit | None = None, lanes: Lanes = NONE
    ) -> None:
        lanes.check(parameters)
        depths = {name: max(DEPTH, getattr(parameters, name)) for name in DEPTHS}
        roomy = replace(parameters, **depths)
        # where frames are sent again, bit by bit
        longest = _longest(roomy) + (INPUT * BYTE if pins else 0)
        super().__init__(_build(roomy, pins, edit, lanes), longest)


def _longest(p: Parameters) -> int:
    """Cycles in which the longest tile is worked through that the memories hold, or a little more."""
    group = max(p.weights, p.group_words) * max(p.accumulators, p.adder_latency)
    return p.row_depth * group + p.rows * p.longest_pass


def _build(p: Parameters, pins: bool, edit: Edit | None, lanes: Lanes) -> Compiled:
    linked = LinkedArray(p, place=as_instance, lanes=lanes)
    top = PoweredUp(PinnedArray(linked, DIVISOR) if pins else linked)
    ports = [port for port in ports_of(top) if port.name != "clk"]
    text = rtlil.convert(top, name="board", emit_src=False)
    key = f"{p} {fingerprint(p)} {text}"

    def whole() -> str:
        made = blocks_verilog(p) + to_verilog(top, "board")
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
    shape = json.dumps(asdict(Asked(parameters, pins, lanes)))
    command = [sys.executable, "-P", *PROGRAM, at, shape]
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
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let a process take away what it keeps for itself; kill it where that takes long."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if process.stdin is not None:
            process.stdin.close()
        process.wait(ENDING)
    process.kill()


def _last_words(process: subprocess.Popen[str]) -> str:
    said = (process.stderr.read() if process.stderr else "").strip()
    return said.splitlines()[-1] if said else f"it ended with status {process.wait()} and said nothing"


def main() -> None:
    """Arguments: where, and in JSON what is asked for."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        if len(sys.argv) != 3:
            raise UserError("give where to serve, and in JSON what")
        asked = checked(Asked, parse_json(sys.argv[2], "the board's description"), "the board's description")
        board = VirtualBoard(asked.parameters, asked.pins, lanes=asked.lanes)
        serve(board, sys.argv[1], lambda where: print(where, flush=True))
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _end_with_input() -> None:
    """End the process when its standard input does, and by force where its main thread does not come to that."""
    with contextlib.suppress(OSError):
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(ENDING)
    os._exit(1)


if __name__ == "__main__":
    main()
