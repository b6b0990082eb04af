"""What is kept between runs is believed only as it was kept, and made again else."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workloads.errors import UserError
from workloads.files import cache
from workloads.files.cache import cache_folder
from workloads.files.kept import DIGESTS, kept

NAMES = ("code", "report")


class Maker:
    """Makes the files of an entry, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, work: Path) -> None:
        self.times += 1
        for name in NAMES:
            (work / name).write_bytes(f"{name} as it was made".encode())
        (work / "scratch").write_text("not wanted")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_an_entry_is_made_once(folder: Path) -> None:
    maker = Maker()
    first, second = (kept(folder, "key", NAMES, maker) for _ in range(2))
    assert maker.times == 1
    assert first == second
    assert first.content == {name: f"{name} as it was made".encode() for name in NAMES}
    assert sorted(path.name for path in first.folder.iterdir()) == sorted([*NAMES, DIGESTS])
    assert sorted(path.name for path in folder.iterdir()) == ["key", "key.lock"]


def empty(entry: Path) -> None:
    (entry / "code").write_bytes(b"")


def cut(entry: Path) -> None:
    (entry / "code").write_bytes((entry / "code").read_bytes()[:5])


def other_content(entry: Path) -> None:
    (entry / "code").write_bytes(b"code as it was mode")


def missing(entry: Path) -> None:
    (entry / "code").unlink()


def no_digests(entry: Path) -> None:
    (entry / DIGESTS).unlink()


def no_json(entry: Path) -> None:
    (entry / DIGESTS).write_bytes(b"\xff{")


def of_another_entry(entry: Path) -> None:
    text = (entry / DIGESTS).read_text()
    assert '": "key"' in text
    (entry / DIGESTS).write_text(text.replace('": "key"', '": "kex"'))


def a_link(entry: Path) -> None:
    (entry / "code").rename(entry.parent / "elsewhere")
    (entry / "code").symlink_to(entry.parent / "elsewhere")


def a_pipe(entry: Path) -> None:
    (entry / "code").unlink()
    os.mkfifo(entry / "code")


def writable_by_others(entry: Path) -> None:
    (entry / "code").chmod(0o666)


def folder_writable_by_others(entry: Path) -> None:
    entry.chmod(0o777)


def a_file(entry: Path) -> None:
    entry.rename(entry.parent / "elsewhere")
    entry.write_text("a file")


CONTENT = (empty, cut, other_content, missing, no_digests, no_json, of_another_entry)
KIND = (a_link, a_pipe, writable_by_others, folder_writable_by_others, a_file)


@pytest.mark.parametrize("damage", [*CONTENT, *KIND])
def test_a_damaged_entry_is_made_again(folder: Path, damage: Callable[[Path], None]) -> None:
    maker = Maker()
    first = kept(folder, "key", NAMES, maker)
    damage(folder / "key")
    assert kept(folder, "key", NAMES, maker) == first
    assert maker.times == 2
    assert kept(folder, "key", NAMES, maker) == first  # whole again
    assert maker.times == 2


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", [".", "code", DIGESTS])
def test_what_belongs_to_somebody_else_is_not_believed(folder: Path, name: str) -> None:
    maker = Maker()
    kept(folder, "key", NAMES, maker)
    os.chown(folder / "key" / name, 12345, -1)
    assert kept(folder, "key", NAMES, maker).content["code"] == b"code as it was made"
    assert maker.times == 2


def test_a_name_that_cannot_be_had_is_made_for_this_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workloads.files.kept.folder_of_this_run", lambda: tmp_path)
    maker = Maker()
    kept(folder, "key", NAMES, maker)
    missing(folder / "key")
    (folder / "key" / "code").mkdir()
    found = kept(folder, "key", NAMES, maker)
    assert found.folder == tmp_path / "key"
    assert (found.folder / "code").read_bytes() == found.content["code"]


def test_what_fails_leaves_nothing(folder: Path) -> None:
    def fails(work: Path) -> None:
        (work / "code").write_text("half")
        raise UserError("it failed")

    with pytest.raises(UserError, match="it failed"):
        kept(folder, "key", NAMES, fails)
    assert [path.name for path in folder.iterdir()] == ["key.lock"]


def test_what_a_killed_one_left_is_taken_away(folder: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from workloads.files.kept import kept\n"
        "kept(Path(sys.argv[1]), 'other', ('code',), lambda work: os._exit(9))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode == 9
    assert any(path.name.endswith(".partial") for path in folder.iterdir())
    kept(folder, "key", NAMES, Maker())
    assert not any(path.name.endswith(".partial") for path in folder.iterdir())


def test_a_tool_that_is_missing_is_no_file_that_cannot_be_written(folder: Path) -> None:
    def fails(_: Path) -> None:
        raise FileNotFoundError(2, "No such file or directory", "g++")

    with pytest.raises(FileNotFoundError):
        kept(folder, "key", NAMES, fails)


@pytest.mark.parametrize("home", ["/" + "a" * 300, "/dev/null/x", "/proc/nowhere"])
def test_a_home_that_cannot_be_is_passed_over(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    assert cache_folder("kernels").is_dir()


def test_a_lock_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    (folder / "key.lock").mkdir(parents=True)
    with pytest.raises(UserError, match=r"key\.lock: cannot be written: "):
        kept(folder, "key", NAMES, Maker())


MAKE = """
import sys, time
from pathlib import Path
from workloads.files.kept import kept

def make(work):
    print("made", flush=True)
    time.sleep(0.2)
    (work / "code").write_text("code")

print(kept(Path(sys.argv[1]), "key", ("code",), make).content["code"].decode())
"""


def test_two_processes_make_an_entry_once(folder: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].split() for process in both]
    assert sorted(said) == [["code"], ["made", "code"]]


def test_the_folder_is_below_the_first_that_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = cache_folder("kind")
    assert found == tmp_path / "xdg/sparsehil/kind"
    assert found.stat().st_mode & 0o777 == found.parent.stat().st_mode & 0o777 == 0o700
    found.chmod(0o777)
    assert cache_folder("kind").stat().st_mode & 0o777 == 0o700  # it is ours, so that it is made so
    for stated in ("", "relative", "/proc/nowhere", str(tmp_path / "file")):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", stated)
        assert cache_folder("kind") == tmp_path / ".cache/sparsehil/kind"


NOWHERE = """
import os, pwd, sys
pwd.getpwuid = lambda number: {}[number]
from workloads.files.cache import cache_folder
folder = cache_folder("kind")
assert cache_folder("kind") == folder and folder.stat().st_mode & 0o777 == 0o700
if not os.fork():
    sys.exit()
os.wait()
assert folder.is_dir()
print(folder)
"""


def test_without_any_folder_there_is_one_for_this_run(tmp_path: Path) -> None:
    """No HOME, and no such user: a line says so once, and nothing is left."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", NOWHERE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
    assert done.stderr.count("\n") == 1 and "kept for this run alone" in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_even_that_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: str) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("workloads.files.cache.tempfile.mkdtemp", refuse)
    cache.folder_of_this_run.cache_clear()
    with pytest.raises(UserError, match="there is no folder for compiled code; set XDG_CACHE_HOME or TMPDIR"):
        cache.folder_of_this_run()
