"""The room's README shows what the hardware does."""

from pathlib import Path

from rtl.diagram import both


def test_the_timing_diagram_is_that_of_a_simulation() -> None:
    text = (Path(__file__).parents[2] / "rtl/README.md").read_text()
    assert "\n".join(line.rstrip() for line in both().splitlines()) in text
