"""Energy as frames: by component, phase and tensor, and by entry of the table in force."""

from collections.abc import Sequence

import pandas as pd

from reports.energy import energy_card, energy_sums
from simulator.result import Result

ENTRY_COLUMNS = ["entry", "value", "unit", "low", "high", "provenance", "mj", "share", "spread_mj", "source"]
ENDS = ["mj", "low_mj", "high_mj"]
MJ_PER_J = 1e3


def energy_by(result: Result, by: Sequence[str]) -> pd.DataFrame:
    """Millijoules by any of component, phase, tensor, kind, entry, layer: columns mj, low_mj, high_mj, share."""
    rows = [[*key, *sums] for key, sums in energy_sums(result, by).items()]
    table = pd.DataFrame(rows, columns=[*by, *ENDS]).set_index(list(by)) * MJ_PER_J
    total = float(table["mj"].sum())
    return table.assign(share=table["mj"] / total if total else 0.0)


def entry_table(result: Result) -> pd.DataFrame:
    """Every entry in use: its price with range and source, the energy on it, and how far its range alone moves it.

    Raises ValueError without an energy table.
    """
    entries, rows = energy_card(result).entries, []
    for name, used in energy_by(result, ["entry"]).iterrows():
        price = vars(entries[str(name)])
        row = {"entry": name, **{key: price[key] for key in ("value", "unit", "low", "high", "provenance")}}
        row |= {"mj": used["mj"], "share": used["share"], "spread_mj": used["high_mj"] - used["low_mj"]}
        rows.append({**row, "source": price["source"]})
    table = pd.DataFrame(rows, columns=ENTRY_COLUMNS)
    return table.set_index("entry").sort_values("spread_mj", ascending=False)
