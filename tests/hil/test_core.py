"""The core carries out products from DRAM to DRAM: bits of the golden sums, cycles and waits of the simulator."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataflows.systolic.lowering import Window
from dataflows.systolic.target import Target
from rtl.core.bound import Bound, BoundLoad, BoundRun
from rtl.core.compiled import CoreRan
from rtl.formats import FP16, decode
from rtl.timing import Reduction
from simulator import simulate
from simulator.arch.machine import load_machine
from simulator.hil.core import CoreMachine, ThroughCore, Values, stopped
from simulator.hil.strata import Stratum
from simulator.machines.systolic import SystolicArch
from simulator.program import Command, Program
from tests.command import Run
from tests.dataflows.core_plans import Case, core, plans_of, random_cases, random_operands, random_product
from tests.hil.core_runs import SMALL, compared, machine_of
from workloads.errors import UserError
from workloads.op import MatrixOp
from workloads.pattern import parse_pattern
from workloads.work import Work as Asked

BoundCommands = list[tuple[Command, Bound]]


@pytest.fixture(scope="module")
def small() -> SystolicArch:
    return core(*(f"{name}={value}" for name, value in SMALL.items()))


@pytest.fixture(scope="module")
def case(small: SystolicArch) -> Case:
    """A weight-stationary product of some tiles, whose runs all give sums."""
    found = random_cases(np.random.default_rng(7), 40, of=[small])
    return next(each for each in found if each.plan.mapping().block and len(list(each.plan.bound())) < 60)


def test_random_plans_on_the_core(small: SystolicArch) -> None:
    kinds = set()
    for number, each in enumerate(random_cases(np.random.default_rng(3), 24, of=[small])):
        found = compared(each)
        assert found.is_right, f"{number}: {each.plan.mapping()} {each.lowered}: {found}"
        kinds.add((type(each.plan).__name__, each.plan.mapping().inline))
    assert len(kinds) >= 5


def test_another_memory_changes_cycles_alone(small: SystolicArch) -> None:
    for each in random_cases(np.random.default_rng(4), 6, of=[small]):
        found = compared(each, paced=False)
        assert (found.wrong, found.ran.fault, found.ran.faulty) == (0, 0, {})
        assert found.cycles != found.wanted


def spoiled(case: Case, change: Callable[[int, Command, Bound], tuple[Command, Bound] | None], cut: int = 0) -> str:
    """What is said of a case whose commands are changed; `cut`: words that the DRAM lacks at its end."""
    bound: BoundCommands = []
    for number, (command, what) in enumerate(case.plan.bound()):
        changed = change(number, command, what)
        if changed is not None:
            bound.append(changed)
    program, machine = case.plan.program(), machine_of(case.arch)
    feed, memory, _ = machine.carry_out(program, bound, case.operands)
    pace = (8, 1, 20)
    ran: CoreRan = machine.hardware.run(machine.hardware.fed(feed), memory[: len(memory) - cut], pace, 1 << 14)
    assert ran.cycles == -2
    return stopped(ran, program)


def first_run(change: Callable[[Command, BoundRun], tuple[Command, Bound]]) -> Callable[..., tuple[Command, Bound]]:
    """Change the first run of the array alone."""
    seen = []

    def of(number: int, command: Command, what: Bound) -> tuple[Command, Bound]:
        if isinstance(what, BoundRun) and (not seen or seen[0] == number):
            seen[:] = [number]
            return change(command, what)
        return command, what

    return of


@pytest.mark.parametrize(("more", "said"), [(1, "fewer"), (-1, "more")])
def test_a_run_of_other_cycles_than_its_command_says_is_noticed(case: Case, more: int, said: str) -> None:
    change = first_run(lambda command, what: (command._replace(ticks=command.ticks + more), what))
    assert f"a run took {said} cycles than its command says" in spoiled(case, change)


def test_a_run_that_the_array_cannot_carry_out_is_refused_by_it(case: Case) -> None:
    change = first_run(lambda command, what: (command, replace(what, run=replace(what.run, kept=200))))
    assert "the core refused a run of the array" in spoiled(case, change)


def test_whoever_waits_for_ever_is_named(case: Case) -> None:
    loads = [number for number, (_, what) in enumerate(case.plan.bound()) if isinstance(what, BoundLoad)]
    said = spoiled(case, lambda number, command, what: None if number == loads[0] else (command, what))
    assert "nothing begins any more" in said and "array for" in said


def test_an_error_of_the_memory_stops_the_core(case: Case) -> None:
    said = spoiled(case, lambda *each: each[1:], cut=1 << 30)
    assert "the DRAM answered a read with an error" in said


def test_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match="this machine is no core; take core, or a machine file"):
        CoreMachine(load_machine("sat").spec).layout  # noqa: B018


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A machine file that extends the core."""
    groups: dict[str, list[str]] = {}
    for name, value in SMALL.items():
        group, field = name.split(".")
        groups.setdefault(group, []).append(f"  {field}: {{value: {value}, provenance: assumed, source: a test}}")
    path = tmp_path / "small.yaml"
    path.write_text("\n".join(["extends: core", *(f"{group}:\n" + "\n".join(of) for group, of in groups.items())]))
    return path


