"""From names to a workload: a model, a file, products or matrices; and a method put on it."""

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import workloads
from workloads import sparse
from workloads.apply_method import apply_method, for_inference, with_input_gradient
from workloads.errors import UserError, unknown_name
from workloads.files.limits import LARGEST_LIMIT
from workloads.methods.dense import DENSE_TRAINING
from workloads.methods.fields import load_method, settable
from workloads.op import MatrixOp, Op, Optimizer, Role, VectorKind, VectorOp
from workloads.pattern import PatternMap
from workloads.registry import METHODS, entry_of
from workloads.shipped import load_shipped, shipped_path
from workloads.stated import from_gemms
from workloads.topology import from_topology
from workloads.work import Work
from workloads.workload import Mode, Workload

LARGEST_STEP = LARGEST_LIMIT  # multiply-accumulates, or elements: cycles and bytes of more may not fit 64 bits
NAMED = {"model": "--model", "gemms": "--gemm", "topology": "--topology", "workload": "--workload", "onnx": "--onnx"}


def check_work(work: Work) -> None:
    """Raises UserError unless exactly one kind of work is named, by a name that is known, with sizes that can be."""
    given = [option for name, option in NAMED.items() if getattr(work, name) not in (None, ())]
    if work.matrices:
        _check_matrices(work, given)
    elif len(given) != 1:
        said = " and ".join(given) if given else "none is"
        raise UserError(f"give exactly one of {', '.join(NAMED.values())}: {said} given")
    for name in ("batch", "sequence"):
        size = getattr(work, name)
        if size is not None and size < 1:
            raise UserError(f"--{name} {size}: must be at least 1")
        if size is not None and size > LARGEST_LIMIT:
            raise UserError(f"--{name} {size}: must be at most {LARGEST_LIMIT}; more does not fit 64 bits")
    _check_word("mode", work.mode, [each.value for each in Mode])
    if work.optimizer is not None:
        _check_word("optimizer", work.optimizer, [each.value for each in Optimizer])
    if work.model is not None:
        shipped_path(work.model)


def _check_word(what: str, given: str, known: list[str]) -> None:
    if given not in known:
        raise unknown_name(what, given, known, f"--{what}")


def _check_matrices(work: Work, others: list[str]) -> None:
    """Raises UserError for what would do nothing to a product of matrices."""
    if others:
        raise UserError(f"give --matrix or {others[0]}, not both")
    wrong: dict[str, object] = {
        "--batch": work.batch,
        "--sequence": work.sequence,
        "--optimizer": work.optimizer,
        "--input-gradient": work.input_gradient,
        "--mode": work.mode != Mode.TRAINING,
    }
    for option, given in wrong.items():
        if given not in (None, False):
            raise UserError(f"{option}: a product of matrices is no training step; leave it out")


def load_workload(work: Work) -> Workload:
    """The dense workload a work names (as recorded, where that was sparse). Raises UserError for what cannot be."""
    check_work(work)
    if work.matrices:
        return sparse.from_matrices(work.matrices, work.limits)
    found = _for_mode(_with_optimizer(_named(work), work.optimizer), work)
    work.limits.check("distinct_products", found.distinct_products, f"the step of {work.name}")
    if found.macs >= LARGEST_STEP:
        raise UserError(f"the step is too large: {found.macs:.1e} multiply-accumulates do not fit 64 bits")
    if (elements := sum(map(_elements, found.ops))) >= LARGEST_STEP:
        raise UserError(f"the step is too large: {elements:.1e} elements of its tensors do not fit 64 bits")
    return found


def _elements(op: Op) -> int:
    """Elements that an op reads and writes at most."""
    if isinstance(op, MatrixOp):
        return op.left_distinct + op.count * (op.rows + op.inner) * op.cols
    return op.count * (op.elements + op.reads + op.writes)


def _named(work: Work) -> Workload:
    limits = work.limits
    if work.model is not None:
        return load_shipped(work.model, work.batch, work.sequence)
    if work.workload is not None:
        path = Path(work.workload)
        if not work.content:
            return workloads.instantiate(workloads.read_template(path, limits), path, work.batch, work.sequence)
        template = workloads.parse_template(path, work.content, limits)
        return workloads.instantiate(template, path, work.batch, work.sequence, work.tensors)
    if work.sequence is not None:
        raise UserError("--sequence: only a captured workload has a sequence length")
    if work.topology:
        return from_topology(Path(work.topology), work.batch or 1, limits=limits)
    if work.onnx:
        return workloads.from_onnx(Path(work.onnx), work.batch, Mode(work.mode), limits=limits)
    if work.batch is not None:
        raise UserError("--batch: a product given with --gemm has no batch; its rows are all there is")
    return from_gemms(work.gemms, limits=limits)


def _with_optimizer(workload: Workload, name: str | None) -> Workload:
    if name is None:
        return workload
    ops = tuple(
        replace(op, optimizer=Optimizer(name)) if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE else op
        for op in workload.ops
    )
    return replace(workload, ops=ops)


def _for_mode(workload: Workload, work: Work) -> Workload:
    if work.mode == Mode.INFERENCE:
        for option, given in (("--input-gradient", work.input_gradient), ("--optimizer", work.optimizer)):
            if given:
                raise UserError(f"{option}: inference has no gradients and no update")
        return for_inference(workload)
    if not work.input_gradient:
        return workload
    more = with_input_gradient(workload)
    if len(more.ops) == len(workload.ops):
        raise UserError(f"--input-gradient: every product of {workload.model} has its BP already")
    return more


def method_fields(name: str) -> list[str]:
    """The fields of a method that can be set, each as FIELD=DEFAULT. Raises UserError for an unknown name."""
    return [f"{field}={value}" for field, value in settable(load_method(name)).items()]


def check_method(name: str, patterns: PatternMap | None) -> None:
    """Raises UserError for an unknown method, and for one that has no use for the patterns."""
    entry_of(METHODS, "method", name)
    if patterns is not None and name == DENSE_TRAINING.name and not patterns.is_dense:
        raise UserError(f"--method dense keeps every weight: it takes no --pattern {patterns}")


def with_method(workload: Workload, name: str, patterns: PatternMap | None) -> Workload:
    """The workload with the method's operands sparse; as it is without patterns.

    Raises UserError for a glob that names no layer.
    """
    check_method(name, patterns)
    if patterns is None:
        return workload
    layers = {op.layer for op in workload.ops if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT}
    for glob, _ in patterns.globs:
        if not any(fnmatchcase(layer, glob) for layer in layers):
            raise unknown_name("layer", glob, layers, "--pattern")
    return apply_method(workload, DENSE_TRAINING if patterns.is_dense else load_method(name), patterns)


def dense_of(workload: Workload) -> Workload:
    """The workload with every operand dense."""
    return apply_method(workload, DENSE_TRAINING, PatternMap())
