"""What a machine is given: the ops of a step, each with what carries it out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rtl.timing import Reduction
from simulator.program import Command, Program
from simulator.timing import Executable
from workloads.op import Op

if TYPE_CHECKING:
    from rtl.core.bound import Bound
    from workloads.sparse.matrix import SparseProduct  # and with it scipy, which few jobs need


class BindsCommands(Protocol):
    """How a product is laid out on its machine: what the core's hardware needs beside the program (`--hil core`)."""

    def bound(self) -> "Iterator[tuple[Command, Bound]]":
        """The commands of the product's program that take cycles, in its order, each with addresses.

        Raises UserError on a machine that is no core.
        """
        ...


@dataclass(frozen=True)
class ArrayPart:
    """What one program of a product asks of a systolic array: `count` products of rows x cols over a reduction.

    `interleave` outputs a PE, in different rows of the product with `share_weights`, otherwise in different columns
    (output stationary); `block` positions a fold (weight stationary). `array_cycles`: the array's own, waits left out.
    """

    dataflow: str
    rows: int
    cols: int
    count: int
    reduction: Reduction
    interleave: int
    share_weights: bool
    block: int
    array_cycles: int


@dataclass(frozen=True)
class Behind:
    """A program with work of later ops behind its own, and what of this is left to be done after it."""

    program: Program
    after: tuple[Program, ...]


@dataclass(frozen=True)
class ScheduledOp:
    """An op and what carries it out, one after the other.

    `dataflow` names the way it is done, `detail` the choices in it. `macs_useful` are multiply-accumulates on kept
    elements and `macs_skipped` those of the dense product that the pattern saves; their sum is the op's. `pes` multiply
    at once; with `pads` a busy cycle of the lead engine multiplies on all of them, whether that is of use or not.
    `last_cycle_index`: cycles are counted from 0, one less than their number. `parts`: for a product on a systolic
    array, what each program does there, and `plans` how it was laid out. `waits`: the tensors whose loads need the op
    before to be done; None where all of the op does (`simulator.overlap`). `behind`: the last program with work of the
    ops after it behind it, which say `is_behind`.
    """

    op: "Op | SparseProduct"
    programs: tuple[Executable, ...]
    dataflow: str
    detail: str
    macs_useful: int = 0
    macs_skipped: int = 0
    pes: int = 0
    pads: bool = True
    last_cycle_index: bool = False
    parts: tuple[ArrayPart, ...] = ()
    plans: tuple[BindsCommands, ...] = field(default=(), repr=False)
    waits: frozenset[str] | None = None
    behind: "Behind | None" = None
    is_behind: bool = False


Schedule = tuple[ScheduledOp, ...]
