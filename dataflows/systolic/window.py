"""How many elements of an image a run of consecutive positions touches: what has to come on chip for a block."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Window:
    """A grid of positions over images, each looking at a kernel's extent of a source plane.

    `grid` and `source` are (height, width); position (i, j) reads `extent` elements an axis from `step` x (i, j) on.
    A plain product is a grid of one row, extent and step 1.
    """

    grid: tuple[int, int]
    source: tuple[int, int]
    extent: tuple[int, int] = (1, 1)
    step: tuple[int, int] = (1, 1)

    def touched(self, axis: int, count: int) -> int:
        """Source lines along one axis that `count` consecutive grid lines look at."""
        step, extent = self.step[axis], self.extent[axis]
        lines = (count - 1) * step + extent if extent >= step else count * extent
        return min(lines, self.source[axis])

    @cached_property
    def image(self) -> int:
        """Elements of one image (of one channel) that are looked at at all."""
        return self.touched(0, self.grid[0]) * self.touched(1, self.grid[1])

    def elements(self, positions: int) -> int:
        """Elements of one channel that a run of positions touches, wherever it starts: an upper bound.

        Exact for whole images; a run that is no whole number of grid rows is taken to begin inside one.
        """
        height, width = self.grid
        if positions % (height * width) == 0:
            return positions // (height * width) * self.image
        if positions < width and width % positions == 0:
            return self.touched(0, 1) * self.touched(1, positions)
        straddles = positions % width != 0
        rows = -(-positions // width) + straddles
        aligned = not straddles and (height % rows == 0 or rows % height == 0)
        parts = -(-rows // height) + (0 if aligned else 1)
        overlap = max(0, self.extent[0] - self.step[0])
        lines = rows * min(self.step[0], self.extent[0]) + min(parts, rows) * overlap
        return min(lines, parts * self.touched(0, height)) * self.touched(1, width)
