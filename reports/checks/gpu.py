"""GPU points: what MLPerf submissions reached on GPUs, beside rooflines with overheads."""

from collections.abc import Mapping

from reports.checks.base import Check, CheckSuite, by_item
from reports.rates import inference_step, rate, rate_over_lengths, with_values
from simulator.arch.machine import load_machine
from simulator.runs import Runs
from workloads.lengths import PADDED, SQUAD_LIKE, Lengths
from workloads.pattern import PatternMap
from workloads.provenance import Provenance

RANGES = ("tensor.efficiency", "memory.efficiency")
# Submissions we have a model of: item, machine, captured model, batch, precision.
POINTS = (
    ("T4 MLPerf v0.7 closed Offline ResNet50", "t4", "resnet50", 128, "int8"),
    ("T4 MLPerf v0.7 closed Offline BERT-large 99", "t4", "bert-large", 64, "int8"),
    ("T4 MLPerf v0.7 closed Offline BERT-large 99.9 (per GPU of 20)", "t4", "bert-large", 64, "fp16"),
    ("A100 40GB PCIe MLPerf v0.7 closed Offline ResNet50", "a100", "resnet50", 128, "int8"),
    ("A100 40GB PCIe MLPerf v0.7 closed Offline BERT-large 99", "a100", "bert-large", 64, "int8"),
)


def checks() -> list[Check]:
    """A row a submission; ours moves with the efficiency's range, and for BERT with how inputs were padded."""
    published = by_item("gpu")
    return [_row(published[each[0]], *each[1:]) for each in POINTS]


GPU = CheckSuite(checks, order=5)


def _row(row: dict[str, str], machine: str, model: str, batch: int, precision: str) -> Check:
    origins = load_machine(machine).origins
    low, high = ({path: getattr(origins[path], end) for path in RANGES} for end in ("low", "high"))
    inputs = (None,) if model == "resnet50" else (SQUAD_LIKE, PADDED)
    rates = [_rate(machine, model, batch, precision, each, value) for each in inputs for value in ({}, low, high)]
    said = "" if model == "resnet50" else f"; ours has {SQUAD_LIKE.name} inputs, its low end texts {PADDED.name}"
    return Check(
        machine="gpu",
        what=row["item"],
        unit=row["unit"],
        theirs=float(row["value"]),
        ours=rates[0],
        provenance=Provenance(row["provenance"]),
        source=row["source"],
        hangs_on=f"{' and '.join(RANGES)} (assumed), and maps that cross the DRAM between all layers{said}",
        ours_low=min(rates),
        ours_high=max(rates),
    )


def _rate(
    name: str, model: str, batch: int, precision: str, lengths: Lengths | None, values: Mapping[str, float | None]
) -> float:
    machine = with_values(load_machine(name), {**values, "inference": precision})
    if lengths is not None:
        return rate_over_lengths(machine, model, batch, lengths, PatternMap(), Runs())
    return rate(machine, inference_step(model, batch, None), PatternMap(), Runs()).samples_per_second
