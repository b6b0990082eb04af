"""The work a user named, and a method put on it."""

from dataclasses import replace
from fnmatch import fnmatchcase

from simulator.cli.choices import Choices
from workloads.apply_method import apply_method, for_inference, with_input_gradient
from workloads.errors import UserError, unknown_name
from workloads.methods.dense import Dense
from workloads.op import MatrixOp, Optimizer, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, PatternMap
from workloads.registry import METHODS, load_entry
from workloads.shipped import load_shipped
from workloads.stated import from_gemms, from_topology
from workloads.workload import Mode, Workload, instantiate, read_template


def with_method(workload: Workload, name: str, patterns: PatternMap | None) -> Workload:
    """The workload with the method's operands sparse. Raises UserError for a glob that names no layer."""
    chosen = load_entry(METHODS, "method", name)
    if patterns is None:
        return workload
    if name == Dense.name and not _all_dense(patterns):
        raise UserError(f"--method dense keeps every weight: it takes no --pattern {patterns}")
    method = Dense if _all_dense(patterns) else chosen
    layers = {op.layer for op in workload.ops if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT}
    for glob, _ in patterns.globs:
        if not any(fnmatchcase(layer, glob) for layer in layers):
            raise unknown_name("layer", glob, layers, "--pattern")
    return apply_method(workload, method(), patterns)


def load_workload(choices: Choices) -> Workload:
    """The dense workload the user named. Raises UserError unless exactly one is named."""
    given = {
        "--model": choices.model,
        "--gemm": choices.gemms,
        "--topology": choices.topology,
        "--workload": choices.workload,
    }
    named = [option for option, value in given.items() if value not in (None, ())]
    if len(named) != 1:
        said = " and ".join(named) if named else "none is"
        raise UserError(f"give exactly one of {', '.join(given)}: {said} given")
    if choices.batch is not None and choices.batch < 1:
        raise UserError(f"--batch {choices.batch}: must be at least 1")
    if choices.sequence is not None and choices.sequence < 1:
        raise UserError(f"--sequence {choices.sequence}: must be at least 1")
    return _for_mode(_with_optimizer(_named(choices), choices.optimizer), choices)


def _named(choices: Choices) -> Workload:
    if choices.model is not None:
        return load_shipped(choices.model, choices.batch, choices.sequence)
    if choices.workload is not None:
        template = read_template(choices.workload)
        return instantiate(template, choices.workload, choices.batch, choices.sequence)
    if choices.sequence is not None:
        raise UserError("--sequence: only a captured workload has a sequence length")
    if choices.topology:
        return from_topology(choices.topology, choices.batch or 1)
    if choices.batch is not None:
        raise UserError("--batch: a product given with --gemm has no batch; its rows are all there is")
    return from_gemms(choices.gemms)


def _with_optimizer(workload: Workload, name: str | None) -> Workload:
    if name is None:
        return workload
    if name not in [each.value for each in Optimizer]:
        raise unknown_name("optimizer", name, [each.value for each in Optimizer], "--optimizer")
    ops = tuple(
        replace(op, optimizer=Optimizer(name)) if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE else op
        for op in workload.ops
    )
    return replace(workload, ops=ops)


def _for_mode(workload: Workload, choices: Choices) -> Workload:
    if choices.mode not in [each.value for each in Mode]:
        raise unknown_name("mode", choices.mode, [each.value for each in Mode], "--mode")
    if choices.mode == Mode.INFERENCE:
        for option, given in (("--input-gradient", choices.input_gradient), ("--optimizer", choices.optimizer)):
            if given:
                raise UserError(f"{option}: inference has no gradients and no update")
        return for_inference(workload)
    if not choices.input_gradient:
        return workload
    more = with_input_gradient(workload)
    if len(more.ops) == len(workload.ops):
        raise UserError(f"--input-gradient: every product of {workload.model} has its BP already")
    return more


def _all_dense(patterns: PatternMap) -> bool:
    return patterns.default.is_dense and all(pattern == DENSE for _, pattern in patterns.globs)
