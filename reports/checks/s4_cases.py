"""S4: the vendor's MLPerf points, every way each may have been run, and how fast the model is at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reports.rates import bank_patterns, inference_step, rate, rate_over_lengths, with_values
from simulator.arch.machine import load_machine
from simulator.machines.s4 import S4Arch
from simulator.runs import Runs
from workloads.lengths import PADDED, SQUAD_LIKE, Lengths
from workloads.pattern import parse_patterns

# The product of clock and multiply-accumulates is public, the factors are not.
SPLITS: dict[str, Mapping[str, object]] = {
    "512 MACs a unit at 900 MHz": {"clock_mhz": 899.88, "units.rows": 16},
    "576 MACs a unit at 800 MHz": {"clock_mhz": 799.89, "units.rows": 18},
}
PRECISIONS = ("int8", "bf16")
EFFICIENCIES = (0.5, 0.75, 1.0)
APART = ("clock_mhz", "units.rows", "units.efficiency", "vector.update_ops")  # varied by themselves, or not in use
WORSE_HIGH = ("_ops", "latency_ns")
NOMINAL_EFFICIENCY = "units.efficiency"
RESNET, BERT = "resnet50", "bert-large"


@dataclass(frozen=True)
class Point:
    """A published point: what ran, and how. Whether "split over four cores" means layers or the batch is not said, so
    the best end may take either."""

    item: str
    model: str
    batch: int
    mapping: str
    classifier: str = ""  # a layer that is dense in our captures and may have been sparse


POINTS = (
    Point("MLPerf v2.1 open Offline ResNet50 S4 card (1 chip)", RESNET, 16, "single-core", "fc"),
    Point("MLPerf v2.1 open Offline BERT-large 99.9 S4 card (1 chip)", BERT, 32, "four-core"),
)


@dataclass(frozen=True)
class Case:
    """One way the point may have been run: all that is not public, but the numbers of `Surroundings`."""

    point: Point
    precision: str
    ratio: int
    lengths: Lengths | None
    split: str

    @property
    def inputs(self) -> str:
        """The distribution of lengths by name; empty for images."""
        return "" if self.lengths is None else self.lengths.name

    def named(self) -> dict[str, str | int]:
        """What tells cases apart in a table."""
        return {"model": self.point.model, "precision": self.precision, "ratio": self.ratio, "inputs": self.inputs}


class Surroundings:
    """The card with everything else that is assumed at its worst, as it stands, or at its best.

    Not frozen: it remembers the rates it found.
    """

    def __init__(self) -> None:
        self.machine = load_machine("s4")
        assert isinstance(self.machine.spec, S4Arch)
        self.bank, self.efficiency = self.machine.spec.bank, self.machine.spec.units.efficiency
        self._known: dict[tuple[Case, str, float], float] = {}
        ends: dict[str, dict[str, object]] = {"worst": {}, "nominal": {}, "best": {"noc.multicast": True}}
        for path, origin in self.machine.origins.items():
            varied = path not in APART and not path.startswith("energy.")
            if varied and None not in (origin.low, origin.high):
                ordered = [origin.low, origin.high]
                worst, best = reversed(ordered) if path.endswith(WORSE_HIGH) else ordered
                ends["worst"][path], ends["best"][path] = worst, best
        self.ends = ends

    def rate(self, case: Case, end: str, efficiency: float) -> float:
        """Samples a second."""
        key = (case, end, efficiency)
        if key not in self._known:
            self._known[key] = self.rate_with(case, self.ends[end], efficiency, end)
        return self._known[key]

    def rate_with(self, case: Case, values: Mapping[str, object], efficiency: float, end: str = "nominal") -> float:
        """Samples a second with some numbers changed."""
        own = {**SPLITS[case.split], NOMINAL_EFFICIENCY: efficiency, "format.inference": case.precision}
        own["schedule.mapping"] = "best" if end == "best" else case.point.mapping
        machine = with_values(self.machine, {**own, **values})
        pattern = bank_patterns(self.bank)[case.ratio]
        texts = [pattern]
        if end == "best" and case.point.classifier and case.ratio > 1:
            texts.append(f"{case.point.classifier}={pattern}")
        patterns, runs = parse_patterns(texts), Runs()
        if case.lengths is None:
            step = inference_step(case.point.model, case.point.batch, None)
            return rate(machine, step, patterns, runs).samples_per_second
        reach = {"worst": case.lengths.origin.high, "best": case.lengths.origin.low}.get(end)
        stretch = 1.0 if reach is None else reach
        return rate_over_lengths(machine, case.point.model, case.point.batch, case.lengths, patterns, runs, stretch)

    def cases(self, point: Point) -> Iterator[Case]:
        """Every precision, ratio, distribution of lengths and split of the product."""
        for precision in PRECISIONS:
            for lengths in (None,) if point.model == RESNET else (PADDED, SQUAD_LIKE):
                for split in SPLITS:
                    for ratio in bank_patterns(self.bank):
                        yield Case(point, precision, ratio, lengths, split)
