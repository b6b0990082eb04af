"""The page on one's own training loop: its code runs as it stands there, and prints what it says."""

import re
from pathlib import Path

import pytest

from tests.command import Run

PAGE = Path(__file__).parents[1] / "docs" / "own-loop.md"
PRINTED = re.compile(r"^print\(.*?\)\s+# (.+)$", re.M)


def test_the_code_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 6
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {})
    said = PRINTED.findall("\n".join(blocks))
    lines = capsys.readouterr().out.splitlines()
    assert said == lines[:-1] and re.fullmatch(r"\d\.\d\d times as fast as .*", lines[-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks.safetensors", "step.json", "weights.pt"]


def test_the_recorded_step_is_simulated(tmp_path: Path, simulate: Run) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    exec("\n".join(blocks[:4]), {})
    code, out, _ = simulate("--workload", "step.json", "--report", "--out", "r")
    assert code == 0 and "Speed-up" in out and list((tmp_path / "r").glob("*.html"))
