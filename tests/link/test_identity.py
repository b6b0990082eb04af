"""What a board says of itself: parameters of an array that can be, or one sentence."""

import random

import pytest

from rtl.lanes import Lanes, lane_bytes
from rtl.link.virtual import VirtualBoard
from rtl.protocol import IDENTITY_BYTES, VERSION, Gateware, WrongGateware, gateware_of, identity
from tests.link.boards import array, here, small


def test_what_a_board_says_of_itself() -> None:
    board = here(VirtualBoard(small()), None)
    said = identity(board.gateware)
    assert gateware_of(said) == board.gateware
    with pytest.raises(WrongGateware, match="the gateware speaks version 1 of the protocol, this program version "):
        gateware_of(b"\1" + said[1:])
    with pytest.raises(WrongGateware, match="has format 9, which this program does not know"):
        gateware_of(said[:1] + b"\x09" + said[2:])


VALUES = (0, 1, 2, 3, 8, 16, 31, 32, 33, 64, 65, 127, 128, 255)


def test_whatever_a_board_says_of_itself_is_parameters_or_a_sentence() -> None:
    """Noise, and the words of boards that there are with some bytes changed."""
    luck, taken = random.Random(1), 0
    usual = [identity(Gateware(small())), identity(Gateware(array(), Lanes(True, "momentum")))]
    fixed = [bytes(IDENTITY_BYTES), usual[0][:2].ljust(IDENTITY_BYTES, b"\0"), b"", usual[0][:-1], usual[0] + b"\0"]
    for number in range(20_000):
        said = bytearray(luck.choice(usual))
        for _ in range(luck.randint(1, 2)):
            said[luck.randrange(len(said))] = luck.choice(VALUES)
        said = said if number % 4 else bytearray(usual[0][:1] + luck.randbytes(IDENTITY_BYTES - 1))
        try:
            found = gateware_of(bytes(said) if number >= len(fixed) else fixed[number])
        except WrongGateware:
            continue
        assert found.parameters.title and found.parameters.timing and lane_bytes(found.parameters, found.lanes)
        taken += 1
    assert 100 < taken < 10_000


def test_a_board_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(WrongGateware) as refused:
        gateware_of(bytes([VERSION]) + bytes(IDENTITY_BYTES - 1))
    assert str(refused.value) == (
        "the gateware says of itself what cannot be: --pattern: 0:0 keeps nothing; n must be at least 1"
    )
