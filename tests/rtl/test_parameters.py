"""Impossible parameters end in one sentence that says what is allowed."""

import pytest

from rtl.parameters import Parameters, make_parameters
from workloads.errors import UserError
from workloads.pattern import parse_pattern


def made(pattern: str = "2:8", rows: int = 4, cols: int = 4, form: str = "fp16", **more: int) -> Parameters:
    return make_parameters(parse_pattern(pattern), rows, cols, form, **more)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pattern": "2:64"}, "--pattern: groups of 64 are too wide for fp16; m must be at most 32"),
        ({"pattern": "2:128", "form": "int8"}, "--pattern: groups of 128 are too wide for int8; m must be at most 64"),
        ({"pattern": "fan-in 3"}, "--pattern: the array takes 'dense', 'n:m' or 'bank n:m', not 'fan-in 3'"),
        ({"rows": 0}, "--rows: 0 is not possible here; it must be 1 to 256"),
        ({"cols": 300}, "--cols: 300 is not possible here; it must be 1 to 256"),
        ({"depth": 9}, "--depth: 9 is not possible here; it must be 1 to 8"),
        ({"accumulators": 65}, "--accumulators: 65 is not possible here; it must be 1 to 64"),
        ({"west_link": 16}, "--west-link: 16 is not possible here; it must be 1 to 8"),
        ({"adder_latency": 0}, "--adder-latency: 0 is not possible here; it must be 1 to 13"),
        ({"multiplier_latency": 9}, "--multiplier-latency: 9 is not possible here; it must be 1 to 8"),
        ({"row_depth": 24}, "row depth: 24 is no power of two"),
        ({"row_depth": 2}, "row depth: 2 is not possible here; it must be 4 to 32768"),
        ({"results": 2}, "results: 2 is not possible here; it must be 4 to 32768"),
        (
            {"form": "fp61"},
            "--format: unknown operand format 'fp61'; did you mean 'fp16'? (known: bf16, fp16, int8)",
        ),
    ],
)
def test_impossible_parameters(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        made(**given)  # type: ignore[arg-type]
    assert str(raised.value) == sentence


def test_more_kept_than_there_are() -> None:
    usual = vars(made())
    with pytest.raises(UserError) as raised:
        Parameters(**{**usual, "n": 9})
    assert str(raised.value) == "--pattern: 9:8 keeps more than a group has; n must be at most m"


def test_what_is_usual() -> None:
    assert made("2:8").weights == 8  # dense work of depth 8
    assert made("2:4", depth=1).weights == 2
    assert made("dense").m == made("dense").weights == 1
    assert made("bank 4:64", form="int8").index_bits == 6
    assert made("2:8").timing.adder_latency == made("2:8").adder_latency
