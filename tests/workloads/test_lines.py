"""Files that grow by a line: what was written stands, what was cut is dropped, what is damaged is said."""

import os
from pathlib import Path

import pytest

from workloads.errors import UserError
from workloads.files.lines import LineFile


def lines(path: Path) -> LineFile[object]:
    return LineFile(path, "somebody has it", "take it away", lambda node, _: node)


def test_a_cut_line_is_dropped_and_the_next_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f.jsonl"
    with lines(path) as file:
        file.append({"a": 1})
        with pytest.raises(UserError, match="somebody has it"):
            lines(path)
    for cut in (b'{"a": 2', b'{"a": \xff', b"\0\0\0"):
        path.write_bytes(b'{"a": 1}\n' + cut)
        with lines(path) as file:
            assert file.found == [{"a": 1}]
            file.append({"a": 3})
        assert path.read_bytes() == b'{"a": 1}\n{"a": 3}\n'
    for damaged in (b'{"a": \n{"a": 3}\n', b'{"a": 1, "a": 2}\n', b"\0\n", b"my notes", b"[" + bytes(2**20)):
        path.write_bytes(b'{"a": 1}\n' + damaged)
        with pytest.raises(UserError, match=r"f\.jsonl:2: this line is damaged; take it away"):
            lines(path)
        assert path.read_bytes() == b'{"a": 1}\n' + damaged


def test_the_notes_of_somebody_else_stay(tmp_path: Path) -> None:
    for text in ("my notes", "my notes\n", "[1]\n[2"):
        (tmp_path / "f").write_text(text)
        with pytest.raises(UserError, match="is damaged"):
            lines(tmp_path / "f")
        assert (tmp_path / "f").read_text() == text


def test_an_empty_file_is_taken_away(tmp_path: Path) -> None:
    with lines(tmp_path / "f"):
        assert (tmp_path / "f").exists()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_lines_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with lines(tmp_path / "f") as file:
        file.append({"a": 1})
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="f: cannot be written: No space left on device"):
            file.append({"a": 2})
    assert (tmp_path / "f").read_text() == '{"a": 1}\n'


def test_only_a_regular_file_has_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_text("{}\n")
    for path, said in (
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path, "cannot be written: Is a directory"),
        (tmp_path / "link", "cannot be written"),
        (tmp_path / "file" / "below", "cannot be written"),
    ):
        with pytest.raises(UserError, match=said):
            lines(path)
