"""Layers in a topology file, as SCALE-Sim ships and reads them.

The first line names the columns, of convolutions or of products (M, N, K); a layer has a line. Convolutions are padded
already, as that format has it: the output is ceil((size - filter) / stride) + 1. A layer with DP in its name is
depth-wise: `Num Filter` filters for each of its channels. What begins with # is a remark. A stride may have two
numbers, a column `Sparsity` n:m, a column `Batch Size` a number; `Target`, and the sizes of outputs that some files
have beside their layers, say nothing new. The same name again gets a number. Anything else is refused with line and
cell.

The first layer reads the network's input, which needs no gradient, so it has no BP.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

from workloads.conv import ConvGeometry
from workloads.errors import UserError
from workloads.files.limits import LIMITS, TAPS, Limits
from workloads.files.reading import MIB, read_text
from workloads.op import MatrixOp, Optimizer, Phase, convolution_sizes, name_fault
from workloads.pattern import DENSE, parse_pattern
from workloads.stated import LARGEST, OPS_A_LAYER, operands_of, product_layer, stated_workload
from workloads.workload import Workload

CONV = ("IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides")
GEMM = ("M", "N", "K")
STRIDES = (("Stride Height", "Stride Width"), ("Stride H", "Stride W"))  # in the place of Strides
SPARSITY, BATCH = "Sparsity", "Batch Size"
NONE = ""  # a column without a name
SAID_ALREADY = ("Target", "Eh", "Ew", "e2")
DEPTHWISE = "DP"
REMARK = re.compile(r"(?:^|(?<=[,\s]))#.*")  # in a cell of its own: a name may have a #
BLANK = re.compile(r"[\s,]*")
Rows = list[tuple[int, list[str]]]  # lines of a file that say something, with their numbers


@dataclass(frozen=True)
class Columns:
    """What the cells after a layer's name are. sizes: those of CONV or GEMM, the strides apart. more: those behind."""

    gemm: bool
    sizes: tuple[str, ...]
    more: tuple[str, ...]

    @property
    def names(self) -> str:
        return ", ".join(("Layer name", *self.sizes))


def from_topology(
    path: Path, batch: int = 1, optimizer: Optimizer = Optimizer.MOMENTUM, limits: Limits = LIMITS
) -> Workload:
    """The layers of a topology file as a training step. Raises UserError with file and line."""
    rows = _rows(path, limits)
    if len(rows) < 2:
        raise UserError(f"{path}: holds no layers; a topology has a header line and a line a layer")
    columns = _columns(f"{path}:{rows[0][0]}", rows[0][1])
    names = _names(path, rows[1:])
    layers = [
        _layer(f"{path}:{number}", name, cells, columns, batch)
        for name, (number, cells) in zip(names, rows[1:], strict=True)
    ]
    return stated_workload(path.stem, f"topology {path.name}", layers, optimizer, batch, reads_input=True)


def _rows(path: Path, limits: Limits) -> Rows:
    text = read_text(path, "a topology is CSV", limits.file_mib * MIB, "file_mib")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [REMARK.sub("", line) for line in lines]
    if "," not in lines[0]:
        lines = [line.replace("\t", ",") for line in lines]
    said = sum(not BLANK.fullmatch(line) for line in lines)
    limits.check("ops", OPS_A_LAYER * (said - 1), f"{path}: a step of so many layers")
    rows, reader = [], csv.reader(f"{line}\n" for line in lines)
    try:
        for line in reader:
            cells = [cell.strip() for cell in line]
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}; a topology is CSV") from None
    return rows


def _same(said: str, column: str) -> bool:
    """Whether a header's cell names a column, in any case, one or many."""
    return [word.rstrip("s") for word in said.lower().split()] == [word.rstrip("s") for word in column.lower().split()]


def _columns(place: str, header: list[str]) -> Columns:
    """What a header line announces. Raises UserError where it announces nothing, or a column that is not known."""
    said = header[1:]
    if len(said) > 1 and _same(said[0], CONV[1]) and _same(said[1], CONV[1]):  # as some files have it, width twice
        said[0] = CONV[0]
    known = [GEMM, CONV, *((*CONV[:-1], *both) for both in STRIDES)]
    sizes = next((each for each in known if len(said) >= len(each) and all(map(_same, said, each))), None)
    if sizes is None:
        raise UserError(
            f"{place}: not a header; the first line names the columns: Layer name, {', '.join(CONV)}; "
            f"or Layer, {', '.join(GEMM)}"
        )
    more = []
    for number, cell in enumerate(said[len(sizes) :], len(sizes) + 2):
        name = next((each for each in (SPARSITY, BATCH, NONE, *SAID_ALREADY) if _same(cell, each)), None)
        if name is None:
            raise UserError(
                f"{place}: column {number} is '{cell}'; behind the sizes there may be {SPARSITY}, {BATCH} and Target"
            )
        more.append(name)
    while more and more[-1] == NONE:  # a line may end in commas
        more.pop()
    return Columns(sizes is GEMM, sizes, tuple(more))


