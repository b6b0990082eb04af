"""Plans carried out by the core in Verilator, beside SimPy and the golden sums."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from rtl.core.compiled import CoreRan
from rtl.core.core import ARRAY, DRAM, ENGINES
from simulator.hil.core import CoreMachine, golden, results_of
from simulator.kernel.events import ExactRun
from simulator.machines.systolic import SystolicArch
from simulator.program import Command
from tests.dataflows.core_plans import Case

SMALL = {
    "array.rows": 4,
    "array.cols": 4,
    "memory.west_kib": 4,
    "memory.north_kib": 2,
    "memory.output_kib": 2,
    "memory.wuve_kib": 4,
    "core.raw_kib": 2,
}


class Starts:
    """The start of every command that takes cycles, in the order of each engine."""

    def __init__(self) -> None:
        self.of: dict[str, list[int]] = {}

    def command(self, command: Command, start: int, end: int) -> None:
        if end > start:
            self.of.setdefault(command.engine, []).append(start)


@dataclass(frozen=True)
class Compared:
    """A case on the core: commands, starts of all but the DMA's that differ, cycles of both, results that are wrong and
    how many there are, counts of waits that differ, and all that was found."""

    commands: int
    differ: int
    cycles: int
    wanted: int
    wrong: int
    values: int
    other_waits: int
    ran: CoreRan

    @property
    def is_right(self) -> bool:
        """Nothing differs at all."""
        ran = self.ran
        return not any((self.differ, self.cycles - self.wanted, self.wrong, self.other_waits, ran.fault, ran.faulty))


@cache
def machine_of(arch: SystolicArch) -> CoreMachine:
    return CoreMachine(arch, "momentum")  # the hardware of whole steps: compiled once for all tests


def compared(case: Case, paced: bool = True) -> Compared:
    """One case, carried out."""
    program, bound = case.plan.program(), list(case.plan.bound())
    starts = Starts()
    exact = ExactRun(program, starts)
    wanted = exact.run()
    machine = machine_of(case.arch)
    feed, memory, ran = machine.carry_out(program, bound, case.operands, paced)
    differ = commands = 0
    for number, (engine, seen) in enumerate(zip(ENGINES, ran.starts, strict=True)):
        expected = np.array(starts.of.get(engine, []), np.int64)
        commands += len(expected)
        if number != DRAM:  # which begins as soon as it may: the memory serves in order
            mine = np.resize(seen.astype(np.int64) - ran.first, len(expected)) if len(seen) else -1 - expected
            differ += int((mine != expected).sum()) + abs(len(seen) - len(expected))
    shape = case.lowered.rows, case.lowered.cols
    found = results_of(bound, feed, memory, shape, case.lowered.count)
    right = [golden(each, machine.form, case.lowered.final_bytes) for each in case.operands]
    wrong = sum(int((one != other).sum()) for one, other in zip(found, right, strict=True))
    waits = sum(
        int(ran.waits[ARRAY][number]) != exact.lacked[buffer.name] for number, buffer in enumerate(program.buffers)
    )
    cycles = int(ran.ends[-1]) - ran.first + 1 if len(ran.ends) else ran.cycles
    return Compared(commands, differ, cycles, wanted, wrong, sum(each.size for each in right), waits, ran)
