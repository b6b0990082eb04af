"""What `simulate sensitivity` shows: a band, what it was found from, and the numbers that a ratio hangs on most."""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.markup import escape

from reports import figures
from reports.output import csv_texts, text_table, wide_console, write_folder
from reports.terminal import headline
from simulator.card import Card
from simulator.card_parts import Band, Ends
from simulator.sensitivity.numbers import WORDS
from simulator.sensitivity.steps import ENERGY, SPEEDUP
from simulator.sensitivity.study import Found

STRONGEST = 10  # numbers in a table and in a picture
NAMES = {SPEEDUP: "speed-up", ENERGY: "energy ratio (dense over sparse)"}
UNITS = {SPEEDUP: "x", ENERGY: ""}
REASONS = 3  # why machines were refused, the most frequent first
PRICE = "energy."
NOTHING = "nothing but what stands in the file"


def band_sentences(band: Band) -> list[str]:
    """What a band is of, its ends with the settings that give them, and what was refused."""
    end = "found nothing better in a whole pass" if band.ended else "was stopped at its limit (--search)"
    said = [
        f"{band.numbers} assumed numbers of the machine and {band.prices} assumed prices of energy, all at once: "
        f"{band.samples:,} samples of a Latin hypercube (seed {band.seed}), each number's two ends alone, and a search "
        f"from the best and the worst sample, which {end}; {band.simulations:,} simulations.",
        "Whole numbers stay whole, and a range is drawn on a log scale where its high end is at least 4 times its low "
        "one. Left out: switches, words, numbers without a range, and what --set has changed.",
    ]
    if band.all_refused:
        said.append(
            f"{band.all_refused:,} simulations, {band.refused:,} of them samples, were of machines that cannot run the "
            "step: they count for nothing."
        )
    return said + [sentence for ratio, ends in ends_of(band).items() for sentence in _ends_sentences(ratio, ends)]


def ends_of(band: Band) -> dict[str, Ends]:
    """The ends of every ratio that a band has."""
    found = {SPEEDUP: band.speedup, ENERGY: band.energy_ratio}
    return {ratio: ends for ratio, ends in found.items() if ends is not None}


def _ends_sentences(ratio: str, ends: Ends) -> list[str]:
    unit = UNITS[ratio]
    value = f"{NAMES[ratio]}: {ends.value:.3f}{unit}, {ends.low:.3f}{unit} to {ends.high:.3f}{unit} over all of that"
    return [
        value.capitalize(),
        f"  lowest with {_settings(ends.low_settings)}",
        f"  highest with {_settings(ends.high_settings)}",
    ]


def _settings(settings: Sequence[str]) -> str:
    """Settings in words; of the prices only how many there are."""
    numbers = [each for each in settings if not each.startswith(PRICE)]
    prices = len(settings) - len(numbers)
    said = [", ".join(numbers)] * bool(numbers) + [f"{prices} prices of energy at one end (--json)"] * bool(prices)
    return " and ".join(said) or NOTHING


def number_table(found: Found) -> pd.DataFrame:
    """A row a number and a price: value, low, high; each ratio at its ends, all others as they stand; rank correlation.

    The rank correlation (Spearman's) is that with the ratio over the samples that could be run. Columns speedup_low,
    speedup_high, speedup_rank, energy_ratio_low, ...; NaN where a machine was refused, and for a price's speed-up.
    """
    ran = [(values, ratios) for values, ratios in found.samples if ratios is not None]
    ranks = pd.DataFrame([values for values, _ in ran]).rank()
    table = pd.DataFrame(
        {
            "number": [each.path for each in found.varied],
            **{name: [getattr(each, name) for each in found.varied] for name in ("value", "low", "high")},
        }
    )
    for ratio in ends_of(found.band):
        for place, end in enumerate(("low", "high")):
            alone = (both[place] for both in found.alone)
            table[f"{ratio}_{end}"] = pd.Series([each and each.of(ratio) for each in alone], dtype=float)
        against = pd.Series([ratios.of(ratio) for _, ratios in ran]).rank()
        moves = against.nunique() > 1
        table[f"{ratio}_rank"] = [ranks[n].corr(against) if moves else float("nan") for n in range(len(found.varied))]
    is_price = table.index >= found.band.numbers
    table.loc[is_price, [name for name in table if str(name).startswith(SPEEDUP)]] = float("nan")
    return table.set_index("number")


