"""`simulate board`: mistakes, and the self-test of boards that are right, wrong, and not there."""

import pytest

from rtl.lanes import Lanes
from rtl.link.virtual import started
from tests.command import Run
from tests.link.boards import array, small


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "board: give either --serve or --selftest URL"),
        (("--serve", "--selftest", "loop://"), "board: give either --serve or --selftest URL"),
        (
            ("--selftest", "loop://", "--pins"),
            "--tcp, --pty, --pins, --sore and --optimizer are for --serve; --selftest takes a port or URL",
        ),
        (("--serve", "--tcp", "127.0.0.1:1", "--pty"), "--tcp and --pty: a virtual board is served at one place"),
        (
            ("--serve", "--optimizer", "adam"),
            "--optimizer: unknown optimizer 'adam'; did you mean 'adamw'? (known: adamw, momentum)",
        ),
        (
            ("--serve", "--optimizer", "adamw", "--format", "int8"),
            "WUVE: weights cannot be handed on as int8; allowed are fp16 and bf16",
        ),
        (("--serve", "--rows", "0"), "--rows: 0 is not possible here; it must be 1 to 256"),
        (
            ("--serve", "--tcp", "0.0.0.0:1234"),
            "--tcp: '0.0.0.0:1234' is not possible; a virtual board listens at 127.0.0.1:PORT only",
        ),
        (
            ("--serve", "--tcp", "localhost:70000"),
            "--tcp: 'localhost:70000' is not possible; a virtual board listens at 127.0.0.1:PORT only",
        ),
    ],
)
def test_mistakes(simulate: Run, arguments: tuple[str, ...], sentence: str) -> None:
    code, _, said = simulate("board", *arguments)
    assert (code, said.strip()) == (2, f"simulate: {sentence}")


def test_a_selftest(simulate: Run) -> None:
    """Of any array, of the one asked for, and of another one than that."""
    with started(small()) as url:
        anything = simulate("board", "--selftest", url)
        right = simulate("board", "--selftest", url, "--pattern", "2:4", "--format", "int8", "--rows", "2")
        wrong = simulate("board", "--selftest", url, "--pattern", "2:4", "--format", "int8")
    assert anything[0] == right[0] == 0
    lines = right[1].splitlines()
    assert lines[0] == f"{url}: 2:4 int8 2x2"
    assert [line.split()[0] for line in lines[1:4]] == ["dataflow", "output-stationary", "weight-stationary"]
    assert lines[2].split()[3] == lines[2].split()[5] == "0"
    assert lines[-1].startswith("link: ")
    assert wrong[0] == 2
    assert wrong[2] == f"simulate: {url}: the gateware is another one: rows is 2, not 8, cols is 2, not 8\n"


def test_a_selftest_with_lanes(simulate: Run) -> None:
    with started(array(), lanes=Lanes(sore=True, optimizer="momentum")) as url:
        code, said, _ = simulate("board", "--selftest", url)
    assert code == 0
    wrong = {line[:18].strip(): line.split()[-3] for line in said.splitlines()[2:6]}
    assert wrong == dict.fromkeys(("output-stationary", "weight-stationary", "SORE", "WUVE momentum"), "0")


def test_a_selftest_of_nothing(simulate: Run) -> None:
    code, _, said = simulate("board", "--selftest", "/dev/nowhere")
    assert code == 2
    assert said.startswith("simulate: /dev/nowhere: cannot be opened: ")