def _names(path: Path, rows: Rows) -> list[str]:
    """A name a layer, each once: a second conv is conv_2."""
    given = [cells[0] for _, cells in rows]
    taken, names = set(given), []
    times: dict[str, int] = {}
    for (number, _), name in zip(rows, given, strict=True):
        if not name:
            raise UserError(f"{path}:{number}: a layer needs a name")
        if wrong := name_fault(name):
            raise UserError(f"{path}:{number}: {wrong}")
        times[name] = times.get(name, 0) + 1
        while times[name] > 1 and f"{name}_{times[name]}" in taken:
            times[name] += 1
        names.append(name if times[name] == 1 else f"{name}_{times[name]}")
        taken.add(names[-1])
    return names


def _layer(place: str, name: str, cells: list[str], columns: Columns, batch: int) -> list[MatrixOp]:
    said, strides = list(columns.sizes), 2 if len(columns.sizes) > len(CONV) else 1
    values, behind = cells[1 : 1 + len(said)], cells[1 + len(said) :]
    if not columns.gemm and strides == 1 and not columns.more and behind[:1] and behind[0].isdigit():
        said, strides = [*said, "Strides"], 2  # the width's, which the header has no column for
        values, behind = [*values, behind[0]], behind[1:]
    if len(values) < len(said) or not values[-1]:
        there = 1 + sum(bool(cell) for cell in values)
        fields = "1 field" if there == 1 else f"{there} fields"
        raise UserError(f"{place}: {fields} where a layer has {len(said) + 1}: {columns.names}")
    sizes = [_number(place, column, cell) for column, cell in zip(said, values, strict=True)]
    pattern, images = DENSE, batch
    for number, cell in enumerate(behind):
        column = columns.more[number] if number < len(columns.more) else SPARSITY if ":" in cell else NONE
        if not cell or column in SAID_ALREADY:
            continue
        if column == SPARSITY:
            pattern = parse_pattern(cell, f"{place}: Sparsity")
        elif column == BATCH:
            images = batch * _number(place, BATCH, cell)
        else:
            which = f"cell {len(said) + 2 + number} is '{cell}'"
            raise UserError(f"{place}: {which}, behind the last column: {columns.names}")
    if columns.gemm:
        forward, *backward = product_layer(name, images * sizes[0], sizes[1], sizes[2])
    else:
        stride = (sizes[6], sizes[6 + strides - 1])
        forward, *backward = _conv_layer(place, name, sizes[:6], stride, images, DEPTHWISE in cells[0])
    return [replace(forward, right=replace(forward.right, pattern=pattern)), *backward]


def _number(place: str, column: str, cell: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", cell) or not 0 < int(cell) < LARGEST:
        raise UserError(f"{place}: {column}: '{cell}' is not a whole number above 0")
    return int(cell)


def _conv_layer(
    place: str, name: str, sizes: Sequence[int], stride: tuple[int, int], images: int, depthwise: bool
) -> list[MatrixOp]:
    height, width, kernel_h, kernel_w, channels, filters = sizes
    if kernel_h > height or kernel_w > width:
        raise UserError(f"{place}: the filter {kernel_h}x{kernel_w} is larger than the input {height}x{width}")
    if max(stride) > max(height, width):
        raise UserError(f"{place}: Strides: {max(stride)} is more than the input {height}x{width}")
    out_h, out_w = ceil((height - kernel_h) / stride[0]) + 1, ceil((width - kernel_w) / stride[1]) + 1
    apart = (out_h == 1 or kernel_h <= stride[0]) and (out_w == 1 or kernel_w <= stride[1])
    if kernel_h * kernel_w > TAPS and apart and not depthwise:  # a product, written as a convolution
        return product_layer(name, images * out_h * out_w, filters, kernel_h * kernel_w * channels)
    reach = ((out_h - 1) * stride[0] + kernel_h, (out_w - 1) * stride[1] + kernel_w)
    groups = channels if depthwise else 1
    geometry = ConvGeometry(channels, filters * groups, (kernel_h, kernel_w), stride, (0, 0), reach, groups=groups)
    if wrong := geometry.fault():
        raise UserError(f"{place}: {wrong}")
    given, weight, gradient = operands_of(name)
    operands = {Phase.FF: (given, weight), Phase.BP: (gradient, weight), Phase.WU: (given, gradient)}
    return [
        MatrixOp(name, phase, *convolution_sizes(geometry, phase, images), left, right, groups, geometry, images)
        for phase, (left, right) in operands.items()
    ]
