"""A job on a fabric: sparse matrices multiplied, or the blocks that stand for the ops of a step."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dataflows.spgemm.kernel import KERNELS, Collector, Kernel
from dataflows.spgemm.multiply import Multiplied, multiply
from dataflows.spgemm.options import KernelOptions, parse_options
from dataflows.spgemm.results import Line, cycles_of, fabric_card, result_of
from dataflows.spgemm.stream import stream
from simulator.energy import priced
from simulator.result import Result
from workloads.apply_method import apply_method
from workloads.errors import UserError
from workloads.methods.dense import Dense
from workloads.op import MatrixOp, Op, VectorOp
from workloads.pattern import PatternMap
from workloads.registry import load_entry
from workloads.sparse.matrix import Matrix, SparseProduct
from workloads.sparse.matrix_market import read_matrix
from workloads.sparse.traced import traced_block
from workloads.workload import Capture, Mode, Workload

if TYPE_CHECKING:
    from simulator.cli.choices import Choices
    from simulator.machine import Arch

USUAL = "smash-v3"
Card = Callable[[Workload], Mapping[str, Any]]


@dataclass(frozen=True)
class Setup:
    """A machine, a kernel and its options."""

    arch: "Arch"
    kernel: Kernel
    options: KernelOptions

    @classmethod
    def of(cls, choices: "Choices", arch: "Arch") -> "Setup":
        """Raises UserError for an unknown kernel or option."""
        kernel: Kernel = load_entry(KERNELS, "kernel", choices.kernel or USUAL)
        return cls(arch, kernel, parse_options(choices.kernel_options))

    def card(self) -> dict[str, Any]:
        """Kernel, options, and what the kernel's steps are assumed to take."""
        recipes = self.kernel.recipes(self.arch.spec, self.options)
        steps = {
            f"{phase}.{feature.name.lower()}": {name: value for name, value in vars(step).items() if value}
            for phase, recipe in recipes.items()
            for feature, step in recipe.items()
        }
        assumed = {"value": steps, "provenance": "assumed", "source": "instructions counted from the loop as written"}
        return {"kernel": self.kernel.name, "kernel_options": vars(self.options), "kernel_steps": assumed}


def multiply_matrices(choices: "Choices", arch: "Arch", card: Card) -> Result:
    """The product of the matrices named: of one with itself, or of two."""
    _refuse_step_options(choices)
    setup = Setup.of(choices, arch)
    product = named_product(choices.matrices)
    began = time.perf_counter()
    done = multiply(product, arch.spec, setup.kernel, setup.options, Collector())
    seconds = time.perf_counter() - began
    return product_result(setup, product, done, card(matrix_workload(product)), seconds)


def named_product(texts: Sequence[str]) -> SparseProduct:
    """Raises UserError for more than two matrices, and for sizes that do not fit."""
    if len(texts) > 2:
        raise UserError(f"--matrix: {len(texts)} are given; give one to be squared, or two")
    matrices: list[Matrix] = [read_matrix(text) for text in texts]
    return SparseProduct(matrices[0], matrices[-1])


def matrix_workload(product: SparseProduct) -> Workload:
    """What a run card says of a product that is part of no step."""
    capture = Capture(source="--matrix", shapes="of the matrices")
    return Workload(product.name, "none", "as stored", 1, 1, Mode.INFERENCE, (), 0, 0, (), capture)


def product_result(
    setup: Setup, product: SparseProduct, done: Multiplied, card: Mapping[str, Any], seconds: float
) -> Result:
    """A result of one row."""
    left, right, count = product.left, product.right, done.tally.multiplies
    line = Line(
        layer=product.name,
        phase="product",
        kind="product",
        kernel=setup.kernel.name,
        detail=f"{done.tally.windows} units of work, {done.tally.split_rows} rows split",
        sizes=(left.rows, right.cols, left.cols),
        count=1,
        pattern="as stored",
        timing=done.timing,
        times=1.0,
        macs_useful=count,
        macs_skipped=left.rows * right.cols * left.cols - count,
    )
    matrices = {
        name: {"name": each.name, "rows": each.rows, "cols": each.cols, "nonzeros": each.nonzeros}
        for name, each in (("left", left), ("right", right))
    }
    more = {
        "matrices": matrices,
        "fabric": fabric_card(done),
        **setup.card(),
        "cost": _cost(seconds, done.timing.events),
    }
    return priced(result_of([line], setup.arch.spec, {**card, **more}), setup.arch.energy)


