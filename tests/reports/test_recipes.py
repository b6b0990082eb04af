"""The page of recipes runs as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from tests.command import Run

RECIPES = (Path(__file__).parents[2] / "reports" / "RECIPES.md").read_text(encoding="utf-8")


def test_every_recipe_runs(simulate: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", RECIPES, re.S)
    for command in commands.splitlines():
        assert simulate(*shlex.split(command)[1:])[0] == 0
    blocks = re.findall(r"```python\n(.*?)```", RECIPES, re.S)
    assert len(blocks) == 6
    for block in blocks:
        exec(block, {"__name__": "recipe"})
    out = capsys.readouterr().out
    assert "ratio" in out and "DRAM" in out and "J as an ASIC" in out and "speedup" in out and "two-of-four" in out
    assert "times as fast as dense with 64 rows" in out and Path("wide.html").exists()
    assert Path("phases.png").stat().st_size > 1000
