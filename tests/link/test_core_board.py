"""A core behind the link: products of a step and a whole training step, bits equal to the golden ones; what is refused.

The gateware is that of a board, compiled; a minute or more, so that most of this is slow.
"""

import queue
import threading

import numpy as np
import pytest

from rtl.core.compiled import CarriesOut
from rtl.core.core import CoreLayout
from rtl.core.pushing import Push
from rtl.core.registers import CoreMap
from rtl.hardware import Unconfirmed
from rtl.link.core_board import CoreBoard
from rtl.link.serving import serve
from rtl.link.virtual_core import VirtualCore
from simulator.hil.core_session import CoreBackend, CoreSession
from tests.command import Run
from tests.hil.core_steps import SMALL, beginning, drive, training_step
from tests.hil.test_core_training import LOOSE, MLP
from tests.link.boards import HERE, Direct
from tests.rtl.core_design import small_design, small_map
from workloads.errors import UserError
from workloads.op import Optimizer

DRAM = 1 << 12  # words
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def virtual() -> VirtualCore:
    return VirtualCore(small_map(), DRAM)


@pytest.fixture
def board(virtual: VirtualCore) -> CoreBoard:
    virtual.reset()
    return CoreBoard(small_map(), HERE, through=lambda _: Direct(virtual))


def test_products_of_a_step(board: CoreBoard) -> None:
    design = small_design()
    memory = design.memory()
    assert board.identity.dram == DRAM
    for program in design.programs:
        assert program.wrong(memory)  # they are not there yet
        ran = board.carry_out(program.pushes, memory)
        assert (ran.fault, program.wrong(memory), len(ran.ends)) == (0, 0, 1)
        assert ran.cycles > 0
    for program in design.programs:
        assert program.wrong(memory) == 0


def test_what_is_in_dram_already_is_not_sent_again(board: CoreBoard) -> None:
    design = small_design()
    memory = design.memory()
    board.carry_out(design.programs[0].pushes, memory)
    before = board.figures().payload
    board.carry_out([], memory)
    assert board.figures().payload - before < 8 * len(memory) + 1000


def test_a_run_that_is_refused_stops_it_until_the_next_program(board: CoreBoard) -> None:
    program, memory = small_design().programs[0], small_design().memory()
    array = next(each for each in small_map().queues if each.name == "array")
    fields = {name: (lowest, bits) for name, lowest, bits in array.fields()}
    spoils = ((1 << bits) - 1 << lowest for lowest, bits in (fields[f"does.run.{n}"] for n in ("groups", "tail_kept")))
    mask = ~sum(spoils)
    spoiled = [Push(each.queue, each.word & mask if each.queue == "array" else each.word) for each in program.pushes]
    ran = board.carry_out(spoiled, memory)
    assert (ran.cycles, ran.fault) == (-2, 1) and ran.run_error == 1
    memory[: len(program.memory)] = program.memory
    assert board.carry_out(program.pushes, memory).fault == 0 and program.wrong(memory) == 0


def test_a_dram_that_is_too_small_is_a_sentence(board: CoreBoard) -> None:
    with pytest.raises(Unconfirmed, match=r"holds 4,096 words, and 4,097 are needed"):
        board.carry_out([], np.zeros(DRAM + 1, np.uint64))


def test_another_core_is_refused(virtual: VirtualCore) -> None:
    virtual.reset()
    other = CoreMap(small_map().layout, 2 * small_map().depth)
    with pytest.raises(UserError, match="the gateware is another one: DEPTH is 0x40, not 0x80"):
        CoreBoard(other, HERE, through=lambda _: Direct(virtual))


def test_the_command_tries_a_served_board(virtual: VirtualCore, simulate: Run) -> None:
    """The right core, and another one than that."""
    virtual.reset()
    places = queue.Queue[str]()
    threading.Thread(target=serve, args=(virtual, "tcp 127.0.0.1:0", places.put), daemon=True).start()
    url = places.get(timeout=10)
    code, out, err = simulate("board", "--core", "--cols", "2", "--selftest", url)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{url}: core of 1:8 fp16 4x2, 4,096 words of DRAM"
    assert len(lines) == 2 + len(small_design().programs) and all(line.endswith(", 0 wrong") for line in lines[1:-1])
    code, _, err = simulate("board", "--core", "--cols", "4", "--selftest", url)
    assert code == 2 and f"{url}: the gateware is another one: SIZE is 0x20004, not 0x40004" in err


def test_over_the_pins_of_a_serial_port() -> None:
    virtual = VirtualCore(small_map(), DRAM, pins=True)
    board = CoreBoard(small_map(), HERE, through=lambda _: Direct(virtual))
    program, memory = small_design().programs[0], small_design().memory()
    assert board.carry_out(program.pushes, memory).fault == 0 and program.wrong(memory) == 0


def test_a_training_step_through_the_link() -> None:
    """Every product, every mask and every update of an MLP on the board; a session checks DRAM after every op."""

    def made(layout: CoreLayout) -> CarriesOut:
        where = CoreMap(layout)
        return CoreBoard(where, HERE, through=lambda _: Direct(VirtualCore(where)))

    work, rng = training_step(MLP, Optimizer.MOMENTUM, LOOSE), np.random.default_rng(5)
    session = CoreSession(beginning(work, LOOSE, rng), CoreBackend(settings=SMALL, made=made))
    drive(session, work, LOOSE, rng, 1)
    found = session.figures()
    rows = found["ops"]
    assert isinstance(rows, list) and len(rows) == 9 and all(row["calls"] == 1 for row in rows)
    held = found["words_held_against_golden"]
    assert isinstance(held, int) and held > 20_000
