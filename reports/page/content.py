"""What a page says: its sentence, its tables, and the conditions everything was found under."""

from collections.abc import Sequence

import pandas as pd

from reports.bands import known_band
from reports.bounds import bound_text, chips_text
from reports.energy import energy_card, energy_ratio, energy_total, has_energy
from reports.energy_tables import energy_by, entry_table
from reports.layers import layer_table
from reports.loss_tables import loss_table
from reports.losses import overlap_text, ratio
from reports.page.tables import PageTable, page_table
from reports.tiles import hil_table
from simulator.card import Card, Number
from simulator.card_parts import Json
from simulator.frames import phase_table
from simulator.phases import arithmetic_ceiling
from simulator.result import Result

TIMES, SHARE = "{:.2f}x", "{:.1%}"


def title_of(card: Card) -> str:
    """What ran, where, in a line."""
    sequence = f", sequence {card.sequence}" if card.sequence > 1 else ""
    method = card.method if card.is_dense else f"{card.method} {card.pattern}"
    return f"{card.model}, {method}, batch {card.batch}{sequence}, {card.mode}, on {card.arch}"


def summary(result: Result) -> str:
    """The result in a sentence or two."""
    card = result.card
    what = "step" if card.mode == "training" else "pass"
    text = (
        f"One {card.mode} {what} takes {result.seconds * 1e3:,.3f} ms "
        f"({result.cycles:,} cycles at {card.clock_mhz:g} MHz)"
    )
    if not card.is_dense and result.cycles:
        speedup, ceiling = result.over_baseline, arithmetic_ceiling(result)
        text += (
            f", {speedup:.2f} times as fast as the best dense schedule of the same machine "
            f"and {speedup / ceiling:.0%} of the {ceiling:.2f}x that its multiply-accumulates alone allow"
        )
        if (band := known_band(result)) is not None:
            text += f"; over everything assumed that is {band.speedup.low:.2f} to {band.speedup.high:.2f} times"
    if has_energy(result):
        mine, ratio_said = energy_total(result), energy_ratio(result)
        less = f"{ratio_said}; " if ratio_said else ""
        text += (
            f". It takes {mine.joules:.3g} J ({mine.low:.3g} to {mine.high:.3g} as the entries of the energy table go "
            f"through their ranges); {less}{mine.assumed_share:.0%} of it rests on assumed entries"
        )
    return text + "."


def fabric_texts(card: Card) -> list[str]:
    """What the kernel of a fabric does; of a product of matrices also what bounds it, and when more chips slow it."""
    said = [f"{card.more['kernel']} {card.more['kernel_does']}."] if "kernel" in card.more else []
    return [*said, *(say(card.more["fabric"]) for say in (bound_text, chips_text) if "fabric" in card.more)]


def result_texts(result: Result) -> list[str]:
    """What is said beside the result: of a fabric's kernel, and of ops that overlap."""
    return [*fabric_texts(result.card), *filter(None, [overlap_text(result)])]


def step_tables(result: Result) -> list[PageTable]:
    """The tables of the first part of the page."""
    phases = phase_table(result).rename(columns={"speedup": "speed-up"})
    phases["ms"] = phases.pop("seconds") * 1e3
    phases = phases[["cycles", "ms", "utilisation", "dense_cycles", "speed-up"]]
    tables = [
        page_table("phases", "Cycles, time, share of the PEs that multiply, and speed-up over the best dense schedule.",
                   phases, {"ms": "{:,.3f}", "utilisation": SHARE, "speed-up": TIMES}),
    ]  # fmt: skip
    if not result.card.is_dense:
        losses = loss_table(result).rename(columns={"speedup": "speed-up so far"})
        losses.index.name = "cycles spent on"
        tables.append(page_table("losses", "Where the rest of the ideal went: every cycle of the step is in one row.",
                                 losses, {"share": SHARE, "speed-up so far": TIMES}))  # fmt: skip
    if "fabric" in result.card.more:
        caption = (
            "About how many threads must be at work for this product to take as long as here, by the number of chips: "
            "where fewer have work, it is slower there, because a load takes longer. Other windows are left out."
        )
        chips = pd.DataFrame(result.card.more["fabric"]["chips"]).set_index("chips").sort_index()
        tables.append(page_table("chips", caption, chips, {"at_work": "{:,.0f}"}))
    return tables


def layer_page_table(result: Result) -> PageTable:
    """Every layer and phase that takes time."""
    table = layer_table(result)
    table["ms"] = table["cycles"] / (result.card.clock_mhz * 1e3)
    table["DRAM MB"] = table["dram_bytes"] / 1e6
    columns = [
        "pattern",
        "cycles",
        "ms",
        "dense_cycles",
        "speedup",
        "utilisation",
        "main stall",
        "main stall cycles",
        "DRAM MB",
    ]
    if "energy_j" in table:
        table["mJ"] = table["energy_j"] * 1e3
        columns.append("mJ")
    formats = {"ms": "{:,.3f}", "speedup": TIMES, "utilisation": SHARE, "DRAM MB": "{:,.2f}", "mJ": "{:,.3f}"}
    caption = "One row a layer, phase and kind of work that takes time. A heading sorts; the field above filters."
    return page_table(
        "layers",
        caption,
        table[columns].rename(columns={"speedup": "speed-up"}),
        {**formats, "speed-up": TIMES},
        wide=True,
    )


