"""Compiled kernels: kept from run to run, checked before they are loaded, compiled again where something is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

MODULE = """
from workloads.kernels import compiled

@compiled()
def double(number):
    return 2 * number

if __name__ == "__main__":
    print(double(21), sum(double.stats.cache_hits.values()))
"""


HOMELESS = "import pwd, runpy; pwd.getpwuid = {}.__getitem__; runpy.run_path('double.py', run_name='__main__')"


def run(folder: Path, cache: str = "cache", words: Sequence[str] = ("double.py",)) -> tuple[str, str]:
    """What the module says, and what stands on standard error."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=given, capture_output=True, text=True)
    return done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "double.py").write_text(MODULE)
    assert run(tmp_path) == ("42 0", "")
    assert run(tmp_path) == ("42 1", "")
    return tmp_path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def written_by_others(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("ending", "harm"), [("nbi", emptied), ("nbi", cut), ("nbc", flipped), ("nbc", written_by_others)]
)
def test_a_damaged_kernel_is_compiled_again(folder: Path, ending: str, harm: Callable[[Path], None]) -> None:
    (path,) = folder.rglob(f"*.{ending}")
    harm(path)
    assert run(folder) == ("42 0", "")
    assert run(folder) == ("42 1", "")


def test_a_kernel_lives_in_memory_where_nothing_can_be_kept(folder: Path) -> None:
    (folder / "__pycache__").write_text("in the way")
    said, note = run(folder, cache="", words=("-c", HOMELESS))
    assert said == "42 0"
    assert "compiled code is kept for this run alone" in note
    assert not (folder / "~").exists()
