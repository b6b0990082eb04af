"""Bound commands on a machine of banks give the product, whatever the plan: no word is missing or too many."""

from collections.abc import Hashable

import numpy as np
import pytest

from dataflows.systolic.target import Target
from rtl.core.bound import Bound, BoundLoad, BoundRun, BoundSort, BoundStore, BoundTurn
from rtl.core.content import words_of
from rtl.formats import Bits, operand_format
from rtl.golden.banks import BankMachine, CoreBanks
from rtl.golden.products import sparse_product
from rtl.golden.units import narrow
from simulator.arch.machine import load_machine
from simulator.kernel.events import ExactRun
from simulator.machines.core_limits import check_core
from simulator.machines.systolic import SystolicArch
from simulator.program import Command
from tests.dataflows.core_plans import Case, core, plans_of, random_cases
from workloads.errors import UserError


class Times:
    """Start and end of every command that takes cycles, in the order of each engine."""

    def __init__(self) -> None:
        self.of: dict[str, list[tuple[int, int]]] = {}

    def command(self, command: Command, start: int, end: int) -> None:
        if end > start:
            self.of.setdefault(command.engine, []).append((start, end))


def banks_of(case: Case) -> CoreBanks:
    words, memory, core = case.target.words, case.arch.memory, case.arch.core
    assert words is not None and core is not None
    rows, cols = words.banks.rows, words.banks.cols
    bits = words.operand_bits + words.index_bits
    west, north, output = (int(1024 * (size or 0)) for size in (memory.west_kib, memory.north_kib, memory.output_kib))
    return CoreBanks(
        rows, cols, words.banks.word, core.format, words.index_bits, words.lanes,
        west=west // (8 * rows), north=8 * north // (bits * cols), output=output // (4 * cols),
        raw=int(1024 * core.raw_kib) // 8,
    )  # fmt: skip


def carried_out(case: Case) -> dict[int, Bits]:
    """The results by product: every command reads when it starts and writes when its slot can be used."""
    machine, commands = BankMachine(banks_of(case)), list(case.plan.bound())
    times, seen = Times(), dict[str, int]()
    ExactRun(case.plan.program(), times).run()
    events = list[tuple[int, int, int, Bound]]()  # time, writes before reads, order, what
    for order, (command, what) in enumerate(commands):
        at = seen[command.engine] = seen.get(command.engine, -1) + 1
        start, end = times.of[command.engine][at]
        writes = not isinstance(what, BoundStore)
        events.append((end + command.latency if writes and not isinstance(what, BoundRun) else end if writes else start,
                       int(not writes), order, what))  # fmt: skip
        if isinstance(what, BoundLoad | BoundStore):
            assert 8 * len(_rows(what)) == sum(a.amount for a in command.actions if a.kind.startswith("dram."))
    results = {
        number: np.zeros((case.lowered.rows, case.lowered.cols), np.uint32) for number in range(case.lowered.count)
    }
    spilled = dict[Hashable, Bits]()
    for *_, what in sorted(events, key=lambda event: event[:3]):
        if isinstance(what, BoundLoad):
            content = what.content
            if content.tensor == "sums":
                machine.load(what, spilled[content.region])
            else:
                machine.load(what, words_of(content, case.operands[content.number], what.dense))
        elif isinstance(what, BoundStore):
            words, there = machine.store(what), what.content.rows >= 0
            if what.content.tensor == "sums":
                spilled[what.content.region] = words
            else:
                results[what.content.number][what.content.rows[there], what.content.cols[there]] = words[there]
        elif isinstance(what, BoundTurn):
            machine.turn(what)
        elif isinstance(what, BoundSort):
            machine.sort(what)
        else:
            machine.work(what)
    return results


def _rows(what: BoundLoad | BoundStore) -> np.ndarray:
    assert sum(walk.beats for walk in what.walks) == what.content.words
    return what.content.rows


def wanted(case: Case, number: int) -> Bits:
    product, form = case.operands[number], operand_format("fp16")
    sums = sparse_product(product.left, product.packed, form)
    return sums if case.lowered.final_bytes == 4 else narrow(sums, form).astype(np.uint32)


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_bound_commands_give_the_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number, case in enumerate(random_cases(rng, 40)):
        for product, found in carried_out(case).items():
            np.testing.assert_array_equal(
                found, wanted(case, product), f"{number}: {case.plan.mapping()} {case.lowered}"
            )


def test_floors_hold_and_both_readers_agree_on_cores() -> None:
    for case in random_cases(np.random.default_rng(9), 24):
        program = case.plan.program()
        fast, exact = program.run(exact=False), program.run(exact=True)
        assert fast.cycles == exact.cycles
        assert case.plan.floor_cycles() <= case.plan.least_cycles() <= exact.cycles
        assert case.plan.least_bytes() <= sum(
            amount for (kind, _), amount in program.actions().items() if kind.startswith("dram.")
        )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("array.rows=6", "must be a multiple of transposer.side, 4"),
        ("dram.channel_bandwidth_gb_s=19.2", "more than the 8 bytes a cycle"),
        ("dram.latency_ns=10", "the core's DMA takes 12 to 62"),
        ("dram.latency_ns=100000", "the core's DMA takes 12 to 62"),
        ("memory.west_port_bytes_per_row_cycle=4", "port\\) is 2, and the core's hardware has 4"),
        ("array.cols=64", "reads a slot 60 cycles after it was given back, and the core allows 4"),
        ("array.accumulators=8", "reads a slot 7 cycles after"),
        ("dram=null", "must be there"),
        ("sore.lanes=32", "sore.lanes is 32, and the core's hardware has 4"),
        ("lowering.im2col=implicit", "has explicit"),
        ("array.group_max=2", "wanted is 4 or more"),
    ],
)
def test_what_the_core_cannot_have_is_refused(setting: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_core(core(setting))


def test_another_machine_binds_nothing() -> None:
    case = next(random_cases(np.random.default_rng(1), 1))
    sat = load_machine("sat").spec
    assert isinstance(sat, SystolicArch)
    plan = next(plans_of(Target.of(sat), case.lowered, False))
    with pytest.raises(UserError, match="this machine is no core"):
        next(iter(plan.bound()))
