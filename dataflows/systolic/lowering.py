"""From an op to the plain products a systolic array carries out, and how much of an image their blocks touch."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod

from dataflows.systolic.banks import Shape
from rtl.timing import Reduction
from simulator.machines.systolic import LoweringSpec, usable_pattern
from workloads.conv import ConvGeometry
from workloads.op import MatrixOp, Phase, Role
from workloads.pattern import DENSE, Pattern


@dataclass(frozen=True)
class Window:
    """A grid of positions over images, each looking at a kernel's extent of a source plane.

    `grid` and `source` are (height, width) or (depth, height, width); position (i, j) reads `extent` elements an axis
    from `step` x (i, j) on. A plain product is a grid of one row, extent and step 1.
    """

    grid: tuple[int, ...]
    source: tuple[int, ...]
    extent: tuple[int, ...] = (1, 1)
    step: tuple[int, ...] = (1, 1)

    def touched(self, axis: int, count: int) -> int:
        """Source lines along one axis that `count` consecutive grid lines look at."""
        step, extent = self.step[axis], self.extent[axis]
        lines = (count - 1) * step + extent if extent >= step else count * extent
        return min(lines, self.source[axis])

    @cached_property
    def image(self) -> int:
        """Elements of one image (of one channel) that are looked at at all."""
        return prod(self.touched(axis, lines) for axis, lines in enumerate(self.grid))

    @cached_property
    def plane(self) -> "Window":
        """What a line of the first axis looks at, along the axes behind it."""
        return Window(self.grid[1:], self.source[1:], self.extent[1:], self.step[1:])

    def elements(self, positions: int) -> int:
        """Elements of one channel that a run of positions touches, wherever it starts: an upper bound.

        Exact for whole images; a run that is no whole number of grid rows is taken to begin inside one. The mappings of
        a product ask for the same few runs thousands of times.
        """
        found = self._known.get(positions)
        if found is None:
            found = self._known[positions] = self._elements(positions)
        return found

    @cached_property
    def _known(self) -> dict[int, int]:
        return {}

    def _elements(self, positions: int) -> int:
        size, line = self.grid[0], prod(self.grid[1:])
        if positions % (size * line) == 0:
            return positions // (size * line) * self.image
        if len(self.grid) == 1:  # asked for runs that divide the line, and so lie inside it
            return self.touched(0, positions)
        if positions < line and line % positions == 0:
            return self.touched(0, 1) * self.plane.elements(positions)
        straddles = positions % line != 0
        rows = -(-positions // line) + straddles
        aligned = not straddles and (size % rows == 0 or rows % size == 0)
        parts = -(-rows // size) + (0 if aligned else 1)
        overlap = max(0, self.extent[0] - self.step[0])
        lines = rows * min(self.step[0], self.extent[0]) + min(parts, rows) * overlap
        whole = min(lines, parts * self.touched(0, size)) * self.plane.image
        # Of a plane of one axis whole lines are counted; of two axes that would be far too many for a few positions.
        return whole if len(self.grid) == 2 else min(whole, self.touched(0, 1) * self.plane.elements(positions))


@dataclass(frozen=True)
class Product:
    """`count` products of rows x inner (left) by inner x cols (right), the right one with a grouped pattern or dense.

    `reduction` has n = m = 1 where the right operand is dense: its group depth is the schedule's to choose.
    `window` tells how many source elements (a channel) the positions touch; they run along the rows, or along the
    reduction where `positions_inner`. `channels` are the source's. `transposed` operands were packed along the other
    axis; groups of weights `across_outputs` lie along output channels. `final_bytes` are those of a result in DRAM.
    """

    rows: int
    cols: int
    count: int
    reduction: Reduction
    pattern: Pattern
    window: Window
    channels: int
    positions_inner: bool
    transposed: bool
    across_outputs: bool
    left: str
    right: str
    output: str
    final_bytes: int

    @property
    def inner(self) -> int:
        return self.reduction.segments * self.reduction.length

    @property
    def macs_kept(self) -> int:
        """Multiply-accumulates on kept elements, over all `count` products."""
        return self.count * self.rows * self.cols * self.reduction.kept

    def renamed(self, left: str, right: str, output: str, across_outputs: bool) -> "Product":
        """The same product of other tensors, packed along the same or the other direction of the weight."""
        return replace(self, left=left, right=right, output=output, across_outputs=across_outputs)

    def left_elements(self, rows: int, inner: int) -> int:
        """Distinct elements of the left operand in a block of it."""
        positions, other = (inner, rows) if self.positions_inner else (rows, inner)
        return min(positions * other, self.window.elements(positions) * self.channels)

    def left_shape(self, rows: int, inner: int) -> Shape:
        """How these elements lie: lines along the product's rows, or those of the image where that has fewer."""
        positions, other = (inner, rows) if self.positions_inner else (rows, inner)
        touched = self.window.elements(positions)
        if positions * other <= touched * self.channels:
            return Shape(rows, inner, False)
        return Shape(self.channels, touched, True) if self.positions_inner else Shape(touched, self.channels, True)


