"""Boards: bytes that reach a virtual one, and ones that answer whatever they like."""

import random
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from rtl.hardware import Unconfirmed
from rtl.link import driver, remote
from rtl.link.frames import END, Frame, Unpacker, wire_bytes
from rtl.link.remote import Board
from rtl.link.virtual import VirtualBoard
from rtl.link.wire import LinkLost, Wire
from rtl.protocol import gateware_of, identity
from rtl.selftest import tried
from tests.fuzz.kinds import Draw, Input, kind
from tests.fuzz.spoil import spoiled
from tests.link.boards import HERE, Direct, here, small
from tests.link.faulty import FaultyWire
from workloads.errors import UserError

IMPATIENT = {driver: ("GIVE_UP", "STUCK", "OPENING"), remote: ("RECONNECT", "PAUSE")}
READS = 3_000  # of a hostile wire, after which it is broken


@cache
def board() -> VirtualBoard:
    """A small one, compiled once, with its identity known."""
    return VirtualBoard(small())


@cache
def known() -> bytes:
    """What it says of itself."""
    return bytes(identity(here(board(), None).gateware))


def _hurry() -> None:
    """What takes seconds takes tenths: this process ends with its input."""
    for module, names in IMPATIENT.items():
        for name in names:
            setattr(module, name, 0.15)


@kind("board answers", share=150)
def board_answers(draw: Draw, folder: Path) -> Input:
    """A board that answers with frames of its own choice, whole and spoiled."""
    del folder
    known()
    seed = draw(st.integers(0, 2**40))
    truthful = draw(st.floats(0, 1))
    noise = [spoiled(draw, wire_bytes(_frame(draw))) for _ in range(draw(st.integers(0, 4)))]

    def talk() -> int:
        _hurry()
        return _session(lambda wire: Hostile(wire, random.Random(seed), truthful, noise))

    return Input(call=talk)


@kind("board frames", share=100)
def board_frames(draw: Draw, folder: Path) -> Input:
    """Bytes that reach a virtual board, which afterwards works as if nothing had come."""
    del folder
    known()
    frames = [wire_bytes(_frame(draw)) for _ in range(draw(st.integers(1, 6)))]
    content = spoiled(draw, b"".join(frames)) + draw(st.sampled_from([b"", END, b"\xdb", b"\xff" * 5_000]))

    def send() -> int:
        _hurry()
        Unpacker().frames(content)
        board().run(content)
        for _ in range(20):
            board().run(END)
        with here(board(), small()) as again:
            assert all(each.passed for each in tried(again)), "the board is not what it was"
        return 0

    return Input(call=send)


@kind("board identity", share=50)
def board_identity(draw: Draw, folder: Path) -> Input:
    """What a board says of itself."""
    del folder
    content = spoiled(draw, known())

    def read() -> int:
        try:
            print(gateware_of(content))
        except Exception as error:
            if type(error).__name__ != "WrongGateware":
                raise
            raise UserError(str(error)) from None
        return 0

    return Input(call=read)


def _frame(draw: Draw) -> Frame:
    kinds = st.one_of(st.sampled_from("ODRASsd"), st.integers(0, 255).map(chr))
    offset = st.one_of(st.integers(0, 5_000), st.integers(0, 2**32 - 1))
    return Frame(
        draw(kinds.filter(lambda k: k.isascii())),
        draw(st.integers(0, 0xFFFF)),
        draw(offset),
        draw(st.binary(max_size=300)),
    )


def _session(through: object) -> int:
    """A self-test at a board behind a wire."""
    try:
        with Board(small(), HERE, through=through) as there:  # type: ignore[arg-type]
            for each in tried(there):
                print(each)
    except Unconfirmed as error:
        raise UserError(str(error)) from None
    return 0


class Hostile(Wire):
    """A wire on which a real board's answers are mixed with noise, and frames of its session with any content."""

    def __init__(self, wire: Wire, luck: random.Random, truthful: float, noise: list[bytes]) -> None:
        wire.close()
        self._wire, self._luck, self._noise = (
            FaultyWire(Direct(board()), luck.randrange(1000), 0.2 * luck.random()),
            luck,
            noise,
        )
        self._truthful, self._session, self._reads = truthful, 0, 0

    def write(self, data: bytes) -> None:
        for frame in Unpacker().frames(data):
            self._session = frame.session
        self._wire.write(data)

    def read(self, seconds: float) -> bytes:
        del seconds
        self._reads += 1
        if self._reads > READS:
            raise LinkLost("the wire broke")
        came = self._wire.read(0)
        if self._luck.random() < self._truthful:
            return came
        luck = self._luck
        session = self._session if luck.random() < 0.8 else luck.randrange(0x10000)
        payload = luck.randbytes(luck.choice([0, 2, 5, 6, 7, 240]))
        lie = wire_bytes(Frame(luck.choice("sdODRA"), session, luck.choice([0, 1, 240, 2**31, 2**32 - 1]), payload))
        return came + lie + (luck.choice(self._noise) if self._noise else b"")

    def close(self) -> None:
        self._wire.close()
