"""Throughput against the ratio of bank sparsity: tables, on a terminal and as CSV."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from reports.terminal import wide_console
from workloads.errors import UserError

SMALL = 0.005  # a share of the time that is not worth a word
BOUNDS = ("compute", "dense compute", "vector", "DRAM", "NoC", "host")


def sparsity_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A row a model and ratio, made from `rate` (samples_per_second, tera_ops, peak_share, bounds, mapping).

    `ideal` is the dense rate times the ratio; `speedup` over dense; `bound` what most of the time is bound by; a column
    a bound with the share of the time under it.
    """
    found = []
    dense: dict[str, float] = {}
    for row in rows:
        rate = row["rate"]
        first = dense.setdefault(row["model"], rate.samples_per_second / row["ratio"])
        found.append(
            {
                **{name: row[name] for name in ("model", "batch", "ratio", "pattern")},
                "samples_per_second": rate.samples_per_second,
                "speedup": rate.samples_per_second / first,
                "ideal": first * row["ratio"],
                "dense_tera_ops": rate.tera_ops,
                "peak_share": rate.peak_share,
                "mapping": rate.mapping,
                "bound": rate.bound,
                **{name: rate.bounds.get(name, 0.0) for name in BOUNDS},
            }
        )
    return pd.DataFrame(found)


def pair_table(table: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Larger models at each ratio beside smaller dense ones: how many times as fast the larger one is."""
    rows = []
    for larger, smaller in pairs:
        dense = table[(table["model"] == smaller) & (table["ratio"] == 1)]["samples_per_second"].iloc[0]
        for _, row in table[table["model"] == larger].iterrows():
            rows.append(
                {
                    "larger": larger,
                    "ratio": row["ratio"],
                    "samples_per_second": row["samples_per_second"],
                    "smaller": smaller,
                    "dense_samples_per_second": dense,
                    "times_as_fast": row["samples_per_second"] / dense,
                }
            )
    return pd.DataFrame(rows)


def print_sparsity(machine: str, table: pd.DataFrame, beside: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """The three tables."""
    console = wide_console()
    console.print(f"[bold]Inference on {machine}[/]: throughput against the ratio, and what bounds it")
    columns = ["model", "batch", "ratio", "samples/s", "speed-up", "ideal", "of peak", "time bound by", "mapping"]
    shown = _table(columns)
    for each in table.to_dict("records"):
        shown.add_row(
            str(each["model"]),
            str(each["batch"]),
            f"{each['ratio']}x",
            _rate(each["samples_per_second"]),
            f"{each['speedup']:.2f}x",
            _rate(each["ideal"]),
            f"{each['peak_share']:.0%}",
            ", ".join(f"{name} {each[name]:.0%}" for name in BOUNDS if each[name] >= SMALL),
            str(each["mapping"]),
        )
    console.print(shown)
    console.print("\n[bold]GPUs beside it[/] (rooflines with overheads, derived)")
    gpus = _table(["model", "machine", "pattern", "batch", "samples/s", "bound by"])
    for each in beside.to_dict("records"):
        rate = _rate(each["samples_per_second"])
        gpus.add_row(
            str(each["model"]), str(each["machine"]), str(each["pattern"]), str(each["batch"]), rate, str(each["bound"])
        )
    console.print(gpus)
    if len(pairs):
        console.print("\n[bold]Larger and sparser against smaller and dense[/]")
        both = _table(["larger", "ratio", "samples/s", "smaller, dense", "its samples/s", "times as fast"])
        for each in pairs.to_dict("records"):
            theirs = _rate(each["dense_samples_per_second"])
            both.add_row(
                str(each["larger"]),
                f"{each['ratio']}x",
                _rate(each["samples_per_second"]),
                str(each["smaller"]),
                theirs,
                f"{each['times_as_fast']:.2f}x",
            )
        console.print(both)


def write_sparsity(folder: Path, table: pd.DataFrame, beside: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Write sparsity.csv, gpus.csv and larger-and-sparser.csv. Raises UserError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        table.round(4).to_csv(folder / "sparsity.csv", index=False)
        beside.round(4).to_csv(folder / "gpus.csv", index=False)
        pairs.round(4).to_csv(folder / "larger-and-sparser.csv", index=False)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        words = ("model", "machine", "pattern", "bound by", "time bound by", "mapping", "larger", "smaller, dense")
        table.add_column(name, justify="left" if name in words else "right")
    return table


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