@lru_cache(maxsize=4096)
def lower(op: MatrixOp, how: LoweringSpec, operand_bytes: int, gradient_bytes: int) -> tuple[Product, ...]:
    """The products of an op: one, or one for each stride class of a strided convolution's input gradient.

    Raises UserError for a pattern an n:m array cannot use.
    """
    products = _lowered(op, how, operand_bytes, gradient_bytes)
    return products if how.im2col == "implicit" else tuple(map(_explicit, products))


def _lowered(op: MatrixOp, how: LoweringSpec, operand_bytes: int, gradient_bytes: int) -> tuple[Product, ...]:
    pattern = usable_pattern(op)
    if op.phase is Phase.WU:
        return (_weight_gradient(op, how, gradient_bytes),)
    if op.geometry is None:
        window = Window((1, op.rows), (1, op.rows))
        return (_product(op, op.rows, 1, op.inner, window, pattern, how, operand_bytes),)
    if op.form is Phase.BP:
        return _input_gradient(op, op.geometry, how, pattern, operand_bytes)
    window = _forward_window(op.geometry)
    length = op.inner // op.geometry.taps
    return (_product(op, op.rows, op.geometry.taps, length, window, pattern, how, operand_bytes),)


def _explicit(product: Product) -> Product:
    """A product whose left operand lies in DRAM as a matrix, whatever it was made from."""
    positions, channels = (product.inner, product.rows) if product.positions_inner else (product.rows, product.inner)
    return replace(product, window=Window((1, positions), (1, positions)), channels=channels)


def _forward_window(geometry: ConvGeometry) -> Window:
    return Window(geometry.output_size, geometry.input_size, geometry.reach, geometry.stride)


def _input_gradient(
    op: MatrixOp, geometry: ConvGeometry, how: LoweringSpec, pattern: Pattern, operand_bytes: int
) -> tuple[Product, ...]:
    length, ones = op.inner // geometry.taps, (1,) * len(geometry.kernel)
    if not how.skip_stride_zeros:
        window = Window(geometry.input_size, geometry.output_size, geometry.reach, ones)
        return (_product(op, op.rows, geometry.taps, length, window, pattern, how, operand_bytes),)
    products = []
    for each in geometry.stride_classes():
        window = Window(each.grid, geometry.output_size, each.reach, ones)
        rows = op.images * each.positions
        products.append(_product(op, rows, each.taps, length, window, pattern, how, operand_bytes))
    return tuple(products)


def _product(
    op: MatrixOp, rows: int, taps: int, length: int, window: Window, pattern: Pattern, how: LoweringSpec, size: int
) -> Product:
    n, m = (pattern.n, pattern.m) if pattern.is_grouped else (1, 1)
    whole = how.groups == "flattened" or pattern.is_dense
    reduction = Reduction(1, taps * length, n, m) if whole else Reduction(taps, length, n, m)
    return Product(
        rows=rows,
        cols=op.cols,
        count=op.count,
        reduction=reduction,
        pattern=pattern,
        window=window,
        channels=length,
        positions_inner=False,
        transposed=False,
        across_outputs=op.phase is Phase.BP and op.right.role is Role.WEIGHT,
        left=op.left.role.value,
        right=op.right.role.value,
        output="activation" if op.phase is Phase.FF else "gradient",
        final_bytes=size,
    )


def _weight_gradient(op: MatrixOp, how: LoweringSpec, gradient_bytes: int) -> Product:
    geometry = op.geometry
    window = _forward_window(geometry) if geometry else Window((1, op.inner), (1, op.inner))
    channels = op.rows // geometry.taps if geometry else op.rows
    swap = how.exchange_wu
    return Product(
        rows=op.cols if swap else op.rows,
        cols=op.rows if swap else op.cols,
        count=op.count,
        reduction=Reduction(1, op.inner, 1, 1),
        pattern=DENSE,
        window=Window((1, op.inner), (1, op.inner)) if swap else window,
        channels=op.cols if swap else channels,
        positions_inner=True,
        transposed=True,
        across_outputs=False,
        left=(op.right if swap else op.left).role.value,
        right=(op.left if swap else op.right).role.value,
        output="weight-gradient",
        final_bytes=gradient_bytes,
    )