def strongest(table: pd.DataFrame, ratio: str) -> pd.DataFrame:
    """The numbers that a ratio hangs on most, by the size of their rank correlation.

    Columns value, low, high, ratio_low, ratio_high, rank.
    """
    names = {f"{ratio}_low": "ratio_low", f"{ratio}_high": "ratio_high", f"{ratio}_rank": "rank"}
    mine = table[["value", "low", "high", *names]].rename(columns=names)
    order = mine["rank"].abs().sort_values(ascending=False, kind="stable").dropna().index
    return mine.loc[order[:STRONGEST]]


def print_found(found: Found, card: Card) -> None:
    """The band with its ends, why machines were refused, and the strongest numbers of each ratio."""
    console, table = wide_console(), number_table(found)
    console.print(f"[bold]{escape(headline(card))}[/]")
    for sentence in band_sentences(found.band):
        console.print(sentence, markup=False)
    reasons = sorted(found.refused.items(), key=lambda each: -each[1])
    for reason, times in reasons[:REASONS]:
        console.print(f"  refused {times:,} times: {reason}", markup=False)
    for ratio in ends_of(found.band):
        console.print(f"\n[bold]The {NAMES[ratio]} hangs most on[/] (rank correlation over the samples)")
        unit, heads = UNITS[ratio], ["number", "value", "low", "high", "alone at low", "alone at high", "correlation"]
        rows = [_cells(str(name), row, unit) for name, row in strongest(table, ratio).to_dict("index").items()]
        console.print(text_table(heads, heads[:1], rows))


def _cells(name: str, row: Mapping[Hashable, float], unit: str) -> list[str]:
    alone = ["refused" if pd.isna(row[end]) else f"{row[end]:.3f}{unit}" for end in ("ratio_low", "ratio_high")]
    words, values = WORDS.get(name), [row[each] for each in ("value", "low", "high")]
    said = [words[int(each)] if words else f"{each:.12g}" for each in values]
    return [name, *said, *alone, f"{row['rank']:+.2f}"]


def sample_table(found: Found) -> pd.DataFrame:
    """A row a sample: every number and price, and both ratios, empty for a machine that was refused."""
    names = [each.path for each in found.varied]
    rows = [
        {**dict(zip(names, values, strict=True)), **{ratio: ratios and ratios.of(ratio) for ratio in NAMES}}
        for values, ratios in found.samples
    ]
    return pd.DataFrame(rows)


def found_json(found: Found) -> str:
    """The band, every number with its ends and correlations, and why machines were refused."""
    numbers = json.loads(number_table(found).reset_index().to_json(orient="records", double_precision=6))
    return json.dumps({"band": asdict(found.band), "numbers": numbers, "refused": found.refused}, indent=1)


def write_found(found: Found, folder: Path, work: str) -> bool:
    """sensitivity.json, numbers.csv, samples.csv and the picture; whether there is one.

    Raises UserError where they cannot be written.
    """
    table = number_table(found)
    texts = csv_texts({"numbers": table}, 6, index=True) | csv_texts({"samples": sample_table(found)}, 6)
    texts["sensitivity.json"] = f"{found_json(found)}\n"
    panels = [(NAMES[ratio], ends, strongest(table, ratio)) for ratio, ends in ends_of(found.band).items()]
    return write_folder(folder, texts, lambda: {"sensitivity": figures.band_figure(panels, work)})
