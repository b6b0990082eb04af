"""The study of SMASH: how kernels rank over size, skew and density, what bounds each, and what a crossing hangs on.

No order is hoped for: ranks are what the runs give. The published 9.4x has a baseline and inputs that could not be
read, so it stands beside the ratio of every pair and confirms none.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise

import pandas as pd
from rich.console import Console

from reports.output import wide_console

UNKNOWN = "unknown"
PUBLISHED_RATIO = 9.4  # arXiv 2105.14156, abstract; reports/published/piuma.csv


def rank_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows points of the study, columns kernels, values ranks by cycles, 1 the fastest."""
    table = runs.pivot_table(index=["sweep", "point", "matrix"], columns="kernel", values="cycles", sort=False)
    return table.rank(axis=1).astype("Int64")


def published_of(faster: str, slower: str) -> float | str:
    """What was published of a pair: SMASH beside a competing approach, of which nobody says which; else nothing was."""
    return PUBLISHED_RATIO if _is_smash(faster) and not _is_smash(slower) else UNKNOWN


def _is_smash(kernel: str) -> bool:
    return kernel.startswith("smash")


def pair_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Every ordered pair at every point that the first wins: ratio of cycles, and what was published of such a pair."""
    rows = [
        {
            "sweep": sweep,
            "matrix": matrix,
            "faster": one["kernel"],
            "slower": other["kernel"],
            "ratio": other["cycles"] / one["cycles"],
            "published": published_of(one["kernel"], other["kernel"]),
            "bound_faster": one["bound"],
            "bound_slower": other["bound"],
        }
        for (sweep, matrix), group in runs.groupby(["sweep", "matrix"], sort=False)
        for one in group.to_dict("records")
        for other in group.to_dict("records")
        if one["cycles"] < other["cycles"]
    ]
    return pd.DataFrame(rows)


def crossings(runs: pd.DataFrame) -> pd.DataFrame:
    """Where two kernels change places between neighbouring points of a sweep, and what bounds each on either side."""
    rows: list[dict[str, object]] = []
    for sweep, group in runs.groupby("sweep", sort=False):
        by_kernel = {str(kernel): each.set_index("point") for kernel, each in group.groupby("kernel", sort=False)}
        points = list(dict.fromkeys(group["point"]))
        for before, after in pairwise(points):
            rows += _crossed(str(sweep), by_kernel, before, after)
    return pd.DataFrame(rows)


def _crossed(
    sweep: str, by_kernel: Mapping[str, pd.DataFrame], before: float, after: float
) -> Iterable[dict[str, object]]:
    both = [name for name, table in by_kernel.items() if before in table.index and after in table.index]
    for one, other in combinations(both, 2):
        first, second = by_kernel[one], by_kernel[other]
        times = (first["cycles"], second["cycles"], first["bound"], second["bound"])
        ours, theirs, our_bound, their_bound = (each.to_dict() for each in times)
        ratios = [theirs[place] / ours[place] for place in (before, after)]
        if (ratios[0] - 1) * (ratios[1] - 1) < 0:
            yield {
                "sweep": sweep,
                "between": f"{before:g} and {after:g}",
                "first": one,
                "second": other,
                "ratio_before": ratios[0],
                "ratio_after": ratios[1],
                "bounds_before": f"{our_bound[before]} | {their_bound[before]}",
                "bounds_after": f"{our_bound[after]} | {their_bound[after]}",
            }


def print_study(tables: Mapping[str, pd.DataFrame]) -> None:
    """Ranks, SMASH's ratios beside the published one, crossings, results against the thesis's order, the error."""
    console = wide_console()
    console.print("[bold]Rank by cycles, 1 the fastest[/]")
    console.print(tables["ranks"].droplevel("point").to_string())
    _print_ratios(console, tables["runs"])
    console.print("[bold]Where two change places, and what bounds each (first | second)[/]")
    crossed = tables["crossings"]
    console.print("none" if crossed.empty else crossed.to_string(index=False, float_format="{:.2f}".format))
    console.print("[bold]Where a later version is not faster than the one before, and what turns that round[/]")
    against = tables["against-the-order"]
    console.print("nowhere" if against.empty else against.to_string(index=False, float_format="{:.3f}".format))
    errors = tables["interleaved"].groupby("setting", sort=False)["error"].agg(["min", "max"])
    console.print("[bold]Error of the event model against every instruction in turn, on small matrices[/]")
    console.print(errors.to_string(float_format="{:+.1%}".format))


def _print_ratios(console: Console, runs: pd.DataFrame) -> None:
    table = runs.pivot_table(index=["sweep", "point", "matrix"], columns="kernel", values="cycles", sort=False)
    ratios = table.div(table["smash-v3"], axis=0).droplevel("point")
    console.print(
        f"[bold]Cycles over smash-v3's[/] (published: {PUBLISHED_RATIO}x over 'competing approaches mapped to PIUMA'; "
        f"which, and on what, is not known; every other pair is in pairs.csv)"
    )
    console.print(ratios.to_string(float_format="{:.2f}".format))


def study_texts(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Every table as CSV."""
    return {f"{key}.csv": each.to_csv(index=key == "ranks", float_format="%.6g") for key, each in tables.items()}
