"""How long answers are waited for."""

from rtl.link.driver import FIRST, LEAST, MOST, Pace


def test_waiting_follows_answers() -> None:
    pace = Pace()
    assert pace.seconds == FIRST
    pace.answered(0.1)
    assert pace.seconds == 0.1 + 4 * 0.05
    for _ in range(100):
        pace.answered(0.1)
    assert 0.1 <= pace.seconds < 0.11
    pace.answered(0.5)
    assert pace.seconds > 0.5


def test_waiting_is_neither_too_short_nor_too_long() -> None:
    pace = Pace()
    pace.answered(1e-6)
    assert pace.seconds == LEAST
    waits = []
    for _ in range(10):
        pace.lost()
        waits.append(pace.seconds)
    assert waits[:2] == [2 * LEAST, 4 * LEAST]
    assert waits[-1] == MOST
