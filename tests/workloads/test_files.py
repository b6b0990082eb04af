"""Reading and writing: what a file may be, and what stands under a name at every moment."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workloads.errors import UserError
from workloads.files.reading import checked, parse_json, read_bytes, read_text
from workloads.files.writing import check_folder, new_file, new_folder, write_text
from workloads.files.yaml import parse_yaml

DOUBLING = "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 30))


def owned(name: str) -> bool:
    return name in ("a", "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DOUBLING, "has more than 20,000 values, aliases written out"),
        ("a: " + "[" * 1000, "f:1: is nested too deeply"),
        ("a: !!bool maybe", "f:1: 'maybe' is no bool"),
        ("a: !!binary aGk=", "f:1: the tag '!!binary' is not read"),
        ("a: !!python/object:os.system x", "is not read"),
        ("a: 1\nb: 2\na: 3", "f:3: the field 'a' is there twice"),
        ("- &a [*a]", "stands for nothing that has ended"),
        ("a: \0", "not YAML"),
        ("a: " + "9" * 400, "f:1: a number of 400 digits; 40 are read"),
        ('a: "\\ud800"', "holds half a surrogate pair"),
        ("%YAML 1.1\n---\na: 1", "leave lines that begin with % out"),
        ("<<: {a: 1}", "merge keys"),
        ("a\n---\nb", "holds 2 documents"),
    ],
)
def test_odd_yaml_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=r"^f") as caught:
        parse_yaml(text, "f")
    assert said in str(caught.value)


def test_yaml_has_the_values_of_version_1_2_with_their_lines() -> None:
    found = parse_yaml("a: [1, 2.5e3, true, yes, null, 0x10, 0o17, '5', 2026-01-01]\nb: &b {c: 1}\nd: *b\n", "f")
    assert found.values == {
        "a": [1, 2500.0, True, "yes", None, 16, 15, "5", "2026-01-01"],
        "b": {"c": 1},
        "d": {"c": 1},
    }
    assert found.lines == {("a",): 1, ("b",): 2, ("b", "c"): 2, ("d",): 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        ('{"a": 1, "a": 2}', "holds the field 'a' twice"),
        ('{"a": "\\ud800"}', "half a surrogate"),
        ('{\n"a": }', "f:2: "),
    ],
)
def test_odd_json_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=r"^f") as caught:
        parse_json(text, "f")
    assert said in str(caught.value)


def test_only_a_regular_file_of_a_sensible_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(bytes(1001))
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xff")
    for path, said in (
        (tmp_path / "pipe", "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path / "large", "has more than"),
    ):
        with pytest.raises(UserError, match=said):
            read_bytes(path, 1000)
    with pytest.raises(UserError, match="is not a text file; a workload is JSON"):
        read_text(tmp_path / "latin", "a workload is JSON")


def test_a_field_of_another_type_is_named() -> None:
    with pytest.raises(UserError, match=r"^f: b\.0: input should be a valid integer"):
        checked(dict[str, list[int]], {"a": [1], "b": ["x"]}, "f")


def test_nothing_stands_under_a_name_before_it_is_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "page", "old")
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "page") as partial:
        partial.write_text("new")
        raise ZeroDivisionError
    with pytest.raises(UserError, match="page: cannot be written"), new_file(tmp_path / "page"):
        raise OSError(28, "No space left on device")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("page", "old")]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    (tmp_path / "page").symlink_to("thesis")
    with pytest.raises(UserError, match="is a link"):
        write_text(tmp_path / "page", "new")
    assert (tmp_path / "thesis").read_text() == "mine"


def test_a_file_of_somebody_else_keeps_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "a").write_text("old")
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"holds 'thesis.tex', which this program did not write"):
        check_folder(folder, owned, True, "--out run")
    (folder / "thesis.tex").unlink()
    (folder / "b").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="holds 'b'"):
        check_folder(folder, owned, True, "--out run")


def test_the_first_foreign_file_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    listed: list[str] = []
    walk = os.scandir

    def counted(path: str) -> object:
        listed.append(str(path))
        return walk(path)

    monkeypatch.setattr(os, "scandir", counted)
    with pytest.raises(UserError, match=r"holds 'thesis\.tex'"):
        check_folder(tmp_path / "run", owned, True, "--out run")
    assert not any(path.endswith("deep") for path in listed)


def test_a_folder_that_cannot_be_flushed_takes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that may be written and not read, or that lies on a file system which flushes no folders."""
    real = os.open

    def closed(path: Path, flags: int, *mode: int) -> int:
        if Path(path) == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *mode)

    monkeypatch.setattr("workloads.files.writing.os.open", closed)
    write_text(tmp_path / "page", "new")
    assert (tmp_path / "page").read_text() == "new"


def test_a_file_keeps_who_may_read_it(tmp_path: Path) -> None:
    write_text(tmp_path / "page", "old")
    (tmp_path / "page").chmod(0o600)
    write_text(tmp_path / "page", "new")
    assert (tmp_path / "page").stat().st_mode & 0o777 == 0o600


