"""The array as compiled RTL in this process."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl import compiled_lanes
from rtl.compiled_array import CompiledArray
from rtl.formats import Bits
from rtl.hardware import Answer, Hardware, LinkFigures, Unconfirmed
from rtl.parameters import Parameters
from rtl.sore_parameters import SoreParameters
from rtl.tiles import Tile
from rtl.update import UpdateParameters


@final
class InProcess(Hardware):
    """The array alone, compiled, without controller and link."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._array = CompiledArray(parameters)

    def run(self, chain: Sequence[Tile]) -> list[Answer]:
        try:
            done = [self._array.run(tile) for tile in chain]
        except TimeoutError as error:
            raise Unconfirmed(str(error)) from None
        return [Answer(each.product, each.counters) for each in done]

    def fits(self, tile: Tile) -> bool:
        return True  # words go in as there is room

    def top_n(self, values: Bits, n: int, m: int) -> tuple[Bits, NDArray[np.integer]]:
        return compiled_lanes.top_n(SoreParameters(self.parameters.operand, n, m), values, n, m)

    def updated(
        self, lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]
    ) -> dict[str, Bits]:
        return compiled_lanes.updated(lane, fields, constants)

    def figures(self) -> LinkFigures:
        return LinkFigures()

    def close(self) -> None:
        """Nothing to let go of."""
