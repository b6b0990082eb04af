"""Every method on the command line: it runs, or the machine says in one sentence why it cannot."""

from pathlib import Path

import pytest

from tests.command import Run

LAYER = ("--arch", "sat", "--model", "resnet9", "--batch", "2")
REFUSED = {
    "sdgp": ("2:4", "BP: this machine takes sparse weights only, not a sparse gradient"),
    "srigl": ("fan-in 64", "FF: pattern 'fan-in 64' has no groups; this machine takes dense or n:m"),
    "torch24": ("2:8", "method 'torch24': pattern '2:8' cannot be trained; torch has 2:4 only"),
    "bimask": ("bank 2:8", "method 'bimask': pattern 'bank 2:8' cannot be trained"),
}


@pytest.mark.parametrize(
    "method",
    ["ste", "srste", "sdwp", "bimask", "transposable", "torch24", "torch24-magnitude", "mdgf", "sdgf", "adams"],
)
def test_methods_run(method: str, simulate: Run, tmp_path: Path) -> None:
    code, _, error = simulate(*LAYER, "--pattern", "2:4", "--method", method, "--out", str(tmp_path / "out"))
    assert (code, error) == (0, "")


@pytest.mark.parametrize("method", REFUSED)
def test_methods_that_a_machine_or_pattern_does_not_fit(method: str, simulate: Run, tmp_path: Path) -> None:
    pattern, message = REFUSED[method]
    code, _, error = simulate(*LAYER, "--pattern", pattern, "--method", method, "--out", str(tmp_path / "out"))
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