def energy_tables(result: Result) -> list[PageTable]:
    """Energy by component, phase and tensor, totals beside dense, and the entries. Each split sums to the total."""
    totals = []
    for name, each in (("this run", result), ("best dense", result.baseline)):
        total = energy_total(each)
        totals.append(
            {
                "run": name,
                "J": total.joules,
                "low J": total.low,
                "high J": total.high,
                "W": total.watts,
                "energy-delay product (J s)": total.energy_delay,
                "on assumed entries": total.assumed_share,
            }
        )
    units = {"mj": "mJ", "low_mj": "low mJ", "high_mj": "high mJ", "spread_mj": "spread mJ"}
    formats = {**dict.fromkeys(units.values(), "{:,.3f}"), "share": SHARE}
    less = f" {ratio_said}." if (ratio_said := energy_ratio(result)) else ""
    tables = [page_table("energy", f"Energy of the step.{less}", pd.DataFrame(totals).set_index("run"),
                         {"on assumed entries": SHARE})]  # fmt: skip
    for by in ("component", "phase", "tensor"):
        caption = f"Energy by {by} in millijoules, with the ends that the ranges of the entries give; sums to the step."
        tables.append(page_table(f"energy-{by}", caption, energy_by(result, [by]).rename(columns=units), formats))
    entries = entry_table(result)
    caption = "The entries in use: pJ an action or W, the energy on each, and how far its range moves the step."
    tables.append(page_table("energy-entries", caption, entries.rename(columns=units), formats, wide=True))
    return tables


def hil_tables(result: Result) -> list[PageTable]:
    """Tiles that hardware ran, by kind and one by one."""
    tiles, said = result.hil, result.card.hil
    if tiles is None or said is None:
        return []
    columns = ["layer", "phase", "dataflow", "pattern", "status", "values_from", "rows", "cols", "inner", "step_inner"]
    columns += ["pieces", "bits", "wrong_bits", "model_cycles", "hardware_cycles", "difference"]
    is_core = said["hardware"] == "core"
    what, whose = ("products", "core") if is_core else ("tiles", "array")
    caption = f"{what.capitalize()} by phase, dataflow and pattern; cycles are the {whose}'s own."
    every = f"Every {what[:-1]}; inner is the length of its reduction, step inner that of the step's."
    found = [
        page_table("hil", caption, hil_table(result), {"nonzero": SHARE}),
        page_table("hil-tiles", every, tiles.set_index("tile")[columns], wide=True),
    ]
    if is_core:
        waited = "Cycles in which the array could have begun but for a slot of a buffer, and in how many by simulation."
        return [*found, page_table("hil-waits", waited, _waits(said))]
    blocks = "Sampled blocks through SORE and WUVE, held against what training made of them."
    return [*found, page_table("hil-lanes", blocks, pd.DataFrame(said["lanes"]), wide=True)]


def _waits(said: Json) -> pd.DataFrame:
    return pd.DataFrame(
        {"layer": each["layer"], "phase": each["phase"], "buffer": name, "cycles": hardware, "simulated": simulated}
        for each in said["waits"]
        for name, (hardware, simulated) in each["buffers"].items()
    )


def number_table(card: Card) -> PageTable:
    """Every number of the machine with where it comes from."""
    rows = [{"number": path, "value": str(each.value), "range": _range(each), "provenance": each.provenance,
             "source": each.source} for path, each in card.numbers.items()]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["number", "value", "range", "provenance", "source"])
    return page_table("numbers", "Every number of the machine file, and where it comes from.", frame, wide=True)


def _range(number: Number) -> str:
    return "" if number.low is None or number.high is None else f"{number.low:g} to {number.high:g}"


def sensitivity_page_table(table: pd.DataFrame) -> PageTable:
    """How far each assumption moves the speed-up."""
    return page_table(
        "sensitivity", "The speed-up as each assumption goes, alone, through its range.",
        table, dict.fromkeys(("speedup_low", "speedup_high", "spread"), "{:.4f}"), wide=True,
    )  # fmt: skip


def compared_table(results: Sequence[Result], labels: Sequence[str]) -> PageTable:
    """A row a result."""
    rows = []
    for label, result in zip(labels, results, strict=True):
        card, seconds = result.card, result.seconds
        row: dict[str, object] = {
            "result": label,
            **{key: getattr(card, key) for key in ("arch", "model", "method", "pattern", "batch", "mode")},
            "cycles": result.cycles,
            "ms": seconds * 1e3,
            "samples/s": ratio(card.batch, seconds),
            "speed-up over its dense": result.over_baseline,
            "ceiling": arithmetic_ceiling(result),
        }
        if has_energy(result):
            total = energy_total(result)
            row |= {
                "J": total.joules,
                "low J": total.low,
                "high J": total.high,
                "J/sample": ratio(total.joules, card.batch),
                "J s": total.energy_delay,
                "energy table": energy_card(result).table,
            }
        rows.append(row)
    formats = {"ms": "{:,.3f}", "speed-up over its dense": TIMES, "ceiling": TIMES, "samples/s": "{:,.1f}"}
    return page_table(
        "compared",
        "One row a result; J s is the energy-delay product.",
        pd.DataFrame(rows).set_index("result"),
        formats,
        wide=True,
    )


def differences_table(results: Sequence[Result], labels: Sequence[str]) -> PageTable:
    """The numbers in which the machines of several results differ."""
    paths = list(dict.fromkeys(path for result in results for path in result.card.numbers))
    rows = []
    for path in paths:
        found = [result.card.numbers.get(path) for result in results]
        values = ["not there" if number is None else str(number.value) for number in found]
        if len(set(values)) > 1:
            rows.append({"number": path, **dict(zip(labels, values, strict=True))})
    frame = pd.DataFrame(rows, columns=["number", *labels])
    return page_table("differences", "Numbers in which the machines differ.", frame, wide=True)
