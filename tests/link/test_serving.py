"""A served board goes to the next client at once, whatever the one before has done."""

import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from rtl.link.frames import FRAME_MOST, Frame, Unpacker, wire_bytes
from rtl.link.remote import Board
from rtl.link.serving import INPUT, LOBBY
from rtl.link.virtual import VirtualBoard, started
from tests.link.boards import all_tried, small
from workloads.errors import UserError

OPEN = wire_bytes(Frame("O", 9))
ASK = wire_bytes(Frame("S", 9))
SECONDS = 0.1  # of noise


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with started(small()) as url:
        yield url


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
STAYING = (noise, noise_in_a_session, half_a_greeting, silence, never_reading)
HOSTILE = [(each, False) for each in LEAVING] + [(each, True) for each in STAYING]


def test_an_honest_client_is_served_within_a_second_after_each_hostile_one(served: str) -> None:
    """20 in turn; those that stay do so until the end."""
    turns: list[tuple[Callable[[socket.socket], None], bool]] = [*HOSTILE, *HOSTILE[:7]]
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
                assert took < 1.0, behaviour.__name__
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


def test_an_idle_client_gives_way_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that has said something; the board it loses it finds again once it is free."""
    code = "import rtl.link.serving as s, rtl.link.virtual as v; s.HELD = 0.3; v.main()"
    monkeypatch.setattr("rtl.link.virtual.PROGRAM", ("-c", code))
    with started(small()) as url, Board(small(), url) as first:
        with pytest.raises(UserError, match="broke"):
            Board(small(), url)
        time.sleep(0.4)
        with Board(small(), url) as second:
            assert all(each.passed for each in all_tried(second))
        assert all(each.passed for each in all_tried(first))


def test_a_reset_forgets_what_was_on_its_way() -> None:
    virtual = VirtualBoard(small())
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
