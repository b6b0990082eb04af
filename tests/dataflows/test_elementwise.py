"""Update and vector work against what they must take with nothing else in the way."""

from dataclasses import replace

import pytest

from dataflows.systolic.elementwise import Packing, update_program, vector_program
from dataflows.systolic.target import Target
from simulator.kernel import run
from simulator.program import Stall
from tests.machines import MACHINES
from workloads.op import Optimizer, Phase, VectorKind, VectorOp

SAT = MACHINES["sat"]
FAST = Target.of(replace(SAT, dram=None))
WEIGHTS = 327_680
UPDATE = VectorOp("layer", Phase.UP, VectorKind.UPDATE, WEIGHTS, 0, 0, optimizer=Optimizer.MOMENTUM)
CHUNK = 1024 * 1024 // 8 // 12  # a slot of the update's memory in masters, one state and gradients


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_an_update_without_dram_takes_its_lanes(optimizer: Optimizer) -> None:
    assert SAT.wuve is not None
    program = update_program(FAST, replace(UPDATE, optimizer=optimizer), (), True)
    assert program is not None
    each = {"sgd": 1, "momentum": 1, "adam": 2, "adamw": 2}[optimizer]
    chunks = -(-WEIGHTS // (131072 // (4 * (2 + optimizer.states))))
    lanes = WEIGHTS // SAT.wuve.lanes * each
    assert lanes <= run(program).cycles <= lanes + chunks * each  # a chunk is rounded up to whole rows of lanes


def test_everything_travels_once() -> None:
    packings = (Packing(90_000, 8, False), Packing(100_000, 8, True))
    program = update_program(Target.of(replace(SAT, dram=None)), UPDATE, packings, True)
    assert program is not None
    actions = run(program).actions
    chunks = -(-WEIGHTS // CHUNK)
    assert actions["dram.read", "master"] == WEIGHTS * (4 + 4 + 4)
    written = WEIGHTS * (4 + 4 + 2) + 90_000 + 100_000
    assert written <= actions["dram.write", "master"] <= written + 2 * chunks  # copies are rounded up a chunk


def test_sore_behind_the_update_is_waited_for_when_it_is_slower() -> None:
    assert SAT.sore is not None
    slow = Target.of(replace(SAT, dram=None, sore=replace(SAT.sore, lanes=8)))
    program = update_program(slow, UPDATE, (Packing(1, 8, False), Packing(1, 8, True)), False)
    assert program is not None
    timing = run(program)
    assert timing.cycles == pytest.approx(2 * WEIGHTS / 8 + CHUNK / 32, rel=0.01)  # all the time, after one chunk
    assert timing.stalls[Stall.SORE] == timing.cycles - timing.busy


def test_a_second_pass_without_a_tile_buffer() -> None:
    assert SAT.sore is not None
    bare = Target.of(replace(SAT, sore=replace(SAT.sore, tile_buffer=False)))
    for across, more in ((True, 2 * WEIGHTS), (False, 0)):
        program = update_program(bare, UPDATE, (Packing(1, 8, across),), False)
        assert program is not None
        read = run(program).actions.get(("dram.read", "weight"), 0)
        assert more <= read <= more + 64 * (-(-WEIGHTS // CHUNK)) * bool(more)  # bursts


def test_vector_work_is_lanes_and_fused_work_its_second_operand() -> None:
    norm = VectorOp("bn", Phase.FF, VectorKind.NORMALISATION, 64_000, 128_000, 64_000)
    assert SAT.vector is not None
    apart = Target.of(replace(SAT, dram=None, vector=replace(SAT.vector, fuse_elementwise=False)))
    relu = replace(norm, kind=VectorKind.ACTIVATION, reads=64_000)
    residual = replace(norm, kind=VectorKind.ELEMENTWISE)
    for target, op, moved in (
        (FAST, norm, 192_000),
        (FAST, relu, 0),
        (FAST, residual, 64_000),
        (apart, relu, 128_000),
        (apart, residual, 192_000),
    ):
        program = vector_program(target, op)
        assert program is not None
        timing = run(program)
        assert moved // 64 <= timing.cycles <= moved // 64 + 16
        bytes_moved = sum(amount for (kind, _), amount in timing.actions.items() if kind.startswith("dram."))
        assert bytes_moved == 2 * moved
