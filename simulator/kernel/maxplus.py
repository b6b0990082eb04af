"""The default reader of a program, in the form that is quicker for what there is to do.

A process begins with Python's form. Once it has evaluated `MANY` commands it goes on with numba's, which takes about a
quarter of the time for programs of the usual length, and whose load takes about as long as Python has lost by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from simulator.kernel.tables import Tables
from simulator.kernel.walk import TOO_LONG, Marks, Row, State, sizes, walk

MANY = 200_000  # commands; a step of ResNet-18 beside its dense one evaluates 23,000
LARGEST = (1 << 63) - 1  # ticks: Python's form takes no larger numbers than numba's

Walked = tuple[int, int, Row, Row]  # where it is stuck, commands evaluated, ticks of engines, waits by cause


@dataclass
class Evaluator:
    """Counts what has been evaluated in Python. `most`: after so many commands numba's form is loaded."""

    most: int = MANY
    done: int = 0

    def evaluate(self, tables: Tables, jump: bool = True) -> tuple[list[int], list[int], int]:
        """The tick at which each engine is done, waits of the lead engine by cause, and commands really evaluated.

        Engines and causes are in the order of `tables`; a program takes as long as the last of its engines.

        Raises ValueError when a command takes a slot nobody has filled, needs one nobody has freed, or frees one nobody
        has taken; OverflowError where ticks do not fit 64 bits.
        """
        stuck, steps, ends, waits = self._walked(tables.words, jump, len(tables.causes))
        if stuck >= 0:
            command = tables.sources[stuck]
            slots = f"takes {command.takes}, fills {command.fills}, frees {command.frees}"
            raise ValueError(f"the program can never go on at a command of {command.engine}: {slots}")
        return [*map(int, ends)], [*map(int, waits)][: len(tables.causes)], steps

    def _walked(self, words: Sequence[int], jump: bool, causes: int) -> Walked:
        if self.done < self.most:
            found = walked(words, jump, causes, self.most - self.done)
            self.done += found[1]
            if found[0] != TOO_LONG:
                return found
        from simulator.kernel import compiled  # a heavy module, for those who evaluate much

        return compiled.walked(words, jump, causes)


def walked(words: Sequence[int], is_jumping: bool, causes: int, most: int) -> Walked:
    """Where a program is stuck and commands evaluated, as `walk` says; ticks of the engines, and waits by cause."""
    of_state, of_marks = sizes(words, causes)
    state, marks = State(*([0] * size for size in of_state)), Marks(*([0] * size for size in of_marks))
    stuck, steps = walk(words, is_jumping, most, state, marks)
    if max(state.free_at) > LARGEST:
        raise OverflowError
    return stuck, steps, state.free_at, state.waits


@cache
def evaluator() -> Evaluator:
    """The one of this process."""
    return Evaluator()


def evaluate(tables: Tables, jump: bool = True) -> tuple[list[int], list[int], int]:
    """As `Evaluator.evaluate`, in the form that suits what this process has evaluated so far."""
    return evaluator().evaluate(tables, jump)
