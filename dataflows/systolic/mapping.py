"""One way of carrying out a product, and what it is called in a result."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from dataflows.systolic.lowering import Product
from dataflows.systolic.target import Target
from rtl.timing import Reduction
from simulator.program import Command, Program
from simulator.schedule import ArrayPart

if TYPE_CHECKING:
    from rtl.core.bound import Bound
    from rtl.formats import Bits, Packed
    from rtl.parameters import Parameters
    from simulator.hil.cut import Cut


@dataclass(frozen=True)
class Mapping:
    """`depth` is the group depth (kept weights a group); `shared` what interleaved outputs of a PE have in common.

    `order` is the outer loop; `resident` what stays on chip over the inner one; `block` positions a weight-stationary
    fold streams; `inline` weights are made sparse on the way in.
    """

    depth: int
    interleave: int = 1
    shared: str = ""
    order: str = ""
    resident: str = ""
    block: int = 0
    pieces: int = 0
    inline: bool = False

    def describe(self) -> str:
        """The choices in a line, those that do not apply left out."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return " ".join(f"{name}={value}" for name, value in said.items() if value)


class Plan(Protocol):
    """A mapping that fits the machine. Its program is written only when it is asked for."""

    def mapping(self) -> Mapping: ...

    def floor_cycles(self) -> int:
        """Cycles the array alone takes: no run of the program is shorter."""
        ...

    def least_cycles(self) -> int:
        """A closer floor: also what must come before and after the array's work; what DRAM, SORE, transposer do."""
        ...

    def least_bytes(self) -> int:
        """A floor of the bytes between DRAM and chip."""
        ...

    def inlined(self) -> "Plan | None":
        """The same with weights made sparse on the way in; None where that does not fit."""
        ...

    def renamed(self, product: Product) -> "Plan":
        """The same of a product alike but for its tensors and, where packed, the direction of its groups."""
        ...

    def program(self) -> Program: ...

    def bound(self) -> "Iterator[tuple[Command, Bound]]":
        """The commands of its program that take cycles, each with what the core's hardware does for it.

        Raises UserError on a machine that is no core.
        """
        ...


class Plans(Protocol):
    """Mappings alike but for the size of their blocks, without those that cannot be shorter than `limit` cycles."""

    def __call__(self, limit: int | None = None) -> Iterator[Plan]: ...


class Family(NamedTuple):
    """Mappings that are made to fit together. `usual`: what a controller takes that chooses nothing."""

    plans: Plans
    usual: bool = False


class Draft(NamedTuple):
    """Families of mappings none of which is shorter than `floor_cycles`; made only when that is worth it.

    `families(inline)`: whether weights are made sparse on the way in. The array is as busy either way.
    """

    floor_cycles: int
    families: Callable[[bool], Iterator[Family]]


class Dataflow(ABC):
    """A compiler from a product to programs, all of which give the same sums in the same order.

    `name` is what it is registered as. `is_default`: it is taken where the planner is not allowed to choose
    (`schedule.offline: false`).
    """

    name: ClassVar[str]
    is_default: ClassVar[bool] = False

    @abstractmethod
    def drafts(self, target: Target, product: Product) -> Iterator[Draft]:
        """Families of mappings of a product on a machine; fewer where the machine's memories are small."""

    @abstractmethod
    def tile_extent(self, part: ArrayPart, p: "Parameters") -> tuple[int, int]:
        """Rows and columns of a tile for hardware in the loop (`--hil`), on an array of these parameters, at most."""

    @abstractmethod
    def cut(self, part: ArrayPart, p: "Parameters", left: "Bits", right: "Packed", reduction: Reduction) -> "Cut":
        """The runs of the array for such a tile, and what each has to give, as `simulator.hil.cut.CutsTiles` says."""
