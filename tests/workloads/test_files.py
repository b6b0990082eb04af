"""Reading and writing: what a file may be, and what stands under a name at every moment."""

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
