from collections import Counter

from simulator.hil.strata import drawn
from tests.hil.small import step


def test_the_same_seed_draws_the_same_and_more_begin_with_fewer() -> None:
    strata = step().strata
    assert drawn(strata, 30, 5) == drawn(strata, 90, 5)[:30]
    assert drawn(strata, 30, 5) != drawn(strata, 30, 6)
    assert drawn([], 30, 5) == []


def test_few_tiles_are_in_every_kind() -> None:
    strata = step().strata
    kinds = {stratum.kind for stratum in strata}
    assert {draw.stratum.kind for draw in drawn(strata, len(kinds), 1)} == kinds


def test_as_many_tiles_as_classes_are_in_every_class() -> None:
    strata = step().strata
    counts = Counter(id(draw.stratum) for draw in drawn(strata, 2 * len(strata), 1))
    assert set(counts.values()) == {2} and len(counts) == len(strata)


def test_classes_say_layer_phase_dataflow_and_pattern() -> None:
    keys = {stratum.key for stratum in step().strata}
    assert ("layer1.0.conv1", "WU", "output-stationary", "dense") in keys
    assert any(key[1] == "BP" and key[3] == "2:8" for key in keys)
