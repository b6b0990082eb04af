"""From what the user chose to two results: the pattern asked for, and the best dense schedule beside it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simulator.cli.fabric_job import FABRIC, multiply_matrices, refuse_fabric_options, run_step
from simulator.energy import priced
from simulator.kernel.maxplus import load_kernel
from simulator.machine import Arch, is_file_name, load_arch
from simulator.result import SCHEMA, Result, execute
from simulator.schedule import Runs, ScheduledOp, uncollected
from workloads.apply_method import apply_method, for_inference, with_input_gradient
from workloads.errors import UserError, unknown_name
from workloads.methods.dense import Dense
from workloads.op import MatrixOp, Optimizer, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, PatternMap, parse_patterns
from workloads.provenance import Provenance
from workloads.registry import METHODS, load_entry, names
from workloads.shipped import load_shipped
from workloads.stated import from_gemms, from_topology
from workloads.workload import Mode, Workload, instantiate, read_template

LARGEST_STEP = 2**60
DATAFLOWS = "sparsehil.dataflows"
COMPILERS = "sparsehil.compilers"


@dataclass(frozen=True)
class Choices:
    """What the command line says. Without `patterns` a workload keeps those it has."""

    arch: str
    patterns: tuple[str, ...]
    method: str
    model: str | None = None
    gemms: tuple[str, ...] = ()
    topology: Path | None = None
    workload: Path | None = None
    batch: int | None = None
    sequence: int | None = None
    optimizer: str | None = None
    mode: str = "training"
    dataflow: str | None = None
    settings: tuple[str, ...] = ()
    input_gradient: bool = False
    exact: bool = False
    check_capacity: bool = True
    kernel: str | None = None
    kernel_options: tuple[str, ...] = ()
    matrices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for the result folder."""
        files = self.workload or self.topology or Path("gemm")
        work = self.model or "-".join(Path(each).name for each in self.matrices) or files.stem
        text = "-".join([Path(self.arch).stem, work, *self.patterns])
        return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in text)

    def on_card(self) -> dict[str, Any]:
        """The choices as a result keeps them, so that it can be run again; files by their full path."""
        kept = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in vars(self).items()}
        return {**kept, "arch": str(Path(self.arch).resolve()) if is_file_name(self.arch) else self.arch}


@dataclass(frozen=True)
class Job:
    """The result asked for, and the same step dense on the same machine.

    `schedule` holds the programs behind the result, empty for a machine that runs none.
    """

    sparse: Result
    dense: Result
    schedule: tuple[ScheduledOp, ...] = ()


def run_job(choices: Choices, command: Sequence[str]) -> Job:
    """Load, plan and run. Raises UserError for anything the user got wrong."""
    patterns = parse_patterns(list(choices.patterns)) if choices.patterns else None
    arch = load_arch(choices.arch, choices.settings)
    if arch.kind == FABRIC:
        return _fabric_job(choices, arch, patterns, command)
    refuse_fabric_options(choices)
    workload = load_workload(choices)
    if workload.macs >= LARGEST_STEP:
        raise UserError(f"the step is too large: {workload.macs:.1e} multiply-accumulates do not fit 64 bits")
    try:
        return simulate_step(workload, patterns, arch, choices, command)
    except OverflowError:
        raise UserError("some cycles or bytes do not fit 64 bits; take a smaller step or other --set values") from None


def _fabric_job(choices: Choices, arch: Arch, patterns: PatternMap | None, command: Sequence[str]) -> Job:
    """A product of matrices, which has nothing dense beside it, or a step in blocks."""

    def card(workload: Workload) -> Mapping[str, Any]:
        return _card(workload, arch, choices, command)

    if choices.matrices:
        result = multiply_matrices(choices, arch, card)
        return Job(result, result)
    workload = load_workload(choices)
    result = run_step(workload, with_method(workload, choices.method, patterns), choices, arch, card)
    return Job(result, result.dense or result)


