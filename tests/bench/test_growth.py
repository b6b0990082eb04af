"""The plot of `make bench-growth`, from its committed table."""

import pandas as pd

from tests.bench.growth import FOLDER, LABELS, VALUES, drawn


def test_every_size_is_drawn_under_axes_that_say_what_they_are() -> None:
    table = pd.read_csv(FOLDER / "growth.csv")
    panels = drawn(table).axes
    assert [axes.get_ylabel() for axes in panels] == [words for words in VALUES.values() for _ in LABELS]
    assert [axes.get_xlabel() for axes in panels[len(LABELS) :]] == list(LABELS.values())
    assert sum(len(line.get_xdata()) for axes in panels for line in axes.lines) == len(VALUES) * len(table)