def test_a_file_that_appeared_meanwhile_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="page: cannot be written: File exists"),
        new_file(tmp_path / "page", replace=False) as partial,
    ):
        partial.write_text("new")
        (tmp_path / "page").write_text("mine")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("page", "mine")]
    write_text(tmp_path / "other", "new", replace=False)
    assert (tmp_path / "other").read_text() == "new" and (tmp_path / "other").stat().st_nlink == 1


def test_an_empty_folder_is_filled_unasked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with new_folder(tmp_path / "run", owned) as partial:
        (partial / "a").write_text("new")
    with pytest.raises(UserError, match="is there already"):
        new_folder(tmp_path / "run", owned).__enter__()
    with pytest.raises(UserError, match="cannot be written"), new_folder(tmp_path / "two", owned) as partial:
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "thesis").write_text("mine")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "run", "thesis", "two"]


def test_where_folders_cannot_be_exchanged_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_folder(tmp_path / "run", owned) as partial:
        (partial / "a").write_text("old")
    monkeypatch.setattr("workloads.files.writing.EXCHANGE", 1 << 30)  # a flag that no system knows
    with pytest.raises(UserError, match="this file system cannot exchange a folder for another in one step"):
        new_folder(tmp_path / "run", owned, force=True).__enter__()
    assert [(path.name, path.read_text()) for path in tmp_path.rglob("a")] == [("a", "old")]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_names_like_those_of_halves_may_be_anything(tmp_path: Path) -> None:
    """A link, a pipe and a file in the place of a folder, with names as if a killed process had left them."""
    (tmp_path / "thesis").write_text("mine")
    for name in (".p.html.partial", ".p.html.abcdefgh.partial"):
        (tmp_path / name).symlink_to("thesis")
    os.mkfifo(tmp_path / ".p.html.bbbbbbbb.partial")
    (tmp_path / ".r.cccccccc.partial").symlink_to(tmp_path)
    (tmp_path / ".r.dddddddd.partial").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    write_text(tmp_path / "p.html", "page")
    with new_folder(tmp_path / "r", owned) as partial:
        (partial / "a").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "p.html", "r"])
    assert (tmp_path / "thesis").read_text() == "mine" and (tmp_path / ".p.html.partial").is_symlink()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_that_is_taken_for_a_dead_ones_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The moments between the making of a name and its lock: it is gone, or somebody who cleans up holds it."""
    real, calls = os.open, iter(["gone", "held"])
    held = []

    def opened(path: Path, flags: int, *mode: int) -> int:
        if ".partial" in str(path) and not flags & os.O_CREAT and (what := next(calls, "")):
            if what == "gone":
                path.rmdir() if path.is_dir() else path.unlink()
            else:
                held.append(real(path, os.O_RDONLY))
                fcntl.flock(held[0], fcntl.LOCK_EX)
        return real(path, flags, *mode)

    monkeypatch.setattr("workloads.files.partials.os.open", opened)
    made = new_file(tmp_path / "out") if kind == "file" else new_folder(tmp_path / "out", owned)
    with made as partial:
        assert next(calls, "") == ""
        assert os.path.samestat(partial.stat(), partial.stat()) and len(held) == 1
        assert not os.path.samestat(partial.stat(), os.fstat(held[0]))
    os.close(held[0])
    assert (tmp_path / "out").exists()


def test_a_file_of_any_size_may_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"{}")
    assert read_bytes(tmp_path / "small", 2**62) == b"{}"


def test_a_field_that_is_there_twice_is_found_in_a_step() -> None:
    text = "{" + "".join(f'"a{n}":1,' for n in range(100_000)) + '"a99999":2}'
    with pytest.raises(UserError, match="holds the field 'a99999' twice"):
        parse_json(text, "f")  # all pairs of them would take minutes


def test_an_older_folder_is_exchanged_in_one_step(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with new_folder(tmp_path / "run", owned, force=True) as partial:
            (partial / "a").write_text(text)
    assert (tmp_path / "run" / "a").read_text() == "new"
    with pytest.raises(UserError, match="holds 'c'"), new_folder(tmp_path / "run", owned, force=True) as partial:
        (partial / "a").write_text("newer")
        (tmp_path / "run" / "c").write_text("mine")  # put there while we are at work
    assert {path.name: path.read_text() for path in (tmp_path / "run").iterdir()} == {"a": "new", "c": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_taken_away_and_what_a_living_one_holds_is_not(tmp_path: Path, kind: str) -> None:
    made = "new_file(path)" if kind == "file" else "new_folder(path, lambda name: name in 'ab', True)"
    code = (
        f"import os, signal, sys; from pathlib import Path; from workloads.files.writing import new_file, new_folder\n"
        f"path = Path(sys.argv[1])\nwith {made} as partial:\n"
        f" (partial / 'a' if partial.is_dir() else partial).write_text('half')\n print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for left in (2, 1):  # once while it lives, with ours beside it for a moment, and once when it was killed
            with new_file(tmp_path / "out") if kind == "file" else new_folder(tmp_path / "out", owned, True) as partial:
                (partial if kind == "file" else partial / "a").write_text("whole")
                assert sum(path.name.startswith(".") for path in tmp_path.iterdir()) == left
            process.kill()
            process.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
