"""S4: the vendor's MLPerf points, and which ratios and assumptions can explain them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from reports import figures
from reports.checks.base import Check, CheckSuite, Request
from reports.checks.explained import Tried, print_explained, set_table, verdict, write_explained
from reports.checks.published import by_item
from reports.checks.s4_cases import BERT, EFFICIENCIES, NOMINAL_EFFICIENCY, POINTS, RESNET, SPLITS, Case, Surroundings
from reports.output import save_pictures, tracked
from workloads.errors import UserError
from workloads.lengths import SQUAD_LIKE
from workloads.provenance import Provenance

FIRST = next(iter(SPLITS))
Row = dict[str, object]


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
        write_explained(request.out, targets, bands, sets, moved)
        save_pictures(request.out, lambda: {"explained": figures.explained_figure(targets, bands)})


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
