"""Start times for pictures, against the exact reader and the default one."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from simulator.kernel import run
from simulator.kernel.events import ExactRun
from simulator.kernel.starts import Gap, Start, starts
from simulator.machines.systolic import SystolicArch
from simulator.program import Action, Buffer, Command, Loop, Program, Stall
from tests.machines import all_plans, archs, ops
from workloads.op import MatrixOp

relaxed = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


class Log:
    """Starts by engine, as the exact reader finds them."""

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[int, int]]] = {}

    def command(self, command: Command, start: int, end: int) -> None:
        self.seen.setdefault(command.engine, []).append((start, end))


@relaxed
@given(archs(), ops(), st.data())
def test_starts_are_those_of_the_exact_reader(arch: SystolicArch, op: MatrixOp, data: st.DataObject) -> None:
    plans = all_plans(arch, op, False)
    assume(plans)
    program = data.draw(st.sampled_from(plans)).program()
    log = Log()
    ExactRun(program, log).run()
    mine: dict[str, list[tuple[int, int]]] = {}
    for event in starts(program, sampled=False):
        assert isinstance(event, Start)
        mine.setdefault(event.command.engine, []).append((event.tick, event.end))
    assert mine == log.seen


@relaxed
@given(archs(), ops(), st.data())
def test_sampled_starts_end_with_the_program(arch: SystolicArch, op: MatrixOp, data: st.DataObject) -> None:
    plans = all_plans(arch, op, False)
    assume(plans)
    program = data.draw(st.sampled_from(plans)).program()
    events = list(starts(program))
    assert max(event.end for event in events) == run(program).cycles
    every = {(id(each.command), each.tick) for each in starts(program, sampled=False) if isinstance(each, Start)}
    assert {(id(each.command), each.tick) for each in events if isinstance(each, Start)} <= every
    listed = sum(each.commands if isinstance(each, Gap) else 1 for each in events)
    assert listed == sum(count for _, count in program.commands())


def test_a_regular_loop_of_a_million_rounds_is_a_few_events() -> None:
    load = Command("dram", 3, Stall.MEMORY, fills=("b",), latency=5, actions=(Action("dram.read", "x", 64),))
    work = Command("array", 4, Stall.ARRAY, takes=("b",), frees=("b",))
    program = Program("array", (Buffer("b", 2),), (Loop(1_000_000, (load, work)),))
    events = list(starts(program))
    assert len(events) < 20
    assert [each.tick for each in events if isinstance(each, Start)][:4] == [0, 8, 3, 12]
    assert events[-1].end == run(program).cycles == 6_000_004
