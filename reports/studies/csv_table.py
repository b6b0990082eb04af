"""A table in CSV that a study is given: small, and read by the columns that the study needs alone."""

import csv
from collections.abc import Collection
from io import StringIO
from pathlib import Path

from workloads.errors import UserError
from workloads.files.reading import read_text

BYTES = 256 * 1024  # on disk; ours have 2 kB
ROWS = 1_000  # each is a step that is simulated, and held against every other; ours have 13


def read_csv(path: Path, what: str, wanted: Collection[str]) -> list[dict[str, str]]:
    """The rows with the columns in `wanted`, as far as the table has them; a cell that a row has not is empty.

    what: "an area table is CSV". A header may be far wider than its rows, or they than it, at no cost. Raises UserError
    for what is no CSV, and for a larger table.
    """
    text = read_text(path, what, BYTES)
    try:
        lines = [line for line in csv.reader(StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise UserError(f"{path}: {what}: {error}") from None
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    if len(rows) > ROWS:
        raise UserError(f"{path}: has {len(rows):,} rows, and {ROWS:,} are read")
    places = {name: header.index(name) for name in sorted(wanted) if name in header}
    return [{name: row[at] if at < len(row) else "" for name, at in places.items()} for row in rows]
