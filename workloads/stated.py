"""Workloads a user states: products on the command line, or layers in a topology file of SCALE-Sim.

A stated layer is a weight layer: its FF product gives BP, WU and UP. The first layer of a topology reads the
network's input, which needs no gradient, so it has no BP.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workloads.conv import ConvGeometry
from workloads.errors import UserError
from workloads.files.limits import LIMITS, Limits
from workloads.files.reading import MIB, read_text
from workloads.op import MatrixOp, Op, Operand, Optimizer, Phase, Role, VectorKind, VectorOp, name_fault
from workloads.pattern import DENSE, parse_pattern
from workloads.workload import Capture, Mode, Workload

CONV_COLUMNS = ("IFMAP Height", "IFMAP Width", "Filter Height", "Filter Width", "Channels", "Num Filter", "Strides")
GEMM_COLUMNS = ("M", "N", "K")
LARGEST = 2**31
OPS_A_LAYER = 4
BLANK = re.compile(r"[\s,]*")
Rows = list[tuple[int, list[str]]]  # lines of a file that say something, with their numbers


def from_gemms(texts: Sequence[str], optimizer: Optimizer = Optimizer.MOMENTUM, limits: Limits = LIMITS) -> Workload:
    """Products given as `rows x cols x inner`, such as 3136x64x576. Raises UserError for anything else."""
    limits.check("ops", OPS_A_LAYER * len(texts), "a step of so many --gemm")
    layers = []
    for number, text in enumerate(texts):
        found = re.fullmatch(r"([0-9]{1,10})x([0-9]{1,10})x([0-9]{1,10})", text.strip().lower())
        sizes = [int(size) for size in found.groups()] if found else []
        if not sizes or min(sizes) < 1 or max(sizes) >= LARGEST:
            raise UserError(f"--gemm {text}: write ROWSxCOLSxINNER with whole numbers above 0, such as 3136x64x576")
        layers.append(_product_layer(f"gemm{number}", sizes[0], sizes[1], sizes[2]))
    return _workload("+".join(texts), "--gemm", layers, optimizer, batch=1, reads_input=False)


def from_topology(
    path: Path, batch: int = 1, optimizer: Optimizer = Optimizer.MOMENTUM, limits: Limits = LIMITS
) -> Workload:
    """Layers of a topology file in SCALE-Sim's convolution or GEMM format.

    Convolutions are padded already, as that format has it: the output is ceil((size - filter) / stride) + 1. A column
    `Sparsity` may hold n:m. Raises UserError with file and line.
    """
    rows = _rows(path, limits)
    if len(rows) < 2:
        raise UserError(f"{path}: holds no layers; a topology has a header line and a line a layer")
    gemm = _is_gemm(f"{path}:{rows[0][0]}", rows[0][1])
    _check_names(path, rows[1:])
    layers = [_layer(f"{path}:{number}", cells, gemm, batch) for number, cells in rows[1:]]
    return _workload(path.stem, f"topology {path.name}", layers, optimizer, batch, reads_input=True)


def _rows(path: Path, limits: Limits) -> Rows:
    text = read_text(path, "a topology is CSV", limits.file_mib * MIB, "file_mib")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
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


def _is_gemm(place: str, header: list[str]) -> bool:
    """Which of the two formats a header line announces. Raises UserError where it announces neither."""
    said = [" ".join(cell.lower().split()) for cell in header[1 : 1 + len(CONV_COLUMNS)]]
    for columns, gemm in ((GEMM_COLUMNS, True), (CONV_COLUMNS, False)):
        if said[: len(columns)] == [column.lower() for column in columns]:
            return gemm
    raise UserError(
        f"{place}: not a header; the first line names the columns: Layer name, {', '.join(CONV_COLUMNS)}; "
        f"or Layer, {', '.join(GEMM_COLUMNS)}"
    )


def _check_names(path: Path, rows: Rows) -> None:
    seen: dict[str, int] = {}
    for number, cells in rows:
        if not cells[0]:
            raise UserError(f"{path}:{number}: a layer needs a name")
        if wrong := name_fault(cells[0]):
            raise UserError(f"{path}:{number}: {wrong}")
        if cells[0] in seen:
            raise UserError(f"{path}:{number}: layer '{cells[0]}' is there already, in line {seen[cells[0]]}")
        seen[cells[0]] = number


def _layer(place: str, cells: list[str], gemm: bool, batch: int) -> list[MatrixOp]:
    filled = max((place for place, cell in enumerate(cells, 1) if cell), default=0)  # a line may end in commas
    cells = cells[:filled]
    columns = GEMM_COLUMNS if gemm else CONV_COLUMNS
    pattern = DENSE
    if len(cells) == len(columns) + 2 and ":" in cells[-1]:
        pattern = parse_pattern(cells[-1], f"{place}: Sparsity")
        cells = cells[:-1]
    if len(cells) != len(columns) + 1:
        raise UserError(
            f"{place}: {len(cells)} fields where a layer has {len(columns) + 1}: Layer name, {', '.join(columns)}"
        )
    sizes = []
    for column, cell in zip(columns, cells[1:], strict=True):
        if not re.fullmatch("[0-9]{1,10}", cell) or not 0 < int(cell) < LARGEST:
            raise UserError(f"{place}: {column}: '{cell}' is not a whole number above 0")
        sizes.append(int(cell))
    if gemm:
        layer = _product_layer(cells[0], batch * sizes[0], sizes[1], sizes[2])
    else:
        layer = _conv_layer(place, cells[0], sizes, batch)
    forward, *backward = layer
    return [replace(forward, right=replace(forward.right, pattern=pattern)), *backward]


def _product_layer(name: str, rows: int, cols: int, inner: int) -> list[MatrixOp]:
    given, weight, gradient = _operands(name)
    return [
        MatrixOp(name, Phase.FF, rows, inner, cols, given, weight),
        MatrixOp(name, Phase.BP, rows, cols, inner, gradient, weight),
        MatrixOp(name, Phase.WU, inner, rows, cols, given, gradient),
    ]


def _conv_layer(place: str, name: str, sizes: list[int], images: int) -> list[MatrixOp]:
    height, width, kernel_h, kernel_w, channels, filters, stride = sizes
    if kernel_h > height or kernel_w > width:
        raise UserError(f"{place}: the filter {kernel_h}x{kernel_w} is larger than the input {height}x{width}")
    if stride > max(height, width):
        raise UserError(f"{place}: Strides: {stride} is more than the input {height}x{width}")
    out_h, out_w = -(-(height - kernel_h) // stride) + 1, -(-(width - kernel_w) // stride) + 1
    reach = ((out_h - 1) * stride + kernel_h, (out_w - 1) * stride + kernel_w)
    geometry = ConvGeometry(channels, filters, (kernel_h, kernel_w), (stride, stride), (0, 0), reach)
    if wrong := geometry.fault():
        raise UserError(f"{place}: {wrong}")
    given, weight, gradient = _operands(name)
    outputs, inputs, taps = images * out_h * out_w, images * geometry.input_positions, geometry.taps
    sizes_of = {
        Phase.FF: (outputs, taps * channels, filters, given, weight),
        Phase.BP: (inputs, taps * filters, channels, gradient, weight),
        Phase.WU: (taps * channels, outputs, filters, given, gradient),
    }
    return [
        MatrixOp(name, phase, rows, inner, cols, left, right, geometry=geometry, images=images)
        for phase, (rows, inner, cols, left, right) in sizes_of.items()
    ]


def _operands(name: str) -> tuple[Operand, Operand, Operand]:
    return (
        Operand(f"{name}.input", Role.ACTIVATION),
        Operand(f"{name}.weight", Role.WEIGHT),
        Operand(f"{name}.output.grad", Role.GRADIENT),
    )


def _workload(
    name: str,
    source: str,
    layers: Sequence[Sequence[MatrixOp]],
    optimizer: Optimizer,
    batch: int,
    reads_input: bool,
) -> Workload:
    forward = [layer[0] for layer in layers]
    backward: list[Op] = []
    for number, (_, input_gradient, weight_gradient) in reversed(list(enumerate(layers))):
        backward.extend([weight_gradient] if reads_input and number == 0 else [input_gradient, weight_gradient])
    weights = {op.layer: op.inner * op.cols * op.count for op in forward}
    states = 2 + optimizer.states
    updates = [
        VectorOp(layer, Phase.UP, VectorKind.UPDATE, size, size * states, size * (states - 1), optimizer=optimizer)
        for layer, size in weights.items()
    ]
    sparse = any(not op.right.pattern.is_dense for op in forward)
    return Workload(
        model=name,
        method="stated" if sparse else "dense",
        pattern="stated" if sparse else "dense",
        batch=batch,
        sequence=1,
        mode=Mode.TRAINING,
        ops=(*forward, *backward, *updates),
        parameters=sum(weights.values()),
        saved_elements=sum(_input_elements(op) for op in forward),
        kept_dense=(),
        capture=Capture(source=source, shapes="stated by the user"),
    )


def _input_elements(op: MatrixOp) -> int:
    if op.geometry is None:
        return op.rows * op.inner * op.count
    return op.images * op.geometry.input_positions * op.geometry.in_channels
