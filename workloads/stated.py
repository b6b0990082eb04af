"""Workloads a user states: products on the command line, or layers in a file (`workloads.topology`).

A stated layer is a weight layer: its FF product gives BP, WU and UP.
"""

import re
from collections.abc import Sequence

from workloads.errors import UserError
from workloads.files.limits import LIMITS, Limits
from workloads.op import MatrixOp, Op, Operand, Optimizer, Phase, Role, VectorKind, VectorOp
from workloads.workload import Capture, Mode, Workload

LARGEST = 2**31
OPS_A_LAYER = 4


def from_gemms(texts: Sequence[str], optimizer: Optimizer = Optimizer.MOMENTUM, limits: Limits = LIMITS) -> Workload:
    """Products given as `rows x cols x inner`, such as 3136x64x576. Raises UserError for anything else."""
    limits.check("ops", OPS_A_LAYER * len(texts), "a step of so many --gemm")
    layers = []
    for number, text in enumerate(texts):
        found = re.fullmatch(r"([0-9]{1,10})x([0-9]{1,10})x([0-9]{1,10})", text.strip().lower())
        sizes = [int(size) for size in found.groups()] if found else []
        if not sizes or min(sizes) < 1 or max(sizes) >= LARGEST:
            raise UserError(f"--gemm {text}: write ROWSxCOLSxINNER with whole numbers above 0, such as 3136x64x576")
        layers.append(product_layer(f"gemm{number}", sizes[0], sizes[1], sizes[2]))
    return stated_workload("+".join(texts), "--gemm", layers, optimizer, batch=1, reads_input=False)


def product_layer(name: str, rows: int, cols: int, inner: int) -> list[MatrixOp]:
    """FF, BP and WU of a linear layer."""
    given, weight, gradient = operands_of(name)
    return [
        MatrixOp(name, Phase.FF, rows, inner, cols, given, weight),
        MatrixOp(name, Phase.BP, rows, cols, inner, gradient, weight),
        MatrixOp(name, Phase.WU, inner, rows, cols, given, gradient),
    ]


def operands_of(name: str) -> tuple[Operand, Operand, Operand]:
    """Input, weight and output gradient of a layer."""
    return (
        Operand(f"{name}.input", Role.ACTIVATION),
        Operand(f"{name}.weight", Role.WEIGHT),
        Operand(f"{name}.output.grad", Role.GRADIENT),
    )


def stated_workload(
    name: str,
    source: str,
    layers: Sequence[Sequence[MatrixOp]],
    optimizer: Optimizer,
    batch: int,
    reads_input: bool,
) -> Workload:
    """A training step of layers, each its FF, BP and WU. reads_input: the first one's input needs no gradient."""
    forward = [layer[0] for layer in layers]
    backward: list[Op] = []
    for number, (_, input_gradient, weight_gradient) in reversed(list(enumerate(layers))):
        backward.extend([weight_gradient] if reads_input and number == 0 else [input_gradient, weight_gradient])
    weights = {op.layer: op.inner * op.cols * op.count for op in forward}
    updates = [update_of(layer, size, optimizer) for layer, size in weights.items()]
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


def update_of(layer: str, size: int, optimizer: Optimizer) -> VectorOp:
    """The update of so many weights: each, its gradient and its states are read, all but the gradient written."""
    states = 2 + optimizer.states
    return VectorOp(layer, Phase.UP, VectorKind.UPDATE, size, size * states, size * (states - 1), optimizer=optimizer)


def _input_elements(op: MatrixOp) -> int:
    if op.geometry is None:
        return op.rows * op.inner * op.count
    return op.images * op.geometry.input_positions * op.geometry.in_channels
