"""Throughput of inference: many cards, ratios and batches in one process, without the dense step beside each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from simulator.arch.machine import Machine
from simulator.bounds import cycles_by_bound
from simulator.compiler import load_compiler
from simulator.runs import Runs, without_gc
from simulator.schedule import Schedule
from workloads.lengths import Lengths
from workloads.named import load_workload, with_method
from workloads.pattern import PatternMap
from workloads.work import Work
from workloads.workload import Mode, Workload

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Node = TypeVar("Node", bound="DataclassInstance")
METHOD = "ste"  # sparse weights in the forward pass, which is all that inference has
RATIOS = (1, 2, 4, 8, 16, 32)  # of bank sparsity, as Moffett's public pruning tool offers them


@dataclass(frozen=True)
class Rate:
    """What a machine does a second, and the share of its time under each bound.

    `tera_ops` are dense ones (two a multiply-accumulate, skipped ones included). `peak_share` is useful
    multiply-accumulates over those the machine could do.
    """

    samples_per_second: float
    tera_ops: float
    peak_share: float
    bounds: Mapping[str, float]
    mapping: str

    @property
    def bound(self) -> str:
        """The bound under which most of the time is spent."""
        return max(self.bounds, key=lambda name: self.bounds[name])


@cache
def inference_step(model: str, batch: int, sequence: int | None) -> Workload:
    """The forward pass of a captured model, dense. Raises UserError for an unknown model or a wrong size."""
    return load_workload(Work(model=model, batch=batch, sequence=sequence, mode=Mode.INFERENCE.value))


def scheduled(machine: Machine, step: Workload, runs: Runs) -> Schedule:
    """A step's schedule on a machine. Raises UserError for what the machine cannot take."""
    compiler = load_compiler(machine.kind)
    options = compiler.Options()
    compiler.check(step, machine.spec, options)
    with without_gc():
        return compiler.compile(step, machine.spec, options, runs)


def rate(machine: Machine, step: Workload, patterns: PatternMap, runs: Runs) -> Rate:
    """How fast a machine takes a step over and over. Raises UserError for what the machine cannot take."""
    schedule = scheduled(machine, with_method(step, METHOD, patterns), runs)
    with without_gc():
        spent = cycles_by_bound(schedule, runs, load_compiler(machine.kind).engines)
    cycles = sum(spent.values())
    seconds = cycles / (machine.spec.clock_mhz * 1e6)
    useful = sum(each.macs_useful for each in schedule)
    return Rate(
        samples_per_second=step.batch / seconds,
        tera_ops=2 * step.macs / seconds / 1e12,
        peak_share=useful / (cycles * max(each.pes for each in schedule)),
        bounds={name: each / cycles for name, each in spent.items()},
        mapping=schedule[0].dataflow,
    )


def rate_over_lengths(
    machine: Machine, model: str, batch: int, lengths: Lengths, patterns: PatternMap, runs: Runs, stretch: float = 1.0
) -> float:
    """Samples a second where batches come in several lengths, each sorted and padded to its own.

    `stretch` makes all lengths but the longest so much longer, up to that.
    """
    longest = max(length for length, _ in lengths.shares)
    seconds = 0.0
    for length, share in lengths.shares:
        here = length if length == longest else min(longest, round(length * stretch))
        seconds += share / rate(machine, inference_step(model, batch, here), patterns, runs).samples_per_second
    return 1 / seconds


def bank_patterns(bank: int) -> dict[int, str]:
    """The pattern of every ratio that a bank of weights can be kept at, dense for the first."""
    return {ratio: f"{bank // ratio}:{bank}" if ratio > 1 else "dense" for ratio in RATIOS if bank % ratio == 0}


def with_values(machine: Machine, values: Mapping[str, object]) -> Machine:
    """The machine with numbers changed, by dotted path, as --set would."""
    for path, value in values.items():
        machine = _replaced(machine, ["spec", *path.split(".")], value)
    return machine


def _replaced(node: Node, keys: Sequence[str], value: object) -> Node:
    inner = _replaced(getattr(node, keys[0]), keys[1:], value) if len(keys) > 1 else value
    return replace(node, **{keys[0]: inner})
