"""A board behind the seam: right answers over every port, and one sentence wherever there is none."""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from rtl.exported.vectors import random_operands
from rtl.hardware import Unconfirmed
from rtl.in_process import InProcess
from rtl.link import driver, remote
from rtl.link.remote import Board
from rtl.link.virtual import VirtualBoard, started
from rtl.link.wire import LinkLost, SerialWire, Wire
from rtl.protocol import differences
from rtl.tiles import output_stationary_tile
from rtl.timing import Reduction
from tests.link.boards import all_tried, edited, here, small
from tests.link.faulty import FaultyWire, Spoiler
from workloads.errors import UserError

WORK = (Reduction(1, 4, 2, 4), 2, np.random.default_rng(1))


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with started(small()) as url:
        yield url


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes tenths."""
    for module, name, seconds in (
        (driver, "GIVE_UP", 0.4),
        (driver, "STUCK", 0.8),
        (driver, "OPENING", 0.4),
        (remote, "RECONNECT", 0.5),
        (remote, "PAUSE", 0.05),
    ):
        monkeypatch.setattr(module, name, seconds)


def test_a_board_answers_as_the_array_alone(served: str) -> None:
    p = small()
    with Board(p, served) as board:
        outcomes = all_tried(board)
        figures = board.figures()
    assert outcomes == all_tried(InProcess(p))
    assert all(each.passed and each.tiles >= 4 for each in outcomes)
    assert (figures.repeated, figures.damaged, figures.sessions) == (0, 0, 1)
    assert 0 < figures.payload < figures.sent + figures.received
    assert differences(p, board.parameters) == []


def test_a_pseudo_terminal() -> None:
    with started(small(), at="pty") as path, Board(small(), path) as board:
        assert path.startswith("/dev/")
        assert all(each.passed for each in all_tried(board))


@pytest.mark.parametrize("form", ["int8", "fp16"])
def test_pins(form: str) -> None:
    """Bit by bit through UARTs in gateware: 32 small tiles."""
    with started(small(form), pins=True) as url, Board(small(form), url) as board:
        outcomes = all_tried(board) + all_tried(board)
    assert all(each.passed for each in outcomes)
    assert sum(each.tiles for each in outcomes) >= 20


def test_another_gateware_is_refused(served: str) -> None:
    wanted = replace(small(), rows=3, m=8)
    with pytest.raises(UserError) as refused:
        Board(wanted, served)
    assert str(refused.value) == f"{served}: the gateware is another one: rows is 2, not 3, m is 4, not 8"


@contextmanager
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"


def test_nothing_answers() -> None:
    with silent() as url, pytest.raises(UserError) as refused:
        Board(small(), url)
    assert str(refused.value) == f"{url}: nothing that talks this protocol has answered for 3 s"
    assert driver.OPENING < 5


def test_no_such_port() -> None:
    with pytest.raises(UserError, match=r"^/dev/nowhere: cannot be opened: .*No such file"):
        Board(small(), "/dev/nowhere")


@pytest.mark.usefixtures("impatient")
def test_another_program_takes_the_board() -> None:
    virtual = VirtualBoard(small())
    first, second = here(virtual, small()), here(virtual, small())
    with pytest.raises(Unconfirmed, match="another program has opened the board"):
        all_tried(first)
    with pytest.raises(Unconfirmed, match="another program has opened the board"):
        all_tried(first)
    assert all(each.passed for each in all_tried(second))


def test_a_reset_in_the_middle() -> None:
    virtual, resets = VirtualBoard(small()), []

    def before(reads: int) -> None:
        if reads % 9 == 0:
            virtual.reset()
            resets.append(reads)

    board = here(virtual, small(), before)
    assert all(each.passed for each in all_tried(board))
    assert resets
    assert board.figures().sessions == 1 + len(resets)


def test_unplugged_for_a_moment(served: str) -> None:
    wires: list[Flaky] = []

    def through(wire: Wire) -> Wire:
        wires.append(Flaky(wire, after=None if wires else 12))
        return wires[-1]

    with Board(small(), served, through=through) as board:
        while len(wires) < 2:
            assert all(each.passed for each in all_tried(board))


class Flaky(Wire):
    """A wire that breaks after so many reads, or never."""

    def __init__(self, wire: Wire, after: int | None) -> None:
        self._wire, self._after = wire, after

    def write(self, data: bytes) -> None:
        self._wire.write(data)

    def read(self, seconds: float) -> bytes:
        if self._after is not None:
            self._after -= 1
            if self._after < 0:
                raise LinkLost("unplugged")
        return self._wire.read(seconds)

    def close(self) -> None:
        self._wire.close()


class Mute(Flaky):
    """What comes is kept back after so many reads."""

    def read(self, seconds: float) -> bytes:
        try:
            return super().read(seconds)
        except LinkLost:
            time.sleep(seconds)
            return b""


@pytest.mark.usefixtures("impatient")
def test_a_board_that_goes_away_for_good() -> None:
    with started(small()) as url:
        board = Board(small(), url)
        assert all(each.passed for each in all_tried(board))
    for _ in range(2):
        with pytest.raises(Unconfirmed, match=rf"^{url}: .*(refused|disconnected)"):
            all_tried(board)
    board.close()


@pytest.mark.usefixtures("impatient")
def test_a_board_that_stalls() -> None:
    """It answers, and neither takes nor gives. Chains are given up, then all of them."""
    tile = output_stationary_tile(small(), *random_operands(small(), 2, *WORK), WORK[0])
    west = [tile.west[0], tile.west[1] * 3000]  # words that nobody will ever use, more than there is room for
    board = here(VirtualBoard(small()), small())
    for _ in range(2):
        with pytest.raises(Unconfirmed, match="neither taken commands nor given replies"):
            board.run([replace(tile, west=west)])
    with pytest.raises(Unconfirmed, match="neither taken commands nor given replies"):
        all_tried(board)


def test_a_bad_run_ends_with_its_reason() -> None:
    """A word too few was sent, or the run takes less than it says; afterwards the board works as before."""
    tile = output_stationary_tile(small(), *random_operands(small(), 2, *WORK), WORK[0])
    board = here(VirtualBoard(small()), small())
    for bad, reason in (
        (replace(tile, west=[tile.west[0], tile.west[1][:-1]]), "what it takes did not come in time"),
        (replace(tile, run=replace(tile.run, kept=0)), "takes other numbers of words or weights than it says"),
        (replace(tile, run=replace(tile.run, groups=0)), "neither a full group nor a tail"),
    ):
        with pytest.raises(Unconfirmed, match=f"the array at loop:// stopped at a run: {reason}"):
            board.run([bad])
        assert all(each.passed for each in all_tried(board))


@pytest.mark.usefixtures("impatient")
def test_a_board_that_falls_silent(served: str) -> None:
    """After a while, and for good."""
    afters = iter([8])
    with Board(small(), served, through=lambda wire: Mute(wire, next(afters, 0))) as board:  # noqa: SIM117
        with pytest.raises(Unconfirmed, match="nothing that talks this protocol has answered"):
            all(all_tried(board) for _ in range(50))


def test_a_tile_too_large_for_the_memories() -> None:
    p, work = small(), Reduction(1, 4 * 1500, 2, 4)
    deep = replace(p, row_depth=4096, column_depth=4096)
    tile = output_stationary_tile(deep, *random_operands(p, 2, work, 2, np.random.default_rng(1)), work)
    board = here(VirtualBoard(p), p)
    assert not board.fits(tile)
    with pytest.raises(Unconfirmed, match="larger than the memories of the board at loop://"):
        board.run([tile])


def _spoilt(seed: int) -> tuple[list[bytes], Spoiler]:
    spoiler = Spoiler(random.Random(seed), 0.3)
    return [spoiler.passed(b"\xc0%d\xc0" % number) for number in range(200)], spoiler


def test_the_same_seed_spoils_the_same_frames() -> None:
    first, spoiler = _spoilt(3)
    assert first == _spoilt(3)[0] != _spoilt(4)[0]
    assert all(spoiler.done[kind] for kind in ("flip", "drop", "repeat", "cut", "delay"))


def _through_faults(url: str, frames: int, share: float) -> tuple[int, int]:
    """Frames that went over a wire that spoils a share of them, and tiles that came back right; no other do."""
    wires: list[FaultyWire] = []

    def through(wire: Wire) -> Wire:
        wires.append(FaultyWire(wire, len(wires), share))
        return wires[-1]

    def gone() -> int:
        return sum(wire.sent.done["frames"] + wire.received.done["frames"] for wire in wires)

    tiles = 0
    with Board(small(), url, through=through) as board:
        while gone() < frames:
            outcomes = all_tried(board)
            assert all(each.passed for each in outcomes)
            tiles += sum(each.tiles for each in outcomes)
        figures = board.figures()
    assert figures.damaged
    assert figures.repeated
    return gone(), tiles


def test_a_wire_that_spoils_frames(served: str) -> None:
    assert _through_faults(served, 1000, 0.05)[1] > 100


@pytest.mark.slow
def test_ten_thousand_frames(served: str) -> None:
    frames, tiles = _through_faults(served, 10_000, 0.05)
    assert frames >= 10_000
    assert tiles > 1000


@pytest.mark.usefixtures("impatient")
def test_noise_beyond_hope_ends_in_a_sentence(served: str) -> None:
    with pytest.raises((Unconfirmed, UserError), match=served):
        board = Board(small(), served, through=lambda wire: FaultyWire(wire, 5, 0.95))
        for _ in range(20):
            all_tried(board)


SERVE = ("board", "--serve", "--pattern", "2:4", "--format", "int8", "--rows", "2")


@contextmanager
def command(port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command that serves a board, and what it says."""
    code = "from simulator.command.start import main; main()"
    arguments = [sys.executable, "-c", code, *SERVE, "--tcp", f"127.0.0.1:{port}"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def test_killed_and_started_again() -> None:
    """SIGKILL in the middle of a run; another one at the same port, and the run goes on."""
    with command(0) as (process, url):
        port = int(url.rpartition(":")[2])
        board = Board(small(), url)
        killer = threading.Timer(0.3, process.kill)
        killer.start()
        done, outcomes = threading.Event(), []

        def run() -> None:
            while board.figures().sessions < 2:
                outcomes.extend(all_tried(board))
            done.set()

        runner = threading.Thread(target=run)
        runner.start()
        process.wait()
        with command(port) as (_, again):
            assert again == url
            runner.join(30)
    board.close()
    assert done.is_set()
    assert all(each.passed for each in outcomes)


def test_a_board_that_is_only_slow_is_sent_nothing_twice() -> None:
    """It stands still again and again, for longer than its answers ever took; nothing is lost on the way."""
    with command(0) as (process, url), Board(small(), url) as board:
        done = threading.Event()

        def halt() -> None:
            while not done.wait(0.05):
                process.send_signal(signal.SIGSTOP)
                time.sleep(0.25)
                process.send_signal(signal.SIGCONT)

        halting = threading.Thread(target=halt)
        halting.start()
        try:
            outcomes = all_tried(board) + all_tried(board)
        finally:
            done.set()
            halting.join()
        figures = board.figures()
    assert all(each.passed for each in outcomes)
    assert (figures.repeated, figures.damaged, figures.sessions) == (0, 0, 1)


def test_a_board_that_does_not_start_says_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"tcp 127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=r"did not start: --tcp: 127.0.0.1:\d+: Address already in use$"):  # noqa: SIM117
            with started(small(), at=at):
                pass


def test_a_started_board_ends_with_its_user() -> None:
    """Also when that one is killed and can do nothing about it."""
    code = (
        "from rtl.link.virtual import started; from tests.link.boards import small\n"
        "with started(small()) as url: print(url, flush=True); input()"
    )
    arguments = [sys.executable, "-c", code]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        url = user.stdout.readline().strip()
        SerialWire(url, 1).close()
        user.kill()
    until = time.monotonic() + 10
    with pytest.raises(UserError, match="cannot be opened"):
        while time.monotonic() < until:
            SerialWire(url, 1).close()


def test_a_wrong_bit_in_the_gateware_is_seen() -> None:
    """The lowest bit of every sum on its way to its queue: exactly that comes out, in the right time."""
    board = here(VirtualBoard(small(), edit=edited("] <= total;", "] <= total ^ 32'd1;")), small())
    for each in all_tried(board):
        assert each.wrong_bits == each.bits // 32
        assert each.wrong_cycles == 0


def test_a_wrong_cycle_in_the_gateware_is_seen() -> None:
    """Every run ends a cycle late: exactly that is counted, and all sums are right."""
    tile = output_stationary_tile(small(), *random_operands(small(), 2, *WORK), WORK[0])
    board = here(VirtualBoard(small(), edit=ends_late), small())
    outcomes = all_tried(board)
    assert all(each.wrong_bits == 0 for each in outcomes)
    assert board.run([tile])[0].counters["cycles"] == tile.cycles + 1


def ends_late(verilog: str) -> str:
    late = "  reg late = 0; always @(posedge session_clk) late <= ends;\n"
    return edited("  assign leaves = ends &", late + "  assign leaves = late & ends &")(verilog)
