"""Update and vector work against what they must take with nothing else in the way."""

from dataclasses import replace

import pytest

from dataflows.systolic.elementwise import Packing, update_program, vector_program
from dataflows.systolic.target import Target
from simulator.kernel import run
from simulator.program import Stall
from tests.machines import MACHINES
from workloads.errors import UserError
from workloads.op import Optimizer, Phase, VectorKind, VectorOp

SAT = MACHINES["sat"]
UNBOUND = replace(SAT, dram=None, memory=replace(SAT.memory, dma_port_bytes_per_cycle=None))
FAST = Target.of(UNBOUND)
WEIGHTS = 327_680
UPDATE = VectorOp("layer", Phase.UP, VectorKind.UPDATE, WEIGHTS, 0, 0, optimizer=Optimizer.MOMENTUM)
SLOT = 1024 * 1024 // 8 // 12  # a slot of the update's memory in masters, one state and gradients
CHUNK = SLOT // 64 * 64  # whole blocks of 8 x 8


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_an_update_without_dram_takes_its_lanes(optimizer: Optimizer) -> None:
    assert SAT.wuve is not None
    program = update_program(FAST, replace(UPDATE, optimizer=optimizer), (), True)
    assert program is not None
    each = {"sgd": 1, "momentum": 1, "adam": 2, "adamw": 2}[optimizer]
    chunks = -(-WEIGHTS // (131072 // (4 * (2 + optimizer.states))))
    lanes = WEIGHTS // SAT.wuve.lanes * each
    latency = {"sgd": 18, "momentum": 22, "adam": 78, "adamw": 70}[optimizer]  # of the last weight
    assert lanes <= run(program).cycles - latency <= lanes + chunks * each  # chunks are whole rows of lanes, rounded up


def test_everything_travels_once() -> None:
    packings = (Packing(90_000, 2, 8, False), Packing(100_000, 2, 8, True))
    program = update_program(FAST, UPDATE, packings, True)
    assert program is not None
    actions = run(program).actions
    chunks = -(-WEIGHTS // CHUNK)
    assert actions["dram.read", "master"] == WEIGHTS * (4 + 4 + 4)
    written = WEIGHTS * (4 + 4 + 2) + 90_000 + 100_000
    assert written <= actions["dram.write", "master"] <= written + 2 * chunks  # copies are rounded up a chunk


def test_sore_behind_the_update_is_waited_for_when_it_is_slower() -> None:
    assert SAT.sore is not None
    slow = Target.of(replace(UNBOUND, sore=replace(SAT.sore, lanes=8)))
    program = update_program(slow, UPDATE, (Packing(1, 2, 8, False), Packing(1, 2, 8, True)), False)
    assert program is not None
    timing = run(program)
    assert timing.cycles == pytest.approx(2 * WEIGHTS / 8 + CHUNK / 32, rel=0.01)  # all the time, after one chunk
    assert timing.stalls[Stall.SORE] == timing.cycles - timing.busy


def test_a_second_pass_without_a_tile_buffer() -> None:
    assert SAT.sore is not None
    bare = Target.of(replace(SAT, sore=replace(SAT.sore, tile_buffer=False)))
    for across, more in ((True, 2 * WEIGHTS), (False, 0)):
        program = update_program(bare, UPDATE, (Packing(1, 2, 8, across),), False)
        assert program is not None
        read = run(program).actions.get(("dram.read", "weight"), 0)
        assert more <= read <= more + 64 * (-(-WEIGHTS // CHUNK)) * bool(more)  # bursts


@pytest.mark.parametrize(
    ("wuve_kib", "packings", "chunk", "again"),
    [
        (1024, (Packing(1, 2, 8, False),), 10_920, False),  # 10,922 weights fit: whole groups of 8
        (1024, (Packing(1, 2, 8, False), Packing(1, 2, 8, True)), 10_880, False),  # whole blocks of 8 x 8
        (1024, (Packing(1, 2, 16, False), Packing(1, 1, 4, True)), 10_880, False),  # of 16 x 4
        (8, (Packing(1, 2, 8, False), Packing(1, 2, 8, True)), 64, False),  # 85 fit: one block
        (8, (Packing(1, 2, 16, False), Packing(1, 2, 16, True)), 80, True),  # no block of 16 x 16: a second pass
    ],
)
def test_chunks_of_an_update_are_whole_groups(
    wuve_kib: float, packings: tuple[Packing, ...], chunk: int, again: bool
) -> None:
    spec = replace(SAT, memory=replace(SAT.memory, wuve_kib=wuve_kib))
    program = update_program(Target.of(spec), UPDATE, packings, False)
    assert program is not None
    updates = [(each.actions[0].amount, count) for each, count in program.commands() if each.engine == "wuve"]
    assert max(updates)[0] == chunk
    assert sum(size * count for size, count in updates) == WEIGHTS
    assert any("again" in command.fills for command, _ in program.commands()) == again


def test_a_memory_that_holds_no_group_is_refused() -> None:
    spec = replace(SAT, memory=replace(SAT.memory, wuve_kib=1))
    with pytest.raises(
        UserError, match=r"memory.wuve_kib: 1 KiB hold no group .*momentum with groups of 32 needs 3 KiB"
    ):
        update_program(Target.of(spec), UPDATE, (Packing(1, 2, 32, False),), False)


def test_every_region_of_an_update_is_whole_bursts() -> None:
    """7 weights: masters, momenta and gradients of 28 bytes are a burst each, not 84 bytes in two."""
    program = update_program(Target.of(SAT), replace(UPDATE, elements=7), (), True)
    assert program is not None
    actions = run(program).actions
    assert actions["dram.read", "master"] == 3 * 64
    assert actions["dram.write", "master"] == 3 * 64


def test_a_port_narrower_than_dram_is_waited_for() -> None:
    """64,000 elements of 2 bytes through a port of 16 bytes a cycle, as sums of 4 through one of 8."""
    narrow = Target.of(replace(SAT, memory=replace(SAT.memory, dma_port_bytes_per_cycle=16)))
    assert narrow.load("input", "west", "west", 128_000).ticks == 8_000
    assert narrow.store("output", ("out",), 256_000, 128_000).ticks == 16_000
    assert Target.of(SAT).load("input", "west", "west", 128_000).ticks == 417  # DRAM: 307.2 bytes a cycle


def test_vector_work_is_lanes_and_fused_work_its_second_operand() -> None:
    norm = VectorOp("bn", Phase.FF, VectorKind.NORMALISATION, 64_000, 128_000, 64_000)
    assert SAT.vector is not None
    apart = Target.of(replace(UNBOUND, vector=replace(SAT.vector, fuse_elementwise=False)))
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
