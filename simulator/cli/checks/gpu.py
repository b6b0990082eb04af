"""GPU points: what MLPerf submissions reached, beside a roofline of the same GPU with overheads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check

HANGS_ON = "tensor.efficiency, memory.efficiency and overhead.launch_us, all at one end of their ranges at once"
LENGTHS = "; how long the texts are (assumed, 15 % either way)"
ENDS = {
    "": (),
    "worst": ("tensor.efficiency=0.3", "memory.efficiency=0.6", "overhead.launch_us=5"),
    "best": ("tensor.efficiency=0.8", "memory.efficiency=0.9", "overhead.launch_us=0.5"),
}


@dataclass(frozen=True)
class Point:
    """A published point, and how it is run here. `inference` is the number format its accuracy target asks for."""

    item: str
    arch: str
    model: str
    batch: int
    texts: bool
    inference: str


POINTS = (
    Point("T4 MLPerf v0.7 closed Offline ResNet50", "t4", "resnet50", 128, False, "int8"),
    Point("T4 MLPerf v0.7 closed Offline BERT-large 99", "t4", "bert-large", 64, True, "int8"),
    Point("T4 MLPerf v0.7 closed Offline BERT-large 99.9 (per GPU of 20)", "t4", "bert-large", 64, True, "fp16"),
    Point("A100 40GB PCIe MLPerf v0.7 closed Offline ResNet50", "a100", "resnet50", 128, False, "int8"),
    Point("A100 40GB PCIe MLPerf v0.7 closed Offline BERT-large 99", "a100", "bert-large", 64, True, "int8"),
)


def checks() -> "list[Check]":
    """A row a submission."""
    from simulator.cli.checks.published import figures

    published = figures("gpu")
    return [_check(point, published[point.item]) for point in POINTS]


def _check(point: Point, row: dict[str, str]) -> "Check":
    from reports.checks import Check
    from workloads.provenance import Provenance

    nominal, low, high = (_rate(point, end) for end in ("", "worst", "best"))
    return Check(
        machine=point.arch,
        what=f"MLPerf {point.item.partition(' Offline ')[2]}, {point.inference}, batch {point.batch} here",
        unit=row["unit"],
        theirs=float(row["value"]),
        ours=nominal,
        provenance=Provenance(row["provenance"]),
        source=row["source"],
        hangs_on=HANGS_ON + (LENGTHS if point.texts else ""),
        ours_low=low,
        ours_high=high,
    )


def _rate(point: Point, end: str) -> float:
    """Samples a second with everything assumed as it stands, at its worst or at its best."""
    from simulator.cli.inference import inference_step, rate, rate_over_lengths
    from simulator.machine import load_arch
    from simulator.schedule import Runs
    from workloads.lengths import SQUAD_LIKE
    from workloads.pattern import PatternMap

    arch = load_arch(point.arch, (f"inference={point.inference}", *ENDS[end]))
    if not point.texts:
        return rate(arch, inference_step(point.model, point.batch, None), PatternMap(), Runs()).samples_per_second
    stretch = {"worst": SQUAD_LIKE.origin.high, "best": SQUAD_LIKE.origin.low}.get(end) or 1.0
    return rate_over_lengths(arch, point.model, point.batch, SQUAD_LIKE, PatternMap(), Runs(), stretch)
