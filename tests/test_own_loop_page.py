"""The page on one's own training loop: its code runs as it stands there, and prints what it says."""

import re
from pathlib import Path

import pytest

from tests.command import Run

PAGE = (Path(__file__).parents[1] / "docs" / "own-loop.md").read_text(encoding="utf-8")
PRINTED = re.compile(r"^print\(.*?\)\s+# (.+)$", re.M)
COMMANDS = re.compile(r"^simulate (--workload .*?|report .*?)(?:\s+#.*)?$", re.M)


def test_the_page_runs(tmp_path: Path, simulate: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
    exec(code, {})
    lines = capsys.readouterr().out.splitlines()
    assert PRINTED.findall(code) == lines[:-1] and re.fullmatch(r"\d\.\d\d times as fast as .*", lines[-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks.safetensors", "step.json", "weights.safetensors"]
    for line in COMMANDS.findall(PAGE):
        quick = ["--no-sensitivity"] if line.startswith("report") else []  # the step again at every range's ends
        status, out, _ = simulate(*line.split(), *quick)
        assert status == 0 and ("Speed-up" in out or "result.html" in out)
    assert (tmp_path / "result.html").exists()
