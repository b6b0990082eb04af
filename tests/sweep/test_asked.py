"""What a sweep may ask for: everything is counted before it is made, and every refusal is a sentence."""

from pathlib import Path

import pytest

from simulator.expression import value_of
from simulator.sweep.asked import from_grid, read_spec
from simulator.sweep.checks import checked
from simulator.sweep.spec import expand, joined
from tests.command import Run
from workloads.errors import UserError
from workloads.files.limits import LIMITS, parse_limits

DOUBLING = "tie:\n  a0: &a0 [x]\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))
POINT = ("--model", "resnet9", "--pattern", "2:8")
LARGE = ("batch=1..1000:1", "array.rows=1..1000:1", "array.cols=1..1000:1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DOUBLING, "has more than 20,000 values, aliases written out"),
        ("model: a\nlimit: [points=1000000]", "f.yaml:2: unknown key 'limit'"),
        ("model: a\npatern: 2:8", "f.yaml:2: unknown key 'patern'; did you mean 'pattern'?"),
        ("model: [[a]]", "f.yaml:1: model: give a value or a list of values"),
        ("model: []", "f.yaml:1: model: give a value or a list of values"),
        ("set:\n  array.rows: {x: 1}", "f.yaml:2: set.array.rows: give a value or a list of values"),
        ("set: 3", "f.yaml:1: set: input should be a valid dictionary"),
        (
            "set:\n  array.rows: 1..100000000000:1",
            "f.yaml:2: set.array.rows: '1..100000000000:1': a range of 100,000,0",
        ),
        ("tie: {array.rows: [1]}", "f.yaml:1: tie.array.rows: give one value"),
        ("where: {a: b}", "f.yaml:1: where: give a value or a list of values"),
        ("points: 3", "f.yaml:1: points: input should be a valid list"),
        ("points:\n- {array.rows: 8}\n- {array.rows: [8]}", "f.yaml:3: points.1.array.rows: give one value"),
        ("points:\n- 3", "f.yaml:1: points.0: input should be a valid dictionary"),
        ("batch: " + "9" * 320, "f.yaml:1: a number of 320 digits; 40 are read"),
        ("- a", "a sweep is a mapping with some of arch, model"),
    ],
)
def test_an_odd_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_spec(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--grid", "array.rows=1..100000000000:1"), "a range of 100,000,000,000 values; an axis has 2,000 at most"),
        (("--grid", f"array.rows=1..{'9' * 5000}:1"), "a range with a number of more than 40 digits"),
        (("--grid", f"batch={'9' * 320}"), "a number of more than 40 digits"),
        (
            (*(f"--grid={axis}" for axis in LARGE), "--where", "array.rows > 0"),
            "this sweep has 1,000,000,000 points, and",
        ),
        (
            ("--limit", "points=3", "--grid", "array.rows=1..4:1"),
            "this sweep has 4 points, and 3 are taken; --limit poi",
        ),
        (("--limit", "point=3"), "did you mean 'points'?"),
        (("--grid", "array.rows=1..2000:1", "--grid", "array.cols=8"), "2,001 values of fields of machines; 2,000 are"),
        (("--grid", "array.rows=8\udcff"), "has letters that cannot be shown"),
        (
            ("--where", "array.rows > 0", "--where", "1" * 2000),
            "ties and constraints of 2,014 letters; 1,000 are taken",
        ),
        (("--jobs", "1025"), "--jobs 1025: at most 1,024 processes are started"),
    ],
)
def test_a_size_is_known_before_anything_is_made(
    simulate: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = simulate("sweep", *POINT, *arguments)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_points_in_place_of_an_axis_are_counted_as_they_are() -> None:
    spec = from_grid(("model=resnet9", "array.rows=8,16,24", "batch=4,8"), (), ())
    single = ({"array.rows": "48"}, {"batch": "2"}, {})
    assert spec.size == 6
    both = joined(type(spec)({}, points=single), spec)
    assert both.size == 2 + 3 + 6 and len(expand(both, checked(both))) == 11


def test_limits_are_those_of_the_command_line_and_reach_every_point(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("model: resnet9\nbatch: [4, 8]\n")
    raised = parse_limits(("points=60000",))
    spec = joined(read_spec(tmp_path / "f.yaml"), from_grid((), (), (), raised))
    points = expand(spec, checked(spec))
    assert [point.work.limits for point in points] == [raised, raised] != [LIMITS, LIMITS]
    plain = joined(read_spec(tmp_path / "f.yaml"), from_grid((), (), ()))
    assert [each.key("1") for each in points] == [each.key("1") for each in expand(plain, checked(plain))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("'a' * 999999999999 == 'b'", "a text is compared or added to another, nothing else"),
        ("'%999999999d' % a == 'b'", "a text is compared or added to another, nothing else"),
        ("+".join(["1"] * 900), "an expression of 1,799 letters; 1,000 are read"),
        ("+".join(["1"] * 400), "is nested too deeply; 64 levels are read"),
        ("not " * 100 + "a", "is nested too deeply"),
        ("(" * 300 + "1" + ")" * 300, "is no expression"),
        ("9 ** 9 ** 9", "'9 ** 9 ** 9' is not allowed"),
        ("9" * 41, "a number has more than 40 digits"),
        ("*".join(["a"] * 30), "a number has more than 40 digits"),
        ("1e999 > a", "a number is too large, or none"),
        ("1e200 * 1e200 > a", "a number is too large, or none"),
        ("a / 0", "division by zero"),
        ("text + text + text", "a text has more than 500 letters"),
        ("a < text", "cannot be worked out: '<' not supported"),
        ("f(a)", "'f(a)' is not allowed"),
        ("f(a).b", "'f(a).b' is not allowed"),
        ("a\0", "is no expression"),
        ("", "is no expression"),
    ],
)
def test_an_expression_has_bounds(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        value_of(text, {"a": 1000, "text": "x" * 200})
    assert said in str(caught.value)


def test_an_expression_is_worked_out_as_it_is_read() -> None:
    fields = {"array.rows": 8, "name": "sat", "off": None}
    for text, value in (
        ("array.rows * 3 - 1", 23),
        ("-array.rows // 3", -3),
        ("7 < array.rows <= 8 and not name == 's4'", True),
        ("name + '-2' == 'sat-2' or nothing > 1", True),
        ("array.rows / 16", 0.5),
    ):
        assert value_of(text, fields) == value
