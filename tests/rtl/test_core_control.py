"""The core's control carries out programs as SimPy does: every command begins in the very cycle."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtl.core.control import ControlShape
from simulator import simulate
from simulator.hil.core_words import CoreOp
from simulator.program import Buffer, Command, Loop, Program, Stall
from tests.rtl.core_bench import ENGINES, SHAPE, Compared, compared
from tests.rtl.core_checker import COUNTERS, CheckCounters
from tests.rtl.formal import Model
from workloads.errors import UserError
from workloads.work import Work

SMALL = (
    "memory.west_kib=32", "memory.north_kib=16", "memory.output_kib=16", "memory.wuve_kib=8", "memory.vector_kib=8",
    "dram.channels=1", "wuve.lanes=4",
)  # fmt: skip


def programs(work: object, pattern: str | None, *more: str) -> Iterator[Program]:
    """The programs of a step's products and updates, sparse and dense."""
    result = simulate("sat", pattern, work, settings=[*SMALL, *more])
    for side in (result, result.dense):
        for scheduled in side.schedule if side else ():
            for program in scheduled.programs:
                if isinstance(program, Program) and _is_of_the_core(program):
                    yield program


def _is_of_the_core(program: Program) -> bool:
    """Vector work is the host's, and a program may have nothing to do."""
    engines = {command.engine for command, count in program.commands() if command.ticks and count}
    return bool(engines) and {command.engine for command, _ in program.commands()} <= set(ENGINES)


def check(found: Sequence[Compared]) -> int:
    """The commands that were compared."""
    assert [each.cycles for each in found] == [each.wanted for each in found]
    assert sum(each.differ for each in found) == 0
    return sum(each.commands for each in found)


@pytest.mark.parametrize(("rows", "gemm", "pattern"), [(4, "96x64x128", "2:8"), (8, "20x12x300", "1:4")])
def test_commands_begin_when_simpy_says(rows: int, gemm: str, pattern: str) -> None:
    found = programs(Work(gemms=(gemm,)), pattern, f"array.rows={rows}", f"array.cols={rows}", "memory.west_kib=2")
    assert check(compared(list(found))) > 100


@st.composite
def chains(draw: st.DrawFn) -> Program:
    """Engines in a row that hand slots on, some through several buffers, with latencies of their own."""
    names = draw(st.permutations(ENGINES))[: draw(st.integers(2, 5))]
    buffers = [Buffer(f"b{number}", draw(st.integers(1, 30))) for number in range(len(names) - 1)]
    latency = {name: draw(st.integers(0, 40)) for name in names}
    body = []
    for number, name in enumerate(names):
        takes = (buffers[number - 1].name,) if number else ()
        fills = (buffers[number].name,) if number < len(buffers) else ()
        ticks = draw(st.integers(1, 20))
        body.append(Command(name, ticks, Stall.MEMORY, takes, takes, fills, latency[name] if fills else 0))
    extra = tuple(each._replace(ticks=draw(st.integers(1, 9))) for each in body)
    return Program(names[-1], tuple(buffers), (Loop(draw(st.integers(1, 40)), (*body, *extra)), *body))


@settings(max_examples=20, deadline=None)
@given(st.lists(chains(), min_size=1, max_size=6))
def test_made_up_programs_with_many_slots_and_latencies(made: list[Program]) -> None:
    check(compared(made))


def test_what_hardware_cannot_have_is_refused() -> None:
    buffers = (Buffer("b", 2),)

    def op(*commands: Command, slots: tuple[Buffer, ...] = buffers) -> object:
        return CoreOp(Program("array", slots, commands), SHAPE, ENGINES).queues

    fill = Command("dram", 3, Stall.MEMORY, fills=("b",))
    for commands, said in (
        ((fill, Command("array", 0, Stall.ARRAY, ("b",), ("b",))), "has no cycles, and fills or hands on slots"),
        ((Command("dram", 0, Stall.MEMORY, fills=("b",)),), "has no cycles, and fills or hands on slots"),
        ((fill, Command("array", 0, Stall.ARRAY, ("b",))), "engine 'array' takes slots, and no command follows"),
        ((Command("vector", 3, Stall.VECTOR),), "needs the engine 'vector'; there are dram, sore, transposer"),
        ((), "has no command that takes cycles"),
    ):
        with pytest.raises(UserError, match=said):
            op(*commands)
    with pytest.raises(UserError, match="a program has 1 buffers of up to 40 slots; this core has 10 of up to 31"):
        op(fill, slots=(Buffer("b", 40),))
    with pytest.raises(UserError, match="core: 0 engines, 6 buffers and 2 bits"):
        ControlShape(0)


def test_counters_never_leave_the_slots_that_there_are() -> None:
    """Whatever engines do that fill what was claimed and free what was taken."""
    model = Model(CheckCounters(ControlShape(2, 2, 2)))
    assert model.holds(10, anywhere=False) and model.holds(2, induction=True, anywhere=False)


@pytest.mark.parametrize("name", COUNTERS)
def test_every_property_of_the_counters_has_a_mutant_that_fails_it(name: str) -> None:
    model = Model(CheckCounters(ControlShape(2, 2, 2), [name]))
    assert any(not model.holds(6, mutant, anywhere=False) for mutant in model.mutants(12, seed=7))


MACHINES = (
    ("array.rows=4", "array.cols=4", "memory.west_kib=2", "memory.north_kib=2", "memory.output_kib=1"),
    ("array.rows=8", "array.cols=4", "memory.west_kib=8", "memory.north_kib=4", "memory.output_kib=2"),
    ("array.rows=4", "array.cols=8", "memory.west_kib=4", "dram.latency_ns=240", "dram.burst_bytes=1"),
    ("array.rows=8", "array.cols=8", "memory.west_kib=8", "dram.efficiency=0.3", "sore.tile_buffer=False"),
)
STEPS = (
    ("33x17x50", "1:4"), ("96x64x128", "2:8"), ("200x96x40", "2:4"), ("20x12x300", "4:8"), ("512x64x576", "2:8"),
    ("256x256x256", "2:8"), ("400x80x256", "1:8"), ("64x64x2048", "2:4"), ("128x512x128", "2:8"), ("300x96x300", "4:8"),
    ("512x128x512", "2:4"), ("640x96x384", "2:8"),
)  # fmt: skip
ENOUGH, LARGEST = 500_000, 40_000  # commands in all, and of one program


@pytest.mark.slow
def test_half_a_million_commands_begin_when_simpy_says(capsys: pytest.CaptureFixture[str]) -> None:
    commands = cycles = count = 0
    for gemm, pattern in STEPS:
        for machine in MACHINES:
            if commands > ENOUGH:
                break
            known = programs(Work(gemms=(gemm,)), pattern, *machine)
            small = [each for each in known if sum(times for _, times in each.commands()) <= LARGEST]
            found = compared(small) if small else []
            commands, count = commands + check(found), count + len(found)
            cycles += sum(each.cycles for each in found)
    with capsys.disabled():
        print(f"\n{count} programs, {commands:,} commands, {cycles:,} cycles: no start and no total differs")
    assert commands > ENOUGH