def test_the_command_says_what_the_core_did(simulate: Run, sheet: Path) -> None:
    asked = f"--arch {sheet} --gemm 12x24x16 --gemm 12x16x10 --pattern 2:8 --hil core"
    code, out, err = simulate(*asked.split())
    assert code == 0, err
    assert "6 of 6 products agree with the models on the core" in out
    told = " ".join(out.split())
    assert "0 products with other cycles" in told
    assert re.search(r"; 0 of \d+ of these counts are not the simulator's", told)
    code, out, _ = simulate(*asked.split(), "--hil-ops", "gemm1/WU")
    assert code == 0 and "1 of 1 products agree" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--hil core --hil-ops nothing", "no product has such a layer, or LAYER/PHASE; layers are gemm0"),
        ("--hil core --hil-tiles 3", "takes whole products, not tiles"),
        ("--hil-ops gemm0", "says which products --hil core takes"),
    ],
)
def test_what_the_command_cannot_do_is_a_sentence(simulate: Run, sheet: Path, more: str, said: str) -> None:
    code, out, err = simulate(*f"--arch {sheet} --gemm 12x24x16 --pattern 2:8 {more}".split())
    assert (code, out) == (2, "") and said in err


def test_permuted_channels_come_in_their_order() -> None:
    """Two kernel positions of 8 channels: groups of 4 hold among the channels 3, 1, 7, 5 and the others."""
    order = (3, 1, 7, 5, 0, 2, 4, 6)
    result = simulate("core", "2:4", Asked(gemms=("6x16x8",)))
    scheduled = result.schedule[0]
    assert isinstance(scheduled.op, MatrixOp)
    op = replace(scheduled.op, right=replace(scheduled.op.right, permutation="p"))
    part = replace(scheduled.parts[0], reduction=Reduction(2, 8, 2, 4))
    program = scheduled.programs[0]
    assert isinstance(program, Program)
    product = ThroughCore(Stratum(0, 0, op, part), scheduled.plans[0], program)
    plain, permuted = (product.operands(Values(None, orders), FP16)[0] for orders in ({}, {"p": (order,)}))
    places = [*order, *(8 + channel for channel in order)]
    np.testing.assert_array_equal(permuted.left, plain.left[:, places])
    np.testing.assert_array_equal(permuted.right, plain.right[places])
    magnitudes = np.abs(decode(permuted.right[:4], FP16))
    kept = np.sort(permuted.packed.positions[:2], axis=0)
    np.testing.assert_array_equal(kept, np.sort(np.argsort(-magnitudes, axis=0, kind="stable")[:2], axis=0))


@pytest.mark.slow  # an array of its own: of two columns, where the sum is there last
@pytest.mark.parametrize("rows", [1, 3])
def test_a_seed_may_be_the_sum_of_the_run_just_before(rows: int) -> None:
    small = core(*(f"{name}={value}" for name, value in {**SMALL, "array.cols": 2}.items()))
    """One position and one weight a PE: no run is shorter, so none comes sooner after the one that it goes on from."""
    rng, target = np.random.default_rng(11), Target.of(small)
    work = replace(random_product(rng), rows=rows, cols=5, count=1, reduction=Reduction(1, 60, 1, 4), final_bytes=2)
    product = replace(work, pattern=parse_pattern("1:4"), transposed=False, positions_inner=False)
    product = replace(product, window=Window((1, rows), (1, rows)), channels=60)
    plans = [each for each in plans_of(target, product, False) if each.mapping().block == 1]
    assert plans
    for plan in plans:
        case = Case(small, target, plan, product, (random_operands(rng, product),))
        assert compared(case).is_right, plan.mapping()
