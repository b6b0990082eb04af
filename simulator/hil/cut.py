"""What a dataflow does for hardware in the loop: cut a tile into runs of the array, and say what each has to give."""

from dataclasses import dataclass
from typing import Protocol

from rtl.formats import Bits, Packed
from rtl.parameters import Parameters
from rtl.tiles import Tile
from rtl.timing import Reduction
from simulator.schedule import ArrayPart


@dataclass(frozen=True)
class Expected:
    """What a run has to give. product: (rows, cols) bit patterns, None where sums stay inside."""

    product: Bits | None
    cycles: int
    compute: int


@dataclass(frozen=True)
class Cut:
    """A tile as runs of the array, one after the other, with what to expect of each.

    `cycles`: what the machine model says of all together, from the whole reduction at once.
    """

    tiles: tuple[Tile, ...]
    expected: tuple[Expected, ...]
    cycles: int


class CutsTiles(Protocol):
    """The part of a dataflow that hardware in the loop needs; `dataflows.systolic.mapping.Dataflow` has it."""

    def tile_extent(self, part: ArrayPart, p: Parameters) -> tuple[int, int]:
        """Rows and columns of a tile on an array of these parameters, at most."""
        ...

    def cut(self, part: ArrayPart, p: Parameters, left: Bits, right: Packed, reduction: Reduction) -> Cut:
        """The runs of a tile. left: (rows, elements), right: packed weights of its columns, over the reduction."""
        ...
