"""The two readers of a program agree, and both agree with a hand-made event log."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.kernel import run
from simulator.kernel.events import ExactRun
from simulator.kernel.maxplus import Evaluator, evaluate
from simulator.kernel.tables import tabulate
from simulator.program import Action, Buffer, Command, Loop, Program, Stall, delay_stores

PYTHON, NUMBA = Evaluator(most=1 << 62), Evaluator(most=0)  # each with one form of the reader


def load(ticks: int, buffer: str = "x", latency: int = 0, engine: str = "dram") -> Command:
    return Command(engine, ticks, Stall.MEMORY, fills=(buffer,), latency=latency, actions=(Action("read", buffer, 7),))


def compute(ticks: int, takes: tuple[str, ...] = ("x",), fills: tuple[str, ...] = ()) -> Command:
    return Command("array", ticks, Stall.ARRAY, takes=takes, frees=takes, fills=fills, actions=(Action("mac", "", 3),))


def store(ticks: int, buffer: str = "y", engine: str = "dram") -> Command:
    return Command(engine, ticks, Stall.MEMORY, takes=(buffer,), frees=(buffer,), actions=(Action("write", "y", 5),))


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []

    def command(self, command: Command, start: int, end: int) -> None:
        self.lines.append((command.engine, start, end))


def test_event_log_of_a_double_buffered_tile_loop() -> None:
    tile = (load(10, latency=3), compute(6, fills=("y",)), store(4))
    program = Program("array", (Buffer("x", 2), Buffer("y", 2)), delay_stores((Loop(3, tile),), "y"))
    log = Log()
    assert ExactRun(program, log).run() == 47
    assert log.lines == [
        ("dram", 0, 10),
        ("array", 13, 19),
        ("dram", 10, 20),
        ("dram", 20, 24),
        ("array", 23, 29),
        ("dram", 24, 34),
        ("dram", 34, 38),
        ("array", 37, 43),
        ("dram", 43, 47),
    ]


@pytest.mark.parametrize(("loading", "making", "cause"), [(5, 20, Stall.SORE), (50, 20, Stall.MEMORY)])
def test_waits_are_charged_to_what_was_waited_for(loading: int, making: int, cause: Stall) -> None:
    make = Command("sore", making, Stall.SORE, takes=("raw",), frees=("raw",), fills=("x",))
    body = (Loop(3, (load(loading, "raw"), make, compute(7))),)
    program = Program("array", (Buffer("raw", 2), Buffer("x", 2)), body)
    tables = tabulate(program)
    ends, waits, _ = evaluate(tables)
    cycles = max(ends)
    assert cycles == 3 * max(loading, making) + min(loading, making) + 7
    assert dict(zip(tables.causes, waits, strict=True))[cause] == sum(waits) == cycles - 3 * 7


def test_a_load_behind_a_store_that_waits_is_charged_to_what_the_store_waits_for() -> None:
    pack = Command("sore", 100, Stall.SORE, takes=("y",), frees=("y",), fills=("packed",))
    tile = (load(5), compute(7, fills=("y",)), pack, store(1, "packed"))
    buffers = tuple(Buffer(name, 2) for name in ("x", "y", "packed"))
    program = Program("array", buffers, delay_stores((Loop(50, tile),), "packed"))
    tables = tabulate(program)
    ends, waits, _ = evaluate(tables)
    cycles = max(ends)
    assert dict(zip(tables.causes, waits, strict=True))[Stall.SORE] > 0.97 * (cycles - 50 * 7)


def test_jumps_make_cost_independent_of_the_loop_count() -> None:
    def steps(count: int) -> int:
        tile = (load(10, latency=3), compute(6, fills=("y",)), store(4))
        program = Program("array", (Buffer("x", 2), Buffer("y", 2)), delay_stores((Loop(count, tile),), "y"))
        return evaluate(tabulate(program))[2]

    assert steps(10**9) <= steps(1000) + 3


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        (compute(1), load(1)),  # takes what is filled only later
        (load(1), compute(1), compute(1)),  # takes what nobody fills
        (load(1), load(1), load(1), compute(1)),  # fills more than there are slots before any is freed
        (load(1), compute(1), Command("array", 1, Stall.ARRAY, frees=("x",))),  # frees what it has not taken
    ],
)
def test_what_can_never_go_on_is_an_error_in_both_readers(body: tuple[Command, ...], exact: bool) -> None:
    with pytest.raises(ValueError, match="never go on"):
        run(Program("array", (Buffer("x", 2),), body), exact)


def test_the_lead_waiting_for_what_it_made_itself_is_its_own_wait() -> None:
    make = Command("array", 1, Stall.SORE, fills=("x",), latency=7)
    program = Program("array", (Buffer("x", 1),), (make, compute(2)))
    fast, exact = run(program), run(program, exact=True)
    assert fast == replace(exact, steps=fast.steps)
    assert (fast.cycles, fast.busy, fast.stalls) == (10, 3, {Stall.ARRAY: 7})


def test_empty_loops_and_too_many_buffers() -> None:
    program = Program("array", (Buffer("x", 2),), (Loop(0, (store(1, "x"),)), load(1), compute(1)))
    assert run(program).cycles == run(program, exact=True).cycles == 2
    with pytest.raises(ValueError, match="at most 62"):
        run(Program("array", tuple(Buffer(f"b{number}", 1) for number in range(63)), (compute(0, ()),)))


def test_a_program_too_long_for_python_begins_again_in_the_compiled_form() -> None:
    tables = tabulate(Program("array", (Buffer("x", 2),), (Loop(50, (load(3), compute(2))),)))
    reader = Evaluator(most=30)
    assert [reader.evaluate(tables, jump=False) for _ in range(2)] == [PYTHON.evaluate(tables, jump=False)] * 2
    assert reader.done == 30


def test_ticks_of_more_than_64_bits_are_refused_in_both_forms() -> None:
    tables = tabulate(Program("array", (), (compute(1 << 63, ()),)))
    for reader in (PYTHON, NUMBA):
        with pytest.raises(OverflowError):
            reader.evaluate(tables)


def test_two_engines_may_not_take_from_one_buffer() -> None:
    program = Program("array", (Buffer("x", 2),), (load(1), load(1), compute(1), store(1, "x")))
    with pytest.raises(ValueError, match="not the only engine"):
        tabulate(program)


ticks = st.integers(0, 12)
counts = st.integers(1, 40)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Tile nests of the kinds dataflows write: resident weights, chunked reductions, an engine between, late stores."""
    between = draw(st.booleans())
    raw = "raw" if between else "x"
    fetch = [load(draw(ticks), raw, draw(ticks), draw(st.sampled_from(["dram", "dram2"])))]
    if between:
        fetch.append(Command("sore", draw(ticks), Stall.SORE, takes=("raw",), frees=("raw",), fills=("x",)))
    hold = Command("array", 0, Stall.ARRAY, takes=("w",))
    drop = Command("array", draw(ticks), Stall.ARRAY, frees=("w",))
    part = Loop(draw(counts), (*fetch, compute(draw(ticks))))
    finish = Command("array", draw(ticks), Stall.ARRAY, fills=("y",), inner_stalls=((Stall.FILL_DRAIN, 0),))
    tile = (part, finish, store(draw(ticks), engine=draw(st.sampled_from(["dram", "port"]))))
    inner = (load(draw(ticks), "w", draw(ticks), "wport"), hold, Loop(draw(counts), tile), drop)
    body = delay_stores((Loop(draw(st.integers(1, 6)), inner), Loop(draw(st.integers(0, 2)), inner)), "y")
    least = {"raw": 1, "x": 1, "w": 1, "y": 2}  # a delayed store needs a second slot of y
    buffers = tuple(Buffer(name, draw(st.integers(least[name], 4))) for name in least)
    return Program("array", buffers, body)


@settings(max_examples=300, deadline=None)
@given(programs())
def test_fast_equals_exact_on_random_nests(program: Program) -> None:
    exact = ExactRun(program)
    cycles = exact.run()
    tables = tabulate(program)
    ends, waits, steps = PYTHON.evaluate(tables)
    all_ends, all_waits, _ = NUMBA.evaluate(tables, jump=False)
    assert ends == all_ends == [exact.ends()[name] for name in tables.engines]
    assert max(ends) == cycles
    assert NUMBA.evaluate(tables) == (ends, waits, steps)
    by_cause = Counter(dict(zip(tables.causes, waits, strict=True)))
    by_cause.update(program.inner_stalls())
    assert by_cause == exact.waits  # causes without a wait are as if they were not there
    assert waits == all_waits
    assert program.actions() == exact.amounts
    assert exact.busy_ticks + sum(exact.waits.values()) == cycles
