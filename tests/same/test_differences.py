"""The comparison of `make same` finds a planted difference, and passes over wall times."""

from tests.same.__main__ import compare, differences


def test_a_changed_value_is_named_with_its_place() -> None:
    old = {"ops": [{"cycles": 1, "stalls": {"memory": 2}}, {"cycles": 3}], "cost": {"seconds": 0.1}}
    new = {"ops": [{"cycles": 1, "stalls": {"memory": 5}}, {"cycles": 3}], "cost": {"seconds": 0.2}}
    assert list(differences(old, new, "")) == ["ops[0].stalls.memory: 2, now 5"]
    assert list(differences(old, old, "")) == []


def test_lines_that_come_and_go_are_shown() -> None:
    (said,) = differences({"page": ["a", "b"]}, {"page": ["a", "c", "d"]}, "")
    assert said == 'page: 2 entries, now 3; gone ["b"]; new ["c", "d"]'


def test_a_case_that_is_missing_differs() -> None:
    assert compare({"a": {"out": 1}}, {}) == 1
    assert compare({"a": {"out": 1}}, {"a": {"out": 1}}) == 0
