"""Which assumptions can explain published points, which are excluded, and whether one set explains several."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from rich.table import Table

from reports.output import csv_texts, text_table, wide_console

TOLERANCE = 0.1  # ours counts as theirs within this share: what a model of this kind can claim, assumed
SHARED = ("precision", "split", "rest")


@dataclass(frozen=True)
class Tried:
    """A case under a set of shared assumptions, and its rates at the efficiencies that were run."""

    model: str
    precision: str
    ratio: int
    inputs: str
    split: str
    rest: str
    rates: Sequence[float]

    @property
    def shared(self) -> dict[str, str]:
        return {"precision": self.precision, "split": self.split, "rest": self.rest}


def verdict(lowest: float, highest: float, published: float) -> str:
    """Whether the published rate lies between the worst and the best ends of all ranges."""
    if highest < published:
        return f"excluded: at its best {highest / published:.0%} of the published rate"
    if lowest > published:
        return f"excluded: at its worst {lowest / published:.1f}x the published rate"
    return "can explain it"


def needed_efficiency(rates: Sequence[float], efficiencies: Sequence[float], wanted: float) -> float:
    """The efficiency at which the rate is as wanted, between those that were run; NaN outside them."""
    if not rates[0] <= wanted <= rates[-1]:
        return float("nan")
    return float(np.interp(wanted, rates, efficiencies))


def explaining(rates: Sequence[float], efficiencies: Sequence[float], published: float) -> tuple[float, float] | None:
    """The efficiencies at which a rate comes within the tolerance of the published one; None where there are none."""
    low, high = published * (1 - TOLERANCE), published * (1 + TOLERANCE)
    if rates[-1] < low or rates[0] > high:
        return None
    ends = [min(max(wanted, rates[0]), rates[-1]) for wanted in (low, high)]
    return needed_efficiency(rates, efficiencies, ends[0]), needed_efficiency(rates, efficiencies, ends[1])


def set_table(
    tried: Sequence[Tried], efficiencies: Sequence[float], targets: Mapping[str, float], models: tuple[str, str]
) -> pd.DataFrame:
    """Sets of shared assumptions (precision, split of the product, the rest, a range of efficiencies) and, for each
    model, the ratio and inputs with which the set explains its point."""
    spans = [(each, explaining(each.rates, efficiencies, targets[each.model])) for each in tried]
    known = [(each, span) for each, span in spans if span is not None]
    found = []
    for (one, first), (two, second) in product(known, known):
        low, high = max(first[0], second[0]), min(first[1], second[1])
        if (one.model, two.model) == models and one.shared == two.shared and low <= high:
            ways = (one.ratio, two.ratio, two.inputs)
            found.append((*one.shared.values(), *ways, low, high))
    names = [f"{models[0]} ratio", f"{models[1]} ratio", f"{models[1]} inputs", "efficiency from", "efficiency to"]
    return pd.DataFrame(found, columns=[*SHARED, *names])


def conclusions(targets: Mapping[str, float], bands: pd.DataFrame, sets: pd.DataFrame) -> list[str]:
    """What the tables say, a sentence a point and one for both."""
    said = []
    for model, published in targets.items():
        mine = bands[bands["model"] == model]
        can = mine[mine["verdict"].str.startswith("can")]
        if can.empty:
            said.append(f"{model} at {published:,.0f} a second: no ratio and no assumption in its range explains it.")
            continue
        ways = [" ".join(str(part) for part in _way(row)) for row in can.to_dict("records")]
        said.append(
            f"{model} at {published:,.0f} a second can be explained by {'; '.join(ways)}. All else is excluded."
        )
    if sets.empty:
        said.append(f"No single set of assumptions explains both within {TOLERANCE:.0%}.")
        return said
    nominal = sets[sets["rest"] == "nominal"]
    kinds = sets[["precision", "rest"]].drop_duplicates().to_dict("records")
    words = ", ".join(f"{each['precision']} with the rest at its {each['rest']}" for each in kinds)
    said.append(f"One set explains both within {TOLERANCE:.0%} in {len(sets)} ways: {words}.")
    if nominal.empty:
        said.append("None of them has the rest as it stands in the machine file.")
    padded = sets[sets.filter(like="inputs").iloc[:, 0].str.startswith("padded")]
    if padded.empty:
        said.append("None of them pads all texts to the longest: the BERT point hangs on shorter inputs.")
    return said


def print_explained(targets: Mapping[str, float], bands: pd.DataFrame, sets: pd.DataFrame, moved: pd.DataFrame) -> None:
    """The bands, the sets, what moves the nearest cases, and the conclusions."""
    console = wide_console()
    console.print("[bold]Published points[/] inside what the ranges of all assumptions allow (samples a second)")
    console.print(_table(bands))
    console.print("\n[bold]One set for both points[/]")
    console.print(_table(sets) if len(sets) else "none")
    console.print("\n[bold]What the nearest case of each point hangs on[/], one assumption at a time through its range")
    console.print(_table(moved))
    for sentence in conclusions(targets, bands, sets):
        console.print(f"\n{sentence}", highlight=False)
    console.print(
        "\nNothing is fitted: efficiency, split of clock and MACs, precision, ratio, inputs and all ranges are assumed "
        "and named in the machine file; the published rates enter only these comparisons."
    )


def explained_texts(
    targets: Mapping[str, float], bands: pd.DataFrame, sets: pd.DataFrame, moved: pd.DataFrame
) -> dict[str, str]:
    """explained.csv, one-set.csv, assumptions.csv and conclusions.txt."""
    said = {"conclusions.txt": "".join(f"{sentence}\n" for sentence in conclusions(targets, bands, sets))}
    return {**csv_texts({"explained": bands}, 3), **csv_texts({"one-set": sets, "assumptions": moved}, 4), **said}


def _way(row: Mapping[Hashable, object]) -> list[str]:
    inputs = [f"({row['inputs']})"] if row["inputs"] else []
    return [f"{row['ratio']}x", str(row["precision"]).upper(), *inputs]


def _table(frame: pd.DataFrame) -> Table:
    names = [str(column) for column in frame.columns]
    left = [str(column) for column in frame.columns if frame[column].dtype == object]
    return text_table(names, left, (map(_cell, row.values()) for row in frame.to_dict("records")))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return str(value)
