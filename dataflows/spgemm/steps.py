"""What the steps of a kernel cost: instructions and words of memory, each counted from the loop as one would write it.

Every kernel counts the same kinds of steps in its data (`Feature`); a recipe says what one of each takes. No compiler
for the fabric is public, so the numbers of instructions are assumed; they are in the run card as `kernel.*`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from simulator.fabric.program import Counts, Instruction, Traffic


class Feature(IntEnum):
    """What kernels count; the columns of an event's features."""

    ROW = 0  # a row of the left operand begun
    ELEMENT = 1  # an element of it begun: a row of the right operand looked up
    PRODUCT = 2  # an elementary product
    STEP = 3  # a probe, a comparison of a heap, a merge or an intersection
    CLAIM = 4  # a new element of the result
    SEARCH = 5  # a halving, where a row of the right operand is entered in its middle
    PAIR = 6  # a row of the left operand met with a column of the right one
    BROUGHT = 7  # an element of the right operand read ahead, for several products


@dataclass(frozen=True)
class Step:
    """Instructions of one step. `reads` and `writes` are words of memory by tensor."""

    integer: int = 0
    float: int = 0
    scratchpad: int = 0
    atomic: int = 0
    remote_atomic: int = 0
    reads: Mapping[str, int] = field(default_factory=dict)
    writes: Mapping[str, int] = field(default_factory=dict)

    def instructions(self) -> list[int]:
        """By class, in the order of `Instruction`."""
        amounts = {
            Instruction.INTEGER: self.integer,
            Instruction.FLOAT: self.float,
            Instruction.LOAD: sum(self.reads.values()),
            Instruction.STORE: sum(self.writes.values()),
            Instruction.SCRATCHPAD: self.scratchpad,
            Instruction.ATOMIC: self.atomic,
            Instruction.REMOTE_ATOMIC: self.remote_atomic,
        }
        return [amounts[each] for each in Instruction]


Recipe = Mapping[Feature, Step]


def counts(recipe: Recipe, features: Counts) -> Counts:
    """Instructions of each event: (events, len(Instruction))."""
    table = np.array([recipe.get(each, Step()).instructions() for each in Feature], dtype=np.int64)
    return features @ table


def traffic(recipe: Recipe, features: Counts, word_bytes: int) -> Traffic:
    """Bytes of memory the events move, by direction and tensor; an atomic operation on memory reads and writes."""
    moved: dict[tuple[str, str], int] = {}
    totals = features.sum(axis=0)
    for feature, step in recipe.items():
        both = {"counter": step.remote_atomic} if step.remote_atomic else {}
        for kind, words in (("dram.read", {**step.reads, **both}), ("dram.write", {**step.writes, **both})):
            for tensor, count in words.items():
                size = int(totals[feature]) * count * word_bytes
                moved[(kind, tensor)] = moved.get((kind, tensor), 0) + size
    return {key: size for key, size in moved.items() if size}


def merged(*recipes: Recipe) -> Recipe:
    """One recipe, later ones adding to earlier ones step by step."""
    table: dict[Feature, Step] = {}
    for recipe in recipes:
        for feature, step in recipe.items():
            table[feature] = _sum(table[feature], step) if feature in table else step
    return table


def _sum(one: Step, other: Step) -> Step:
    return Step(
        integer=one.integer + other.integer,
        float=one.float + other.float,
        scratchpad=one.scratchpad + other.scratchpad,
        atomic=one.atomic + other.atomic,
        remote_atomic=one.remote_atomic + other.remote_atomic,
        reads={key: one.reads.get(key, 0) + other.reads.get(key, 0) for key in {**one.reads, **other.reads}},
        writes={key: one.writes.get(key, 0) + other.writes.get(key, 0) for key in {**one.writes, **other.writes}},
    )


# What every row-by-row kernel does alike: a row's two pointers; an element's column and value, and the pointers of the
# row of the right operand it meets; a product's column and value.
ROW_BY_ROW: Recipe = {
    Feature.ROW: Step(integer=3, reads={"left": 2}),
    Feature.ELEMENT: Step(integer=3, reads={"left": 2, "right": 2}),
    Feature.PRODUCT: Step(integer=2, float=1, reads={"right": 2}),
    Feature.SEARCH: Step(integer=3, reads={"right": 1}),
}
