"""Throughput of inference: many cards, ratios and batches in one process, without the dense step beside each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from simulator.bounds import cycles_by_bound
from simulator.machine import Arch
from simulator.schedule import Runs
from workloads.apply_method import apply_method, for_inference
from workloads.lengths import Lengths
from workloads.methods.ste import Ste
from workloads.pattern import PatternMap
from workloads.registry import load_entry
from workloads.shipped import load_shipped
from workloads.workload import Workload

COMPILERS = "sparsehil.compilers"


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
    return for_inference(load_shipped(model, batch, sequence))


def rate(arch: Arch, step: Workload, patterns: PatternMap, runs: Runs) -> Rate:
    """How fast a machine takes a step over and over. Raises UserError for what the machine cannot take."""
    plan = load_entry(COMPILERS, "kind of machine", arch.kind)
    schedule = plan(apply_method(step, Ste(), patterns), arch.spec, (), runs, True)
    spent = cycles_by_bound(schedule, runs)
    cycles = sum(spent.values())
    seconds = cycles / (arch.spec.clock_mhz * 1e6)
    useful = sum(each.macs_useful for each in schedule)
    return Rate(
        samples_per_second=step.batch / seconds,
        tera_ops=2 * step.macs / seconds / 1e12,
        peak_share=useful / (cycles * max(each.pes for each in schedule)),
        bounds={name: each / cycles for name, each in spent.items()},
        mapping=schedule[0].dataflow,
    )


def rate_over_lengths(
    arch: Arch, model: str, batch: int, lengths: Lengths, patterns: PatternMap, runs: Runs, stretch: float = 1.0
) -> float:
    """Samples a second where batches come in several lengths, each sorted and padded to its own.

    `stretch` makes all lengths but the longest so much longer, up to that.
    """
    longest = max(length for length, _ in lengths.shares)
    seconds = 0.0
    for length, share in lengths.shares:
        here = length if length == longest else min(longest, round(length * stretch))
        seconds += share / rate(arch, inference_step(model, batch, here), patterns, runs).samples_per_second
    return 1 / seconds


def with_values(arch: Arch, values: Mapping[str, Any]) -> Arch:
    """The machine with numbers changed, by dotted path, as --set would."""
    spec = arch.spec
    for path, value in values.items():
        spec = _replaced(spec, path.split("."), value)
    return replace(arch, spec=spec)


def _replaced(spec: Any, keys: Sequence[str], value: Any) -> Any:
    inner = _replaced(getattr(spec, keys[0]), keys[1:], value) if len(keys) > 1 else value
    return replace(spec, **{keys[0]: inner})