def simulate_step(
    workload: Workload, patterns: PatternMap | None, arch: Arch, choices: Choices, command: Sequence[str]
) -> Job:
    """Run a workload under a method and patterns (as it is, without patterns), and dense."""
    began = time.perf_counter()
    load_kernel()
    sparse_work = with_method(workload, choices.method, patterns)
    dense_work = apply_method(workload, Dense(), PatternMap())
    compiler = compiler_for(arch, choices)
    started, used = time.perf_counter(), time.process_time()
    runs = Runs()
    with uncollected():
        dense_plan = compiler(dense_work, runs)
        sparse_plan = dense_plan if sparse_work.ops == dense_work.ops else compiler(sparse_work, runs)
    final = Runs(exact=True) if choices.exact else runs
    dense = priced(execute(dense_plan, _card(dense_work, arch, choices, command), final), arch.energy)
    sparse = priced(execute(sparse_plan, _card(sparse_work, arch, choices, command), final), arch.energy)
    cost = {
        "kernel_load_seconds": started - began,
        "simulation_seconds": time.perf_counter() - started,
        "simulation_cpu_seconds": time.process_time() - used,
        "commands_evaluated": runs.steps if final is runs else runs.steps + final.steps,
    }
    card = {**sparse.card, "cost": cost, "dense_cycles": dense.cycles}
    return Job(replace(sparse, card=card, dense=dense), dense, sparse_plan)


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


def compiler_for(arch: Arch, choices: Choices) -> Callable[[Workload, Runs], tuple[ScheduledOp, ...]]:
    """What plans a workload for the machine, with the dataflows the user allows."""
    plan = load_entry(COMPILERS, "kind of machine", arch.kind)
    wanted = names(DATAFLOWS) if choices.dataflow is None else [choices.dataflow]
    dataflows = [load_entry(DATAFLOWS, "dataflow", name)() for name in wanted]

    def compiler(workload: Workload, runs: Runs) -> tuple[ScheduledOp, ...]:
        schedule: tuple[ScheduledOp, ...] = plan(workload, arch.spec, dataflows, runs, choices.check_capacity)
        return schedule

    return compiler


def _card(workload: Workload, arch: Arch, choices: Choices, command: Sequence[str]) -> Mapping[str, Any]:
    """What ran, on what terms, and where its numbers come from."""
    clock = float(arch.spec.clock_mhz)
    origins = {
        path: {"value": _value(arch.values, path), **vars(origin), "provenance": origin.provenance.value}
        for path, origin in arch.origins.items()
    }
    return {
        "schema": SCHEMA,
        "command": list(command),
        "choices": choices.on_card(),
        "arch": arch.name,
        "arch_title": _title(arch, workload.mode),
        "arch_hash": sha256(repr(arch.spec).encode()).hexdigest()[:16],
        "clock_mhz": clock,
        "dataflow": choices.dataflow or "best by layer",
        "exact": choices.exact,
        "model": workload.model,
        "method": workload.method,
        "pattern": workload.pattern,
        "batch": workload.batch,
        "sequence": workload.sequence,
        "mode": workload.mode.value,
        "capture": {**vars(workload.capture), "versions": dict(workload.capture.versions)},
        "numbers": origins,
        "peaks": dict(getattr(arch.spec, "peaks", dict)()),
        "assumed": sorted(path for path, each in origins.items() if _is_assumed_number(each)),
        "not_modelled": list(arch.not_modelled),
        "versions": _versions(),
    }


@cache
def _versions() -> Mapping[str, str]:
    return {name: version(name) for name in ("sparsehil", "numpy", "numba", "simpy", "pandas")}


def _title(arch: Arch, mode: Mode) -> str:
    """What the machine is, and, wherever that is shown, that it was never made for such a step."""
    title = getattr(arch.spec, "title", arch.name)
    hypothetical = mode in getattr(arch.spec, "hypothetical", ())
    return f"{title}; HYPOTHETICAL: this chip is not made for {mode.value}" if hypothetical else title


def _is_assumed_number(entry: Mapping[str, Any]) -> bool:
    value = entry["value"]
    return entry["provenance"] == Provenance.ASSUMED and isinstance(value, int | float)


def _value(values: Mapping[str, Any], path: str) -> Any:
    node: Any = values
    for key in path.split("."):
        node = node[key]
    return node
