"""Running the command in the test's own process, with a compiled-code cache of its own.

Numba's usual cache would keep a caller whose callee has changed.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from simulator.command.main import main
from tests.command import Run

_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ  # it has the cache of the process that started it
if not _IS_WORKER:
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="sparsehil-numba-")


def pytest_unconfigure() -> None:
    if not _IS_WORKER:
        shutil.rmtree(os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Exit code, standard output and standard error of `simulate ARGUMENTS`, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["simulate", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return run
