"""A served board goes to the next client at once, whatever the one before has done."""

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from rtl.link import remote
from rtl.link.client import OUTPUT
from rtl.link.door import LOBBY, Door
from rtl.link.frames import FRAME_MOST, Frame, Unpacker, wire_bytes
from rtl.link.paced import INPUT
from rtl.link.remote import Board
from rtl.link.virtual import VirtualBoard, started
from tests.link.boards import all_tried, small
from workloads.errors import UserError

OPEN = wire_bytes(Frame("O", 9))
ASK = wire_bytes(Frame("S", 9))
SECONDS = 0.1  # of noise
MADE = 4096  # bytes that a board gives at once, at most


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with started(small()) as url:
        yield url


@pytest.fixture(scope="module")
def virtual() -> VirtualBoard:
    return VirtualBoard(small())


def connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("socket://").rpartition(":")
    client = socket.create_connection((host, int(port)))
    client.settimeout(SECONDS)
    return client


def noise(client: socket.socket) -> None:
    luck, until = random.Random(1), time.monotonic() + SECONDS
    while time.monotonic() < until:
        client.send(luck.randbytes(1 << 16))


def noise_in_a_session(client: socket.socket) -> None:
    client.send(OPEN)
    noise(client)


def half_a_frame(client: socket.socket) -> None:
    client.send(OPEN + wire_bytes(Frame("D", 9, 0, b"half"))[:9])


def half_a_greeting(client: socket.socket) -> None:
    client.send(OPEN[:5])


def silence(client: socket.socket) -> None:
    del client


def reset(client: socket.socket) -> None:
    """Hang up so that what is under way is lost."""
    client.send(OPEN + ASK * 100)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def never_reading(client: socket.socket) -> None:
    client.send(OPEN)
    while True:
        client.send(ASK * 500)


def endless_run(client: socket.socket) -> None:
    """Weights that find no room, and replies that never come."""
    client.send(OPEN + wire_bytes(Frame("R", 9, 0, b"\xff\xff")))
    for part in range(9):
        client.send(wire_bytes(Frame("D", 9, 240 * part, b"N\0\xff\xff" * 60)))


LEAVING = (noise, noise_in_a_session, half_a_frame, half_a_greeting, silence, reset, never_reading, endless_run)
STAYING = (noise, noise_in_a_session, half_a_frame, half_a_greeting, silence, never_reading, endless_run)
HOSTILE = [(each, False) for each in LEAVING] + [(each, True) for each in STAYING]


def test_an_honest_client_is_served_within_a_second_after_each_hostile_one(served: str) -> None:
    """20 in turn; those that stay do so until the end."""
    turns: list[tuple[Callable[[socket.socket], None], bool]] = [*HOSTILE, *HOSTILE[:5]]
    assert len(turns) == 20
    with ExitStack() as staying:
        for number, (behaviour, stays) in enumerate(turns):
            client = staying.enter_context(connected(served))
            with suppress(OSError):
                behaviour(client)
            if not stays:
                client.close()
            began = time.monotonic()
            with Board(small(), served) as board:
                took = time.monotonic() - began
                assert took < 1.0, (behaviour.__name__, stays, took)
                if number % 5 == 0:
                    assert all(each.passed for each in all_tried(board))
                figures = board.figures()
            assert figures.damaged == 0, behaviour.__name__  # nothing of the hostile one's comes to this one


def test_a_reconnect_right_after_a_disconnect_is_served(served: str) -> None:
    for _ in range(20):
        Board(small(), served).close()


def test_silent_clients_beyond_the_lobby_do_not_keep_others_out(served: str) -> None:
    crowd = [connected(served) for _ in range(LOBBY + 4)]
    Board(small(), served).close()
    crowd[0].settimeout(5)
    assert crowd[0].recv(1) == b""  # the oldest had to go
    for client in crowd:
        client.close()


def test_noise_beside_a_client_at_work_is_not_heard(served: str) -> None:
    with Board(small(), served) as board:
        beside = connected(served)
        with suppress(OSError):
            noise(beside)
        assert all(each.passed for each in all_tried(board))
        figures = board.figures()
        beside.close()
    assert (figures.sessions, figures.damaged) == (1, 0)


def test_who_comes_while_another_is_at_work_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here everybody is at work for a minute after the last answer."""
    code = "import rtl.link.door as d, rtl.link.virtual as v; d.PAUSE, d.WAITING = 60, 0.1; v.main()"
    monkeypatch.setattr("rtl.link.virtual.PROGRAM", ("-c", code))
    with started(small()) as url, Board(small(), url) as first:
        with pytest.raises(UserError) as refused:
            Board(small(), url)
        assert all(each.passed for each in all_tried(first))
        assert first.figures().sessions == 1
    said = str(refused.value)
    assert said.startswith(f"{url}: the connection broke: ") and said.count(url) == 1
    assert said.endswith("; the board may be in use by another client: try again when it is free")


def test_a_client_that_pauses_finds_its_board_again(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another has it in between, for longer than a board that is lost would be waited for."""
    monkeypatch.setattr(remote, "RECONNECT", 0.1)
    with Board(small(), served) as first:
        with Board(small(), served) as second, ThreadPoolExecutor(1) as aside:
            until = time.monotonic() + 1.0
            work = aside.submit(lambda: [all_tried(second) for _ in iter(lambda: time.monotonic() < until, False)])
            assert all(each.passed for each in all_tried(first))
            assert all(each.passed for outcomes in work.result() for each in outcomes)
        assert first.figures().sessions >= 2


