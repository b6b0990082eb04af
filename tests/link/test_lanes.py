"""SORE and WUVE beside the array, on a board and compiled alone, bit for bit against the golden models."""

from collections.abc import Iterator

import numpy as np
import pytest

from rtl.formats import FP32, Bits
from rtl.golden.units import packed, updated
from rtl.hardware import Hardware, Unconfirmed
from rtl.in_process import InProcess
from rtl.lanes import Lanes, UpdateParameters, constants
from rtl.link.remote import Board
from rtl.link.virtual import VirtualBoard, started
from tests.link.boards import all_tried, array, here, small
from tests.link.faulty import FaultyWire
from tests.rtl.lanes import mixed
from tests.rtl.vectors import biased, corners
from workloads.errors import UserError

SETTINGS = {
    "momentum": {"learning_rate": 0.1, "weight_decay": 5e-4, "momentum": 0.9},
    "adamw": {"learning_rate": 1e-3, "weight_decay": 0.05, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 3.0},
}


@pytest.fixture(scope="module", params=["alone", "board"])
def hardware(request: pytest.FixtureRequest) -> Iterator[Hardware]:
    """Both that can be asked; the board over a wire that spoils frames."""
    if request.param == "alone":
        yield InProcess(array())
        return
    lanes = Lanes(sore=True, optimizer="momentum")
    with started(array(), lanes=lanes) as url, Board(array(), url, through=lambda wire: FaultyWire(wire, 1)) as board:
        assert board.gateware.lanes == lanes
        yield board


@pytest.mark.parametrize(("n", "m", "count"), [(2, 8, 2000), (1, 8, 801), (2, 4, 514), (1, 1, 30), (2, 8, 1)])
def test_groups_through_sore(hardware: Hardware, n: int, m: int, count: int) -> None:
    """Ties, NaNs, a short group at the end; several exchanges."""
    values = mixed(hardware.parameters.operand, count, count)
    kept, indices = hardware.top_n(values, n, m)
    wanted = packed(values, hardware.parameters.operand, n, m)
    np.testing.assert_array_equal(kept, wanted[0])
    np.testing.assert_array_equal(indices, wanted[1])


def fields(lane: UpdateParameters, count: int) -> dict[str, Bits]:
    rng = np.random.default_rng(count)
    return {
        name: np.where(rng.random(count) < 0.8, biased(FP32, count, rng), rng.choice(corners(FP32), count))
        for name in ("weight", "gradient", *lane.state)
    }


def check_update(hardware: Hardware, optimizer: str, count: int) -> None:
    lane, by = UpdateParameters(optimizer), constants(optimizer, SETTINGS[optimizer])
    given = fields(lane, count)
    made, wanted = hardware.updated(lane, given, by), updated(lane, given, by)
    assert made.keys() == wanted.keys()
    for name, column in made.items():
        np.testing.assert_array_equal(column, wanted[name], name)


@pytest.mark.parametrize("count", [1, 1300])
def test_weights_through_wuve(hardware: Hardware, count: int) -> None:
    check_update(hardware, "momentum", count)


def test_tiles_still_run_beside_lanes(hardware: Hardware) -> None:
    assert all(each.passed for each in all_tried(hardware))


@pytest.mark.slow
def test_adamw_alone() -> None:
    check_update(InProcess(array()), "adamw", 700)


@pytest.mark.slow
def test_adamw_on_a_board() -> None:
    """A lane with divider and square root takes long to compile."""
    board = here(VirtualBoard(array(), lanes=Lanes(optimizer="adamw")), array())
    check_update(board, "adamw", 1300)


def test_lanes_that_are_not_there() -> None:
    board = here(VirtualBoard(small()), small())
    with pytest.raises(Unconfirmed, match="the board at loop:// has no lane of SORE for 2:4"):
        board.top_n(np.zeros(8, np.uint8), 2, 4)
    lane = UpdateParameters("momentum")
    with pytest.raises(Unconfirmed, match="the board at loop:// has no lane of WUVE for momentum and fp16"):
        board.updated(lane, fields(lane, 1), constants("momentum", SETTINGS["momentum"]))
    with pytest.raises(UserError, match="weights cannot be handed on as int8"):
        VirtualBoard(small(), lanes=Lanes(optimizer="momentum"))
