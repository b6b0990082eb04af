"""Frames as tables of a page: what a cell says, and the value it sorts by."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

LONG = 40  # texts from here on may be broken into lines
WIDE = 1000  # numbers from here on are written whole, with separators


@dataclass(frozen=True)
class Cell:
    text: str
    value: float | str
    numeric: bool

    @property
    def kind(self) -> str:
        """How it is set: numbers to the right, long texts in lines."""
        return "number" if self.numeric else "long" if len(self.text) > LONG else ""


@dataclass(frozen=True)
class PageTable:
    """`wide` tables get a filter; `caption` says what the rows are and in which units."""

    name: str
    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    wide: bool = False


def page_table(
    name: str, caption: str, frame: pd.DataFrame, formats: Mapping[str, str] | None = None, wide: bool = False
) -> PageTable:
    """A frame with its index as columns. `formats` are format strings by column."""
    frame = frame.reset_index() if frame.index.name or frame.index.nlevels > 1 else frame
    how = formats or {}
    columns = [str(column) for column in frame.columns]
    rows = [
        [_cell(value, how.get(column, "")) for column, value in zip(columns, row, strict=True)]
        for row in frame.itertuples(index=False, name=None)
    ]
    return PageTable(name, caption, [column.replace("_", " ") for column in columns], rows, wide)


def _cell(value: object, form: str) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell("" if value is None else str(value), "" if value is None else str(value), False)
    if math.isnan(value):
        return Cell("", -math.inf, True)
    return Cell(_number(float(value), form), float(value), True)


def _number(value: float, form: str) -> str:
    if form:
        return form.format(value)
    if abs(value) >= WIDE or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