def opened_in_time(url: str) -> Board:
    """A board that an honest client has within a second."""
    began = time.monotonic()
    board = Board(small(), url)
    assert time.monotonic() - began < 1.0
    return board


@pytest.mark.parametrize("said", [OPEN, ASK, OPEN + wire_bytes(Frame("D", 9, 0, b"I\0\0\0"))])
def test_who_is_silent_after_a_frame_gives_way(served: str, said: bytes) -> None:
    with connected(served) as silent:
        silent.send(said)
        assert silent.recv(1)
        with opened_in_time(served) as board:
            assert all(each.passed for each in all_tried(board))


def test_who_only_asks_how_things_are_gives_way(served: str) -> None:
    """It reads every answer, and never falls silent."""
    with ThreadPoolExecutor(1) as aside, connected(served) as asking:
        asking.send(OPEN)

        def ask() -> None:
            with suppress(OSError):
                while asking.recv(1 << 14):
                    asking.send(ASK)

        aside.submit(ask)
        with opened_in_time(served) as board:
            assert all(each.passed for each in all_tried(board))


def test_silent_clients_that_come_again_and_again_keep_nobody_out(served: str) -> None:
    """Three, which know one word of the protocol."""
    leaving = threading.Event()

    def come_again() -> int:
        times = 0
        while not leaving.is_set():
            with connected(served) as client, suppress(OSError):
                client.settimeout(1)
                client.send(ASK)
                times += 1
                while client.recv(1 << 14):
                    pass
        return times

    with ThreadPoolExecutor(3) as aside, ExitStack() as end:
        end.callback(leaving.set)
        coming = [aside.submit(come_again) for _ in range(3)]
        time.sleep(SECONDS)
        for _ in range(3):
            opened_in_time(served).close()
        with opened_in_time(served) as board:
            assert all(each.passed for each in all_tried(board))
    assert min(each.result() for each in coming) > 1


def test_answers_that_nobody_reads_do_not_pile_up(virtual: VirtualBoard) -> None:
    """What a client sends is not read either, once it has that many."""
    fifty = wire_bytes(Frame("D", 9, 0, b"C\0\0\0" * 50))
    again = wire_bytes(Frame("R", 9, 0, (1000).to_bytes(2, "little")))  # the counters' 20 bytes, fifty times

    leaving, most = threading.Event(), 0

    def ask(client: socket.socket) -> None:
        with client:
            client.send(OPEN + fifty)
            while not leaving.is_set():
                with suppress(TimeoutError):
                    client.send(again * 10)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as aside:
        door, client = Door(virtual, listener), socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        client.connect(listener.getsockname())
        client.settimeout(SECONDS)
        aside.submit(ask, client)
        later = threading.Timer(2 * SECONDS, leaving.set)
        while door.present is not None or not most:
            door.step()
            most = max(most, len(door.present.answers) if door.present is not None else 0)
            if most >= OUTPUT and later.ident is None:
                later.start()
    assert OUTPUT <= most <= OUTPUT + MADE


def test_a_pseudo_terminal_forgets_who_has_closed_it() -> None:
    """The board is one that was just switched on, and answers that were not read come to nobody."""
    with started(small(), at="pty") as path:
        for session in (9, 10):
            line = os.open(path, os.O_RDWR | os.O_NOCTTY)
            os.write(line, wire_bytes(Frame("O", session)) + ASK * 3 + OPEN[:5])
            time.sleep(SECONDS)
            os.close(line)
            time.sleep(3 * SECONDS)
            line = os.open(path, os.O_RDWR | os.O_NOCTTY)
            os.write(line, ASK)
            assert [(each.kind, each.session) for each in Unpacker().frames(os.read(line, 1 << 14))] == [("s", 0)]
            os.close(line)


def test_a_reset_forgets_what_was_on_its_way(virtual: VirtualBoard) -> None:
    virtual.run(OPEN + bytes(INPUT), cycles=1)
    assert virtual.waiting > INPUT
    assert not virtual.quiet
    virtual.reset()
    assert (virtual.waiting, virtual.quiet) == (0, True)
    assert virtual.run(ASK)[2:4] == b"\0\0"  # a session of its own


@pytest.mark.parametrize("said", [bytes(1 << 20), b"\xdb" * (1 << 20), random.Random(1).randbytes(1 << 20)])
def test_noise_does_not_pile_up_at_the_host(said: bytes) -> None:
    unpacker = Unpacker()
    for start in range(0, len(said), 1 << 14):
        unpacker.frames(said[start : start + (1 << 14)])
    assert len(vars(unpacker)["_rest"]) <= FRAME_MOST
    assert unpacker.damaged
    assert unpacker.frames(OPEN) == [Frame("O", 9)]
