"""What a core is asked for and carries out, for whoever has no simulator: words for queues, DRAM before and after."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl.core.core import CoreLayout
from rtl.core.pushing import Push
from rtl.core.registers import DEPTH
from workloads.registry import DESIGNS, load_entry


@final
@dataclass(frozen=True)
class CoreAsked:
    """A core of so many rows and columns, and sizes of its memories in KiB; what is None is as usual.

    pattern: n:m, the largest group and what its programs keep. depth: weights a PE holds. queue: words of a queue.
    optimizer: of the update engine; '' for a core without one. wuve_kib: its memory.
    """

    pattern: str = "2:8"
    rows: int = 4
    cols: int = 4
    form: str = "fp16"
    west_kib: float = 4
    north_kib: float = 2
    output_kib: float = 2
    raw_kib: float = 2
    wuve_kib: float = 8
    optimizer: str = ""
    queue: int = DEPTH
    depth: int | None = None
    accumulators: int | None = None
    multiplier_latency: int | None = None
    adder_latency: int | None = None


@final
@dataclass(frozen=True, eq=False)
class CoreProgram:
    """A product. pushes: in the order of `rtl.core.pushing`. memory: (words,) of DRAM before, from address 0 on.

    results: (words, 3) byte address, the bits that count, and their values, of all that is stored.
    """

    title: str
    pushes: tuple[Push, ...]
    memory: NDArray[np.uint64]
    results: NDArray[np.uint64]

    def wrong(self, memory: NDArray[np.uint64]) -> int:
        """How many words of results are not as they should be in DRAM afterwards."""
        address, mask, value = self.results.T
        return int((((memory[address // 8] ^ value) & mask) != 0).sum())


@final
@dataclass(frozen=True, eq=False)
class CoreDesign:
    """A core and programs for it, whose DRAM is the same."""

    layout: CoreLayout
    programs: tuple[CoreProgram, ...]

    def memory(self) -> NDArray[np.uint64]:
        """(words,) of DRAM before the first of them, and room for what all of them leave."""
        return np.concatenate([program.memory for program in self.programs])


def core_design(asked: CoreAsked) -> CoreDesign:
    """The core that is asked for, with programs from whoever plans them. Raises UserError where there cannot be one."""
    made = load_entry(DESIGNS, "design", "core")(asked)
    assert isinstance(made, CoreDesign)
    return made
