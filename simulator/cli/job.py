"""From what the user chose to two results: the pattern asked for, and the best dense schedule beside it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from simulator.cli.choices import Choices, refuse_fabric_options
from simulator.cli.work import load_workload, with_method
from simulator.energy import priced
from simulator.kernel.maxplus import load_kernel
from simulator.machine import Arch, load_arch
from simulator.result import SCHEMA, Result, execute
from simulator.schedule import Runs, ScheduledOp, uncollected
from workloads.apply_method import apply_method
from workloads.errors import UserError
from workloads.methods.dense import Dense
from workloads.pattern import PatternMap, parse_patterns
from workloads.provenance import Provenance
from workloads.registry import load_entry, names
from workloads.workload import Mode, Workload

LARGEST_STEP = 2**60
DATAFLOWS = "sparsehil.dataflows"
COMPILERS = "sparsehil.compilers"
FABRIC = "fabric"  # the kind of machine


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
    from simulator.cli.fabric_job import multiply_matrices, run_step  # and with them scipy, which no other job needs

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
