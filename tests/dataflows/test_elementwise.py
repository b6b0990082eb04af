"""Update and vector work against what they must take with nothing else in the way."""

from dataclasses import replace

import pytest

from dataflows.elementwise import CHUNK, Packing, update_program, vector_program
from dataflows.target import Target
from simulator.program import Stall
from simulator.run import run
from tests.machines import MACHINES
from workloads.op import Optimizer, Phase, VectorKind, VectorOp

SAT = MACHINES["sat"]
FAST = Target.of(replace(SAT, dram=None))
UPDATE = VectorOp("layer", Phase.UP, VectorKind.UPDATE, 10 * CHUNK, 0, 0, optimizer=Optimizer.MOMENTUM)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_an_update_without_dram_takes_its_lanes(optimizer: Optimizer) -> None:
    assert SAT.wuve is not None
    program = update_program(FAST, replace(UPDATE, optimizer=optimizer), (), True)
    assert program is not None
    each = {"sgd": 1, "momentum": 1, "adam": 2, "adamw": 2}[optimizer]
    assert run(program).cycles == UPDATE.elements // SAT.wuve.lanes * each


def test_masters_states_and_gradients_travel_once() -> None:
    program = update_program(Target.of(SAT), UPDATE, (), True)
    assert program is not None
    actions = run(program).actions
    assert actions["dram.read", "master"] == UPDATE.elements * (4 + 4 + 4)
    assert actions["dram.write", "master"] == UPDATE.elements * (4 + 4 + 2)


def test_sore_behind_the_update_is_waited_for_when_it_is_slower() -> None:
    assert SAT.sore is not None
    slow = Target.of(replace(SAT, dram=None, sore=replace(SAT.sore, lanes=8)))
    both = (Packing(1, 8, False), Packing(1, 8, True))
    program = update_program(slow, UPDATE, both, False)
    assert program is not None
    timing = run(program)
    assert timing.cycles == 2 * UPDATE.elements // 8 + CHUNK // 32  # SORE all the time, once it has its first chunk
    assert timing.stalls[Stall.SORE] == timing.cycles - timing.busy


def test_a_second_pass_without_a_tile_buffer() -> None:
    assert SAT.sore is not None
    bare = Target.of(replace(SAT, sore=replace(SAT.sore, tile_buffer=False)))
    for across, more in ((True, 2 * UPDATE.elements), (False, 0)):
        program = update_program(bare, UPDATE, (Packing(1, 8, across),), False)
        assert program is not None
        assert run(program).actions.get(("dram.read", "weight"), 0) == more


def test_vector_work_is_lanes_or_nothing() -> None:
    norm = VectorOp("bn", Phase.FF, VectorKind.NORMALISATION, CHUNK, 2 * CHUNK, CHUNK)
    program = vector_program(FAST, norm)
    assert program is not None and SAT.vector is not None
    assert run(program).cycles == 3 * CHUNK // SAT.vector.lanes
    relu = replace(norm, kind=VectorKind.ACTIVATION)
    fused = vector_program(FAST, relu)
    assert fused is not None
    assert run(fused).cycles == 0
    apart = Target.of(replace(SAT, dram=None, vector=replace(SAT.vector, fuse_elementwise=False)))
    unfused = vector_program(apart, relu)
    assert unfused is not None
    assert run(unfused).cycles == 3 * CHUNK // SAT.vector.lanes