def run_step(workload: Workload, sparse: Workload, choices: "Choices", arch: "Arch", card: Card) -> Result:
    """A step's ops, block by block, and the same step with dense weights."""
    _refuse_mapping_options(choices)
    setup = Setup.of(choices, arch)
    began = time.perf_counter()
    known: dict[Op, Line] = {}
    plain = apply_method(workload, Dense(), PatternMap())
    dense, _ = _step_result(setup, plain, card, known)
    result, events = _step_result(setup, sparse, card, known)
    cost = _cost(time.perf_counter() - began, events)
    return replace(result, card={**result.card, "cost": cost, "dense_cycles": dense.cycles}, dense=dense)


def _step_result(setup: Setup, workload: Workload, card: Card, known: dict[Op, Line]) -> tuple[Result, int]:
    from rich.progress import track

    lines = []
    for op in track(workload.ops, description=f"{workload.model} {workload.pattern}", transient=True):
        if op not in known:
            known[op] = _line(setup, workload, op)
        lines.append(known[op])
    result = result_of(lines, setup.arch.spec, {**card(workload), **setup.card()})
    return priced(result, setup.arch.energy), sum(line.timing.events for line in known.values())


def _line(setup: Setup, workload: Workload, op: Op) -> Line:
    return _vector_line(setup, op) if isinstance(op, VectorOp) else _matrix_line(setup, workload, op)


def _matrix_line(setup: Setup, workload: Workload, op: MatrixOp) -> Line:
    block = traced_block(workload, op)
    done = multiply(block.product, setup.arch.spec, setup.kernel, setup.options, Collector())
    left, right = block.product.left, block.product.right
    source = "sampled tensors" if block.sampled else "measured zeros"
    return Line(
        layer=op.layer,
        phase=op.phase.value,
        kind="product",
        kernel=setup.kernel.name,
        detail=f"block {left.rows}x{right.cols}x{left.cols} of {source}, x {block.times:.4g}",
        sizes=(op.rows, op.cols, op.inner),
        count=op.count,
        pattern=str(op.right.pattern),
        timing=done.timing,
        times=block.times,
        macs_useful=min(op.macs, block.multiplies),
        macs_skipped=max(0, op.macs - block.multiplies),
    )


def _vector_line(setup: Setup, op: VectorOp) -> Line:
    timing, times = stream(setup.arch.spec, op)
    return Line(
        layer=op.layer,
        phase=op.phase.value,
        kind=op.kind.value,
        kernel="stream",
        detail=f"{cycles_of(timing):,} cycles x {times:.4g}",
        sizes=(op.elements, 1, 1),
        count=op.count,
        pattern="dense",
        timing=timing,
        times=times,
        macs_useful=0,
        macs_skipped=0,
    )


def _cost(seconds: float, events: int) -> dict[str, float]:
    return {"kernel_load_seconds": 0.0, "simulation_seconds": seconds, "commands_evaluated": events}


def _refuse_step_options(choices: "Choices") -> None:
    """Raises UserError for what would do nothing to a product of matrices."""
    works: dict[str, object] = {
        "--model": choices.model,
        "--gemm": choices.gemms,
        "--topology": choices.topology,
        "--workload": choices.workload,
    }
    for option, work in works.items():
        if work not in (None, ()):
            raise UserError(f"give --matrix or {option}, not both")
    others: dict[str, object] = {
        "--pattern": choices.patterns,
        "--batch": choices.batch,
        "--sequence": choices.sequence,
        "--optimizer": choices.optimizer,
        "--input-gradient": choices.input_gradient,
        "--mode": choices.mode != Mode.TRAINING,
    }
    for option, given in others.items():
        if given not in (None, (), False):
            raise UserError(f"{option}: a product of matrices is no training step; leave it out")
    _refuse_mapping_options(choices)


def _refuse_mapping_options(choices: "Choices") -> None:
    if choices.dataflow is not None:
        raise UserError(f"--dataflow {choices.dataflow}: machine '{choices.arch}' runs kernels; use --kernel")
    if choices.exact:
        raise UserError(f"--exact: machine '{choices.arch}' knows no other way; leave it out")
    if not choices.check_capacity:
        raise UserError("--no-capacity: a fabric's memory is checked for the matrices it holds; leave it out")
