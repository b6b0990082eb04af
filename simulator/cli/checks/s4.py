"""S4: the vendor's MLPerf points, and which ratios and assumptions can explain them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from simulator.cli.checks import Request

if TYPE_CHECKING:
    import pandas as pd

    from reports.checks import Check
    from simulator.machine import Arch
    from workloads.lengths import Lengths

# The product of clock and multiply-accumulates is public, the factors are not.
SPLITS: dict[str, Mapping[str, Any]] = {
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
    lengths: "Lengths | None"
    split: str


class Surroundings:
    """The card with everything else that is assumed at its worst, as it stands, or at its best."""

    def __init__(self, arch: "Arch") -> None:
        self.arch = arch
        self._known: dict[tuple[Case, str, float], float] = {}
        ends: dict[str, dict[str, Any]] = {"worst": {}, "nominal": {}, "best": {"noc.multicast": True}}
        for path, origin in arch.origins.items():
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

    def rate_with(self, case: Case, values: Mapping[str, Any], efficiency: float, end: str = "nominal") -> float:
        """Samples a second with some numbers changed."""
        from simulator.cli.inference import inference_step, rate, rate_over_lengths, with_values
        from simulator.schedule import Runs
        from workloads.pattern import parse_patterns

        own = {**SPLITS[case.split], NOMINAL_EFFICIENCY: efficiency, "format.inference": case.precision}
        own["schedule.mapping"] = "best" if end == "best" else case.point.mapping
        arch = with_values(self.arch, {**own, **values})
        pattern = "dense" if case.ratio == 1 else f"{arch.spec.bank // case.ratio}:{arch.spec.bank}"
        texts = [pattern]
        if end == "best" and case.point.classifier and case.ratio > 1:
            texts.append(f"{case.point.classifier}={pattern}")
        patterns, runs = parse_patterns(texts), Runs()
        if case.lengths is None:
            step = inference_step(case.point.model, case.point.batch, None)
            return rate(arch, step, patterns, runs).samples_per_second
        reach = {"worst": case.lengths.origin.high, "best": case.lengths.origin.low}.get(end)
        stretch = 1.0 if reach is None else reach
        return rate_over_lengths(arch, case.point.model, case.point.batch, case.lengths, patterns, runs, stretch)


def cases(point: Point) -> Iterator[Case]:
    """Every precision, ratio, distribution of lengths and split of the product."""
    from dataflows.s4.banks import RATIOS
    from workloads.lengths import PADDED, SQUAD_LIKE

    for precision in PRECISIONS:
        for lengths in (None,) if point.model == RESNET else (PADDED, SQUAD_LIKE):
            for split in SPLITS:
                for ratio in RATIOS:
                    yield Case(point, precision, ratio, lengths, split)


def checks() -> "list[Check]":
    """A row a submission: ours at the ratio that comes nearest, all else as it stands, padded to the longest."""
    from reports.checks import Check
    from simulator.cli.checks.published import figures
    from simulator.machine import load_arch
    from workloads.lengths import SQUAD_LIKE
    from workloads.provenance import Provenance

    published, around = figures("s4"), Surroundings(load_arch("s4"))
    efficiency = around.arch.spec.units.efficiency
    found = []
    for point in POINTS:
        row = published[point.item]
        theirs = float(row["value"])
        mine = [case for case in cases(point) if case.precision == "int8" and case.split == next(iter(SPLITS))]
        mine = [case for case in mine if case.lengths in (None, SQUAD_LIKE) and case.ratio > 1]
        ours = {case: around.rate(case, "nominal", efficiency) for case in mine}
        near = min(ours, key=lambda case: abs(ours[case] / theirs - 1))
        inputs = "" if near.lengths is None else f" and {near.lengths.name} inputs"
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
                ours_low=around.rate(near, "worst", min(EFFICIENCIES)),
                ours_high=around.rate(near, "best", max(EFFICIENCIES)),
            )
        )
    return found


def detail(request: Request) -> None:
    """Which ratios and assumptions can explain each point, which are excluded, and whether one set explains both."""
    from reports.explained import print_explained, write_explained
    from simulator.machine import load_arch
    from workloads.errors import UserError

    if request.settings:
        raise UserError("--set: validate s4 goes through the ranges of all assumptions; change them in a machine file")
    around, targets = Surroundings(load_arch("s4")), _targets()
    bands = _bands(around, targets)
    sets = _sets(around, targets, bands)
    moved = _moved(around, targets, bands)
    print_explained(targets, bands, sets, moved)
    if request.out is not None:
        write_explained(request.out, targets, bands, sets, moved)
        try:
            from reports.figures.explained import explained_figure
            from reports.figures.style import save_figure
        except ModuleNotFoundError:
            typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
            return
        save_figure(explained_figure(targets, bands), request.out / "explained")


def _targets() -> dict[str, float]:
    """Published samples a second by model."""
    from simulator.cli.checks.published import figures

    published = figures("s4")
    return {point.model: float(published[point.item]["value"]) for point in POINTS}


def _bands(around: Surroundings, targets: Mapping[str, float]) -> "pd.DataFrame":
    """What every case may reach: all at its worst, as it stands, all at its best."""
    import pandas as pd

    from reports.explained import verdict

    first, rows = next(iter(SPLITS)), []
    standing = around.arch.spec.units.efficiency
    every = [case for point in POINTS for case in cases(point) if case.split == first]
    for case in _tracked(every, "ranges"):
        low = min(around.rate(replace(case, split=split), "worst", min(EFFICIENCIES)) for split in SPLITS)
        high = max(around.rate(replace(case, split=split), "best", max(EFFICIENCIES)) for split in SPLITS)
        published = targets[case.point.model]
        rows.append(
            {
                **_named(case),
                "lowest": low,
                "standing": around.rate(case, "nominal", standing),
                "highest": high,
                "published": published,
                "verdict": verdict(low, high, published),
            }
        )
    return pd.DataFrame(rows)


def _sets(around: Surroundings, targets: Mapping[str, float], bands: "pd.DataFrame") -> "pd.DataFrame":
    """Efficiencies at which a case comes within the tolerance of its point, for every set of shared assumptions."""
    from reports.explained import set_table

    possible = {
        (row["model"], row["precision"], row["ratio"], row["inputs"])
        for row in bands.to_dict("records")
        if row["verdict"].startswith("can")
    }
    rows = []
    every = [case for point in POINTS for case in cases(point)]
    left = [case for case in every if tuple(_named(case).values()) in possible]
    for case in _tracked(left, "one set for both"):
        for end in around.ends:
            rates = [around.rate(case, end, efficiency) for efficiency in EFFICIENCIES]
            rows.append({**_named(case), "split": case.split, "rest": end, "rates": rates})
    return set_table(rows, EFFICIENCIES, targets, (RESNET, BERT))


def _moved(around: Surroundings, targets: Mapping[str, float], bands: "pd.DataFrame") -> "pd.DataFrame":
    """How each assumption alone moves the case that stands nearest to its point, through its range."""
    import pandas as pd

    standing, rows = around.arch.spec.units.efficiency, []
    for point in POINTS:
        mine = bands[bands["model"] == point.model].to_dict("records")
        near = min(mine, key=lambda row: abs(row["standing"] / targets[row["model"]] - 1))
        named = {name: near[name] for name in ("model", "precision", "ratio", "inputs")}
        case = next(each for each in cases(point) if _named(each) == named)
        ranges = {path: (around.ends["worst"][path], around.ends["best"][path]) for path in around.ends["worst"]}
        ranges["noc.multicast"] = (False, True)
        for path, (worst, best) in _tracked(list(ranges.items()), f"assumptions, {point.model}"):
            ends = [around.rate_with(case, {path: value}, standing) for value in (worst, best)]
            rows.append({**named, "assumption": path, "worst": worst, "best": best, "low": ends[0], "high": ends[1]})
        rows += [{**named, **more} for more in _alone(around, case, standing)]
    table = pd.DataFrame(rows)
    return table.assign(spread=table["high"] / table["low"] - 1).sort_values(
        ["model", "spread"], ascending=[False, False], kind="stable"
    )


def _alone(around: Surroundings, case: Case, standing: float) -> Iterator[dict[str, Any]]:
    """What is no number of the machine file with a range of its own: efficiency, split of the product, mapping."""
    low, high = (around.rate(case, "nominal", efficiency) for efficiency in (EFFICIENCIES[0], EFFICIENCIES[-1]))
    yield {
        "assumption": NOMINAL_EFFICIENCY,
        "worst": EFFICIENCIES[0],
        "best": EFFICIENCIES[-1],
        "low": low,
        "high": high,
    }
    here = around.rate(case, "nominal", standing)
    others = {
        "clock x MACs": around.rate(replace(case, split=list(SPLITS)[1]), "nominal", standing),
        "schedule.mapping": around.rate_with(case, {"schedule.mapping": "best"}, standing),
    }
    for name, other in others.items():
        low, high = sorted((here, other))
        yield {"assumption": name, "worst": "", "best": "", "low": low, "high": high}


def _named(case: Case) -> dict[str, Any]:
    return {
        "model": case.point.model,
        "precision": case.precision,
        "ratio": case.ratio,
        "inputs": "" if case.lengths is None else case.lengths.name,
    }


def _tracked(items: list[Any], what: str) -> Any:
    from rich.console import Console
    from rich.progress import track

    return track(items, description=what, transient=True, console=Console(stderr=True))
