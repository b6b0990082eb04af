"""Columns as frames, and the table per phase: pandas, which takes half a second to import."""

from collections.abc import Mapping, Sequence

import pandas as pd

from simulator.phases import phase_rows
from simulator.result import Result

Columns = Mapping[str, Sequence[object]]


def frame(columns: Columns, kinds: Mapping[str, type]) -> pd.DataFrame:
    """A frame of columns, with integers as rows. kinds: of the columns that are there also without a row."""
    found = dict(columns) or dict.fromkeys(kinds, ())
    return pd.DataFrame(found).astype({name: kinds.get(name, int) for name, each in found.items() if not len(each)})


def phase_table(result: Result) -> pd.DataFrame:
    """Rows FF, BP, WU, UP (those that occur) and step; columns cycles, seconds, utilisation, dense_cycles, speedup."""
    return pd.DataFrame([vars(row) for row in phase_rows(result)]).set_index("phase")
