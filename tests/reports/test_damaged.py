"""A stored result that is damaged gives a sentence, or a result that every view can show; nothing is half written."""

import errno
import json
import os
import resource
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from reports import as_csv, as_json, notebook, terminal
from reports.figures.style import svg
from reports.output import write_files
from reports.page.build import comparison_page, result_page
from reports.reporting import put_page
from simulator import Result, UserError, load_result, simulate
from simulator.card import Card
from simulator.columns import TableReader
from simulator.result import ACTION_COLUMNS, OP_COLUMNS
from tests.command import Run
from workloads.files.tables import table_bytes

Node = dict[str, object] | list[object]
RETYPED = (None, "text", -7, 1e400, True, [], {"a": 1})
STORED = {"sat": ("sat", "2:8", "64x64x64"), "piuma": ("piuma", None, "rmat:5:4"), "s4": ("s4", None, "64x64x64")}


def shown(result: Result, page: bool = False) -> None:
    """Every view of a result; with its page too, which takes seconds."""
    terminal.show(result, Path("r"))
    as_csv.show(result)
    json.loads(as_json.show(result), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    notebook.show(result)
    if page:
        result_page(result)
        comparison_page([result, result], ["a", "b"])


@pytest.fixture(scope="module", params=STORED)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    machine, pattern, work = STORED[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "r"
    more = {"mode": "inference", "method": "ste"} if machine == "s4" else {}
    simulate(machine, pattern, work, **more).save(folder)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def damaged(stored: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stored, tmp_path / "r")


def places(node: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all fields; of a mapping of many numbers alike, and of a list, the first alone."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))[:1] if isinstance(node, list) else []
    for key in keys[:1] if at in (("numbers",), ("energy", "entries"), ("versions",), ("causes",)) else keys:
        yield (*at, key)
        yield from places(node[key], (*at, key))  # type: ignore[index]


def changed(card: Node, place: tuple[str | int, ...], *value: object) -> object:
    """The card with a field of another value, or without it."""
    found = deepcopy(card)
    node: Node = found
    for key in place[:-1]:
        node = node[key]  # type: ignore[index, assignment, call-overload]
    if value:
        node[place[-1]] = value[0]  # type: ignore[index, call-overload]
    else:
        del node[place[-1]]  # type: ignore[arg-type]
    return found


def test_a_card_with_any_field_changed_is_a_sentence_or_can_be_shown(stored: Path) -> None:
    """In memory: a field that is accepted is shown by the views for text, one in twenty."""
    card, original = json.loads((stored / "card.json").read_text(encoding="utf-8")), load_result(stored)
    taken = 0
    for place in places(card):
        for change in ((), *((value,) for value in RETYPED)):
            try:
                found = Card.from_json(changed(card, place, *change), "card.json")
            except UserError as error:
                assert str(error).startswith("card.json: ") and "\n" not in str(error)
                continue
            if found != original.card:
                taken += 1
                if taken % 20 == 0:
                    shown(replace(original, card=found))
    for name in {*card} - {"assumed"}:
        with pytest.raises(UserError, match=name):
            Card.from_json(changed(card, (name,)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("null", "a run card is a mapping"),
        ("{}", "schema: is missing"),
        ('{"schema": 0}', "schema: this has version 0, and this program reads 2"),
        ('{"schema": 99, "command": ["simulate", "--exact"]}', "make it again: simulate --exact"),
        ('{"schema": 99, "command": ["sudo", "reboot"]}', "this has version 99, and this program reads 2\n"),
        ('{"schema": 99, "command": "simulate"}', "this has version 99, and this program reads 2\n"),
        ('{"schema": true}', "schema: True is no whole number"),
        ('{"schema": "2"}', "schema: '2' is no whole number"),
        ('{"schema": 2}', "command: is missing"),
        ("{", "card.json:1: a run card is JSON"),
    ],
)
def test_what_is_no_card_is_a_sentence(simulate: Run, damaged: Path, text: str, said: str) -> None:
    (damaged / "card.json").write_text(text, encoding="utf-8")
    code, out, err = simulate("report", str(damaged))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err and "card.json" in err


@pytest.mark.parametrize("name", ["card", "ops", "actions", "dense_ops", "dense_actions"])
def test_a_file_that_is_missing_is_named(damaged: Path, name: str) -> None:
    paths = list(damaged.glob(f"{name}.*"))
    for path in paths:
        path.unlink()
    if paths:
        with pytest.raises(UserError, match=f"is not a whole result: it has no {name}"):
            load_result(damaged)


def test_a_command_of_another_program_is_never_advised(damaged: Path) -> None:
    card = json.loads((damaged / "card.json").read_text(encoding="utf-8"))
    (damaged / "card.json").write_text(json.dumps({**card, "command": ["sudo", "reboot"]}), encoding="utf-8")
    result = load_result(damaged)
    assert result.card.again == "" and "reboot" not in comparison_page([result, result], ["a", "b"])
    if result.card.arch == "sat":  # a page takes seconds
        assert "reboot" not in result_page(result)
    (damaged / "ops.parquet").write_bytes(b"none")
    with pytest.raises(UserError, match=r"; make it again$"):
        load_result(damaged)


def test_a_column_that_is_missing_or_holds_something_else_is_a_sentence(damaged: Path) -> None:
    reader = TableReader(damaged, load_result(damaged).card, "make it again")
    for name, kinds in (("ops", OP_COLUMNS), ("actions", ACTION_COLUMNS)):
        path, columns = damaged / f"{name}.parquet", parquet.read_table(damaged / f"{name}.parquet").to_pydict()
        tried: list[tuple[str, Mapping[str, list[object]]]] = []
        for column, kind in kinds.items():
            tried.append((column, {key: each for key, each in columns.items() if key != column}))
            wrong = (7, None) if kind is str else (-1, "text", None, True, 1e300, *((2**62,) if kind is int else ()))
            tried += [(column, {**columns, column: [value] * len(columns[column])}) for value in wrong]
        if name == "ops":
            tried += [("stall_x", {**columns, "stall_x": [value] * len(columns["cycles"])}) for value in (-1, "text")]
        else:
            tried.append(("op", {**columns, "op": [10**6] * len(columns["op"])}))
        for column, table in tried:
            path.write_bytes(table_bytes(table))
            with pytest.raises(UserError, match=rf"{name}\.parquet: .*{column}.*; make it again"):
                reader.pair()
        path.write_bytes(table_bytes(columns))
    assert len(reader.pair()) == 2


def test_a_table_with_a_bit_changed_is_a_sentence(damaged: Path) -> None:
    content, original = (damaged / "ops.parquet").read_bytes(), load_result(damaged).op_columns
    for place in range(0, len(content), max(1, len(content) // 100)):
        altered = bytearray(content)
        altered[place] ^= 1 << place % 8
        (damaged / "ops.parquet").write_bytes(altered)
        try:
            found = load_result(damaged).op_columns  # a byte may say nothing, or name a column of zeros
            assert found == {name: original.get(name, each) for name, each in found.items()}
        except UserError as error:
            assert "ops.parquet" in str(error) and "\n" not in str(error)


ODD = {
    "no ops": {"rows": 0},
    "nothing takes time": {"cycles": 0, "busy_cycles": 0},
    "nothing multiplies": {"pes": 0, "macs_useful": 0},
    "names with dollars": {"layer": "$\\frac{$ 中\n" * 50},
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
def test_odd_results_can_be_shown(stored: Path, tmp_path: Path, change: Mapping[str, object]) -> None:
    odd = load_result(stored)
    count = int(change.get("rows", len(odd.op_columns["cycles"])))  # type: ignore[call-overload]

    def made(result: Result) -> Result:
        values = {name: [value] * count for name, value in change.items() if count}
        ops = {name: values.get(name, list(each)[:count]) for name, each in result.op_columns.items()}
        actions = {name: list(each)[: 10**6 * count] for name, each in result.action_columns.items()}
        return replace(result, op_columns=ops, action_columns=actions, dense=result.dense and made(result.dense))

    odd = made(odd)
    shown(odd, page="sat" in stored.parent.name and count == 0)
    if "layer" in change and "sat" in stored.parent.name:
        svg(odd.figure("layers"))
    odd.save(tmp_path / "odd")
    if "cycles" not in change:  # whose stalls are not the rest of its cycles any more
        shown(load_result(tmp_path / "odd"))


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """No file may grow beyond so many bytes; Python ignores the signal, and a write fails."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--gemm", "64x64x64", "--out", "new"),
        ("--gemm", "64x64x64", "--timeline", "new"),
        ("--gemm", "64x64x64", "--dram-trace", "new"),
        ("report", "r", "--no-sensitivity", "--out", "new"),
        ("report", "r", "--no-sensitivity", "--out", "new", "--figures", "f"),
        ("study", "iso-area", "a.csv", "--model", "resnet9", "--batch", "2", "--out", "new"),
    ],
)
def test_a_full_disk_leaves_nothing_behind(simulate: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert simulate("--gemm", "64x64x64", "--pattern", "2:8", "--out", "r")[0] == 0
    (tmp_path / "a.csv").write_text("pe,luts,fmax_mhz\nsparse,2,100\ndense,1,100\n", encoding="utf-8")
    with full_disk(3_000):
        code, _, err = simulate(*arguments)
    assert code == 2 and err.endswith("cannot be written: File too large\n") and "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "r"]


def test_files_of_a_folder_are_replaced_together_and_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine", encoding="utf-8")
    (tmp_path / "other").write_text("other", encoding="utf-8")
    (tmp_path / "link").symlink_to("other")
    with pytest.raises(UserError, match="link: is a link; name the file itself"):
        write_files({tmp_path / "a": b"new", tmp_path / "link": b"new"})
    with full_disk(5), pytest.raises(UserError, match=r"--out .*/c: cannot be written"):
        write_files({tmp_path / "a": b"new", tmp_path / "x" / "y" / "b": b"new", tmp_path / "c": b"much more"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a": "mine",
        "other": "other",
        "link": "other",
    }
    made = [tmp_path / "a", tmp_path / "x" / "c", tmp_path / "x" / "y" / "b"]
    write_files(dict.fromkeys(made, b"new"))
    assert {path.read_text() for path in made} == {"new"}
    assert (tmp_path / "other").read_text() == "other" and len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("flushed", [0, 1])
def test_a_file_that_is_not_flushed_keeps_all_others_from_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushed: int
) -> None:
    """A disk over the network may say only then that it is full."""
    flushes: list[int] = []

    def failing(descriptor: int) -> None:
        flushes.append(descriptor)
        if len(flushes) > flushed:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    (tmp_path / "b").write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(UserError, match="cannot be written: Disk quota exceeded"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("b", "old")]


def test_half_a_surrogate_pair_is_written_as_a_question_mark(tmp_path: Path) -> None:
    result = simulate("sat", "2:8", "64x64x64")
    odd = replace(result, card=replace(result.card, arch_title="a \udcff b"))
    odd.save(tmp_path / "r")
    assert load_result(tmp_path / "r").card.arch_title == "a ? b"
    put_page(tmp_path / "r.html", "a \udcff b")
    assert (tmp_path / "r.html").read_text() == "a ? b"
    for view in (as_json, as_csv):
        view.show(odd).encode()
