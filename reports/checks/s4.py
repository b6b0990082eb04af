"""S4: the vendor's MLPerf points, every way each may have been run, and what can explain them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from reports import figures
from reports.checks.base import Check, CheckSuite, Request, by_item
from reports.checks.explained import Tried, explained_texts, print_explained, set_table, verdict
from reports.output import tracked, write_folder
from reports.rates import bank_patterns, inference_step, rate, rate_over_lengths, with_values
from simulator.arch.machine import load_machine
from simulator.machines.s4 import S4Arch
from simulator.runs import Runs
from workloads.errors import UserError
from workloads.lengths import PADDED, SQUAD_LIKE, Lengths
from workloads.pattern import parse_patterns
from workloads.provenance import Provenance

# The product of clock and multiply-accumulates is public, the factors are not.
SPLITS: dict[str, Mapping[str, object]] = {
    "512 MACs a unit at 900 MHz": {"clock_mhz": 899.88, "units.rows": 16},
    "576 MACs a unit at 800 MHz": {"clock_mhz": 799.89, "units.rows": 18},
}
FIRST = next(iter(SPLITS))
PRECISIONS = ("int8", "bf16")
EFFICIENCIES = (0.5, 0.75, 1.0)
APART = ("clock_mhz", "units.rows", "units.efficiency", "vector.update_ops")  # varied by themselves, or not in use
WORSE_HIGH = ("_ops", "latency_ns")
NOMINAL_EFFICIENCY = "units.efficiency"
RESNET, BERT = "resnet50", "bert-large"
Row = dict[str, object]


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


def checks() -> list[Check]:
    """A row a submission: ours at the ratio that comes nearest, all else as it stands, padded to the longest."""
    published, around, found = by_item("s4"), Surroundings(), []
    for point in POINTS:
        row = published[point.item]
        theirs = float(row["value"])
        mine = [case for case in around.cases(point) if case.precision == "int8" and case.split == FIRST]
        mine = [case for case in mine if case.lengths in (None, SQUAD_LIKE) and case.ratio > 1]
        ours = {case: around.rate(case, "nominal", around.efficiency) for case in mine}
        near = min(ours, key=lambda case: abs(ours[case] / theirs - 1))
        inputs = f" and {near.inputs} inputs" if near.inputs else ""
        ends = (around.rate(near, "worst", min(EFFICIENCIES)), around.rate(near, "best", max(EFFICIENCIES)))
        found.append(
            Check(
                machine="s4",
                what=point.item,
                unit=row["unit"],
                theirs=theirs,
                ours=ours[near],
                provenance=Provenance(row["provenance"]),
                source=row["source"],
                hangs_on=f"ratio, not public: {near.ratio}x{inputs} come nearest at INT8; all explanations and "
                "exclusions: simulate validate s4",
                ours_low=ends[0],
                ours_high=ends[1],
                allowed_low=ends[0],
                allowed_high=ends[1],
            )
        )
    return found


def detail(request: Request) -> None:
    """Which ratios and assumptions can explain each point, which are excluded, and whether one set explains both.

    Raises UserError for settings, and where tables cannot be written.
    """
    if request.settings:
        raise UserError("--set: validate s4 goes through the ranges of all assumptions; change them in a machine file")
    around, published = Surroundings(), by_item("s4")
    targets = {point.model: float(published[point.item]["value"]) for point in POINTS}
    bands = _bands(around, targets)
    sets, moved = _sets(around, targets, bands), _moved(around, targets, bands)
    print_explained(targets, bands, sets, moved)
    if request.out is not None:
        texts = explained_texts(targets, bands, sets, moved)
        write_folder(request.out, texts, lambda: {"explained": figures.explained_figure(targets, bands)})


S4 = CheckSuite(checks, detail, order=4)


def _bands(around: Surroundings, targets: Mapping[str, float]) -> pd.DataFrame:
    """What every case may reach: all at its worst, as it stands, all at its best."""
    rows = []
    every = [case for point in POINTS for case in around.cases(point) if case.split == FIRST]
    for case in tracked(every, "ranges"):
        low = min(around.rate(replace(case, split=split), "worst", min(EFFICIENCIES)) for split in SPLITS)
        high = max(around.rate(replace(case, split=split), "best", max(EFFICIENCIES)) for split in SPLITS)
        published = targets[case.point.model]
        rows.append(
            {
                **case.named(),
                "lowest": low,
                "standing": around.rate(case, "nominal", around.efficiency),
                "highest": high,
                "published": published,
                "verdict": verdict(low, high, published),
            }
        )
    return pd.DataFrame(rows)


def _sets(around: Surroundings, targets: Mapping[str, float], bands: pd.DataFrame) -> pd.DataFrame:
    """Efficiencies at which a case comes within the tolerance of its point, for every set of shared assumptions."""
    possible = {
        (row["model"], row["precision"], row["ratio"], row["inputs"])
        for row in bands.to_dict("records")
        if row["verdict"].startswith("can")
    }
    tried = []
    every = [case for point in POINTS for case in around.cases(point)]
    left = [case for case in every if tuple(case.named().values()) in possible]
    for case in tracked(left, "one set for both"):
        for end in around.ends:
            rates = [around.rate(case, end, efficiency) for efficiency in EFFICIENCIES]
            tried.append(Tried(case.point.model, case.precision, case.ratio, case.inputs, case.split, end, rates))
    return set_table(tried, EFFICIENCIES, targets, (RESNET, BERT))


def _moved(around: Surroundings, targets: Mapping[str, float], bands: pd.DataFrame) -> pd.DataFrame:
    """How each assumption alone moves the case that stands nearest to its point, through its range."""
    rows: list[Row] = []
    for point in POINTS:
        mine = bands[bands["model"] == point.model].to_dict("records")
        near = min(mine, key=lambda row: abs(row["standing"] / targets[row["model"]] - 1))
        named = {name: near[name] for name in ("model", "precision", "ratio", "inputs")}
        case = next(each for each in around.cases(point) if each.named() == named)
        ranges = {path: (around.ends["worst"][path], around.ends["best"][path]) for path in around.ends["worst"]}
        ranges["noc.multicast"] = (False, True)
        for path, (worst, best) in tracked(list(ranges.items()), f"assumptions, {point.model}"):
            low, high = (around.rate_with(case, {path: value}, around.efficiency) for value in (worst, best))
            rows.append({**named, "assumption": path, "worst": worst, "best": best, "low": low, "high": high})
        rows += [{**named, **more} for more in _alone(around, case)]
    table = pd.DataFrame(rows)
    return table.assign(spread=table["high"] / table["low"] - 1).sort_values(
        ["model", "spread"], ascending=[False, False], kind="stable"
    )


def _alone(around: Surroundings, case: Case) -> Iterator[Row]:
    """What is no number of the machine file with a range of its own: efficiency, split of the product, mapping."""
    worst, best, standing = EFFICIENCIES[0], EFFICIENCIES[-1], around.efficiency
    low, high = (around.rate(case, "nominal", efficiency) for efficiency in (worst, best))
    yield {"assumption": NOMINAL_EFFICIENCY, "worst": worst, "best": best, "low": low, "high": high}
    here = around.rate(case, "nominal", standing)
    others = {
        "clock x MACs": around.rate(replace(case, split=list(SPLITS)[1]), "nominal", standing),
        "schedule.mapping": around.rate_with(case, {"schedule.mapping": "best"}, standing),
    }
    for name, other in others.items():
        low, high = sorted((here, other))
        yield {"assumption": name, "worst": "", "best": "", "low": low, "high": high}
