"""An input out of a number: Hypothesis draws it, and draws the same one again from the same number."""

from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import DataObject, data

from tests.fuzz.kinds import Input, Kind

EXAMPLES = 2  # Hypothesis's first example is always the simplest one, its second is drawn


def drawn(kind: Kind, number: int, place: Path) -> tuple[Input, Path]:
    """The input of this number, and the folder that was filled for it. `place` is an empty folder."""
    made: list[tuple[Input, Path]] = []
    tried = 0

    @seed(number)
    @settings(
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data())
    def draw_one(drawing: DataObject) -> None:
        nonlocal tried
        tried += 1
        folder = place / f"in{tried}"
        folder.mkdir()
        made.append((kind.make(drawing.draw, folder), folder))

    draw_one()
    return made[-1]
