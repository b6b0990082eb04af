"""One table of what `make bench` has measured beside what was committed: `python -m tests.bench.table [--commit]`.

Machines differ, and one machine differs from hour to hour, so every time is divided by a yardstick: the mean time that
fixed work in Python and numpy takes in the same run, before and after every benchmark (`conftest.py`). Ratios are those
of such quotients. `--commit` takes the run into `reports/results/bench/bench.csv`, row by row; other rows stay there.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reports.output import text_table, wide_console, write_files

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / ".benchmarks/now.json"  # where `make bench` leaves its run
COMMITTED = ROOT / "reports/results/bench/bench.csv"
SLOWER = 1.25  # times what was committed
COLUMNS = ("cpu_ms", "yardstick_ms", "peak_mib", "rounds", "load", "note", "machine")
SHOWN = ("benchmark", "CPU ms", "committed", "ratio", "", "peak MiB", "committed", "note")


def measured(path: Path) -> pd.DataFrame:
    """A row a benchmark of a run, from the JSON of pytest-benchmark: medians, and on what they were measured.

    load: how many processes wanted a CPU when the benchmark began. The yardstick is the mean of the whole run: from one
    minute to the next it moves by a third where others work on the same cores, which benchmarks do not.
    """
    whole = json.loads(path.read_text(encoding="utf-8"))
    about, cpu = whole["machine_info"], whole["machine_info"]["cpu"]
    machine = f"{cpu['count']} x {cpu.get('brand_raw', about['machine'])}, Python {about['python_version']}"
    yardstick = statistics.mean(each["extra_info"]["yardstick"] for each in whole["benchmarks"])
    rows = {in_words(each["name"]): (*_numbers(each, yardstick), machine) for each in whole["benchmarks"]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS).rename_axis("benchmark")


def _numbers(found: Mapping[str, Any], yardstick: float) -> tuple[object, ...]:
    more, stats = found["extra_info"], found["stats"]
    times = 1000 * stats["median"], 1000 * yardstick
    return *times, more.get("peak_mib"), stats["rounds"], more["load"], more.get("note", "")


def in_words(test: str) -> str:
    """The name of a benchmark's test as the table has it: `test_sweep[16 machines]` is "sweep: 16 machines"."""
    name, bracket, case = test.partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f": {case.removesuffix(']')}" if bracket else "")


def committed(path: Path) -> pd.DataFrame:
    """The rows that were committed; none where nothing was."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS).rename_axis("benchmark")
    return pd.read_csv(path, index_col="benchmark", dtype={"note": "str"}).fillna({"note": ""})


def show(now: pd.DataFrame, before: pd.DataFrame) -> None:
    """Print the table, the names of what is gone, and how many are slower."""
    out, old = wide_console(), before.reindex(now.index)
    ratios = (now.cpu_ms / now.yardstick_ms) / (old.cpu_ms / old.yardstick_ms)
    out.print(f"CPU time, medians of rounds. Ratio: (now / its yardstick) / (committed / its yardstick), where the "
              f"yardstick is the\ntime of fixed work in Python and numpy, the mean of the whole run.\n"
              f"now:       {_conditions(now)}\ncommitted: {_conditions(before)}\n")  # fmt: skip
    numbers = zip(now.cpu_ms, old.cpu_ms, ratios, now.peak_mib, old.peak_mib, strict=True)
    rows = ([name, _short(cpu), _short(cpu_before), "" if pd.isna(ratio) else f"{ratio:.2f}", _word(ratio),
             _short(peak), _short(peak_before), now.note[name]]
            for name, (cpu, cpu_before, ratio, peak, peak_before) in zip(now.index, numbers, strict=True))  # fmt: skip
    out.print(text_table(SHOWN, ("benchmark", "", "note"), rows))
    gone = before.index.difference(now.index, sort=False)
    if len(gone):
        out.print(f"\ncommitted, but not measured now: {'; '.join(gone)}")
    out.print(f"\n{sum(ratios > SLOWER)} of {len(now)} slower by more than a quarter")


def _word(ratio: float) -> str:
    return "new" if pd.isna(ratio) else "SLOWER" if ratio > SLOWER else ""


def _short(value: float) -> str:
    return "" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _conditions(rows: pd.DataFrame) -> str:
    """On what machines rows were measured, under what load, and how long the yardstick took there."""
    if rows.empty:
        return "nothing"
    load, yardstick = _range(rows.load), _range(rows.yardstick_ms)
    return f"{'; '.join(rows.machine.unique())}; load {load}; yardstick {yardstick} ms"


def _range(values: pd.Series) -> str:
    ends = dict.fromkeys((_short(values.min()), _short(values.max())))
    return " to ".join(ends)


def taken_over(now: pd.DataFrame, before: pd.DataFrame) -> str:
    """The committed rows as CSV, with those that were measured in their place and new ones behind them."""
    order = [*before.index, *now.index.difference(before.index, sort=False)]
    kept = before.drop(now.index, errors="ignore")
    rows = now if kept.empty else pd.concat([kept, now])
    return rows.loc[order].round({"cpu_ms": 2, "yardstick_ms": 2, "peak_mib": 1, "load": 1}).to_csv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=MEASURED, metavar="JSON")
    parser.add_argument("--committed", type=Path, default=COMMITTED, metavar="CSV")
    parser.add_argument("--commit", action="store_true", help="take the measured rows for the committed ones")
    asked = parser.parse_args()
    now, before = measured(asked.measured), committed(asked.committed)
    show(now, before)
    if asked.commit:
        write_files({asked.committed: taken_over(now, before).encode()})


if __name__ == "__main__":
    main()
