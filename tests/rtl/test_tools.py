"""Tools of others get a home in which they run."""

import os
from pathlib import Path

import pytest

from rtl.tools import home_for_tools


@pytest.mark.parametrize("home", [None, "", "/proc/nowhere", "/dev/null"])
def test_where_nothing_can_be_kept_a_tool_gets_another_home(monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home or "")
    if home is None:
        monkeypatch.delenv("HOME")
    with home_for_tools():
        assert os.environ["HOME"] != home and Path(os.environ["XDG_CACHE_HOME"]).is_dir()
    assert os.environ.get("HOME") == home and "XDG_CACHE_HOME" not in os.environ


def test_a_home_that_can_be_written_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with home_for_tools():
        assert (os.environ["HOME"], os.environ["XDG_CACHE_HOME"]) == (str(tmp_path), str(tmp_path / "cache"))
