"""Ops that overlap: by both readers, beside barriers, and what goes behind what."""

from collections import Counter
from dataclasses import replace

from dataflows.systolic.planner import Planner
from dataflows.systolic.weaving import woven
from simulator import simulate
from simulator.kernel.starts import Start, starts
from simulator.overlap import Link, done
from simulator.program import Action, Buffer, Command, Program, Stall
from simulator.runs import Runs
from tests.dataflows.overlapped import random_steps
from tests.machines import DATAFLOWS, MACHINES
from workloads.op import MatrixOp, Phase, VectorKind, VectorOp
from workloads.stated import from_gemms

SAT = MACHINES["sat"]
OVERLAPPING = replace(SAT, schedule=replace(SAT.schedule, overlap="overlap"))


def test_random_steps() -> None:
    """Equal in both readers, never slower than barriers, never below an engine's work; so many more by the module."""
    assert all(each.holds for each in random_steps(25))


def tile(load: int, work: int, store: int) -> Program:
    """A load, work on it, and the store of its result."""
    body = (
        Command("dram", load, Stall.MEMORY, fills=("x",), latency=5),
        Command("array", work, Stall.ARRAY, takes=("x",), frees=("x",), fills=("y",), latency=3),
        Command("dram", store, Stall.MEMORY, takes=("y",), frees=("y",)),
    )
    return Program("array", (Buffer("x", 1, "west", 8), Buffer("y", 1, "output", 8)), body)


def test_a_load_comes_before_the_store_of_the_op_before() -> None:
    """Both take 10 + 5 + 20 + 3 + 4 = 42. The second load goes on at 35, when the memory is free, and the first store
    after it at 45; the second's work begins at 50, so its result is stored from 73 to 77."""
    one = tile(10, 20, 4)
    runs = Runs()
    assert done([Link(one, frozenset()), Link(one, None)], runs.ends) == [42, 84]
    for reader in (runs, Runs(exact=True)):
        assert done([Link(one, frozenset()), Link(one, frozenset())], reader.ends) == [49, 77]


def test_a_load_of_what_is_stored_waits_for_it() -> None:
    """The store ends at 42 as with a barrier, and the load of what it stored cannot begin before."""
    one, runs = tile(10, 20, 4), Runs()
    first = one.body[0]
    assert isinstance(first, Command)
    reading = first._replace(actions=(Action("dram.read", "activation", 8),))
    second = replace(one, body=(reading, *one.body[1:]))
    assert done([Link(one, frozenset()), Link(second, frozenset({"activation"}))], runs.ends) == [42, 84]


def test_vector_work_behind_a_product_is_done_once() -> None:
    """Among the rounds of a product are all commands of both, each as often as before."""
    ops = from_gemms(["4096x512x4096"]).ops
    product = next(op for op in ops if isinstance(op, MatrixOp) and op.phase is Phase.WU)
    norm = VectorOp("norm", Phase.BP, VectorKind.NORMALISATION, 2_000_000, 4_000_000, 2_000_000)
    work = replace(from_gemms(["8x8x8"]), ops=(product, norm))
    runs = Runs()
    first, second = Planner(OVERLAPPING, DATAFLOWS, runs).plan(work)
    assert first.behind is not None and second.is_behind and not first.behind.after
    apart = [each for scheduled in (first, second) for each in scheduled.programs if isinstance(each, Program)]
    joint = first.behind.program
    assert joint.engine_ticks() == sum((each.engine_ticks() for each in apart), Counter())
    assert Counter(joint.actions()) == sum((Counter(each.actions()) for each in apart), Counter())
    assert runs.cycles(joint) < 1.001 * runs.cycles(apart[0])  # none of the vector work is seen


def test_statistics_go_behind_the_product_that_makes_them_and_the_rest_comes_after() -> None:
    """A normalisation reads all that a product makes twice: the second time it needs the statistics of all."""
    product = next(op for op in from_gemms(["4096x64x4096"]).ops if isinstance(op, MatrixOp))
    elements = product.rows * product.cols
    norm = VectorOp("norm", Phase.FF, VectorKind.NORMALISATION, elements, 2 * elements, elements)
    work = replace(from_gemms(["8x8x8"]), ops=(product, norm))
    runs = Runs()
    first, _ = Planner(OVERLAPPING, DATAFLOWS, runs).plan(work)
    assert first.behind is not None
    (rest,) = first.behind.after
    moved = Counter({("dram.read", "activation"): 2 * elements, ("dram.write", "activation"): 2 * elements})
    assert {key: rest.actions()[key] for key in moved} == moved
    stores, loads = 0, 0
    for command in in_order(first.behind.program):
        if command.engine == "dram" and command.takes and command.takes[0] in ("out", "sums"):
            stores += sum(each.amount for each in command.actions if each.kind == "dram.write")
        if command.fills == ("vector0.in",):
            loads += sum(each.amount for each in command.actions if each.kind == "dram.read")
        assert loads <= stores  # nothing is read that is not stored


def in_order(program: Program) -> list[Command]:
    return [event.command for event in starts(program, sampled=False) if isinstance(event, Start)]


def test_vector_work_behind_a_product_waits_for_the_op_before_both() -> None:
    """WU reads nothing that BP writes, but the vector work behind WU does: no load of it stands before BP's store."""
    ops = {op.phase: op for op in from_gemms(["4096x512x4096"]).ops if isinstance(op, MatrixOp)}
    norm = VectorOp("norm", Phase.BP, VectorKind.NORMALISATION, 2_000_000, 4_000_000, 2_000_000)
    work = replace(from_gemms(["8x8x8"]), ops=(ops[Phase.BP], ops[Phase.WU], norm))
    _, product, vector = Planner(OVERLAPPING, DATAFLOWS, Runs()).plan(work)
    assert product.behind is not None and vector.is_behind
    assert product.waits == frozenset({"activation"})
    apart = replace(work, ops=work.ops[:2])
    assert Planner(OVERLAPPING, DATAFLOWS, Runs()).plan(apart)[1].waits == frozenset()


def test_a_loop_is_needed() -> None:
    assert woven(tile(1, 2, 3), [tile(1, 2, 3)], False) is None


def test_a_step_with_vector_work_is_shorter_and_adds_up() -> None:
    apart = simulate("sat", "2:8", "resnet9", batch=32, dense=False)
    found = simulate("sat", "2:8", "resnet9", batch=32, settings={"schedule.overlap": "overlap"}, dense=False)
    assert found.cycles < 0.99 * apart.cycles
    stalls = found.ops.filter(like="stall_").sum(axis=1)
    assert (found.ops["busy_cycles"] + stalls == found.ops["cycles"]).all()
    moved = [each.actions[each.actions["kind"] == "dram.read"]["amount"].sum() for each in (apart, found)]
    assert moved[0] == moved[1]
