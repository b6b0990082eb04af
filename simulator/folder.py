"""A result on disk: a folder of Parquet tables and the run card, which appears whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import simulator
from simulator.card import Card
from simulator.result import Result
from workloads.errors import UserError
from workloads.files.reading import read_json
from workloads.files.writing import check_folder, new_folder

CARD, TABLES, DENSE, TILES = (
    "card.json",
    ("ops.parquet", "actions.parquet"),
    ("dense_ops.parquet", "dense_actions.parquet"),
    "hil.parquet",
)
FILES = {CARD, *TABLES, *DENSE, TILES}
TRACE_FILES = ("ramulator2.trace", "dramsim3.trace", "trace.json")  # of --dram-trace


def save_result(result: Result, folder: Path, force: bool = False) -> None:
    """Write a result folder; it appears whole or not at all. Raises UserError where it cannot be written."""
    card = json.dumps(result.card.to_json(), indent=1, ensure_ascii=False) + "\n"
    with new_folder(folder, FILES.__contains__, force, f"--out {folder}") as partial:
        for name, content in simulator.tables_of(result).items():
            (partial / name).write_bytes(content)
        (partial / CARD).write_bytes(card.encode("utf-8", "replace"))  # a file may have a name that is no text


def check_free(folder: Path, force: bool) -> None:
    """Raises UserError where a result may not be written: a folder in use, or anything that is not a result."""
    check_folder(folder, FILES.__contains__, force, f"--out {folder}")


def load_result(folder: str | Path) -> Result:
    """Read a result folder. Raises UserError where it is none, is damaged, or was written under another schema.

    >>> import tempfile
    >>> from simulator import simulate
    >>> result = simulate("sat", "2:8", "resnet9", batch=8)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     result.save(f"{place}/a")
    ...     load_result(f"{place}/a").cycles == result.cycles
    True
    """
    folder = Path(folder)
    there = _files(folder)
    card = Card.from_json(read_json(folder / CARD, "a run card is JSON"), str(folder / CARD))
    reader = simulator.TableReader(folder, card, f"make it again: {card.again}" if card.again else "make it again")
    found = Result(*reader.pair(), card)
    if there >= {*DENSE}:
        found = replace(found, dense=Result(*reader.pair("dense_"), replace(card, method="dense", pattern="dense")))
    return replace(found, hil_columns=reader.tiles()) if TILES in there else found


def _files(folder: Path) -> set[str]:
    """The files of a result that are there. Raises UserError where some are missing, or where there is no folder."""
    try:
        there = {path.name for path in folder.iterdir()} & FILES
    except NotADirectoryError:
        raise UserError(f"{folder}: is a file; a result is a folder{_meant(folder)}") from None
    except (OSError, ValueError):
        raise UserError(f"{folder}: there is no such result folder{_meant(folder)}") from None
    wanted = [CARD, *TABLES, *(DENSE if there & {*DENSE} else ())]
    missing = next((name for name in wanted if name not in there), None)
    if missing:
        raise UserError(f"{folder}: is not a whole result: it has no {missing}")
    return there


def _meant(path: Path) -> str:
    """A hint where a file of a result was named instead of its folder."""
    return f"; did you mean '{path.parent}'?" if path.name in FILES and path.parent.is_dir() else ""
