"""A result on disk: a folder of Parquet tables and the run card, which appears whole or not at all."""

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import simulator
from simulator.card import Card
from simulator.result import Result
from workloads.errors import UserError

FILES = {"card.json", "ops.parquet", "actions.parquet", "dense_ops.parquet", "dense_actions.parquet", "hil.parquet"}


def save_result(result: Result, folder: Path, force: bool = False) -> None:
    """Write a result folder; it appears whole or not at all. Raises UserError where it cannot be written."""
    check_free(folder, force)
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".result-", dir=folder.parent))
        for prefix, each in (("", result), ("dense_", result.dense)):
            if each is not None:
                simulator.write_columns(each.op_columns, partial / f"{prefix}ops.parquet")
                simulator.write_columns(each.action_columns, partial / f"{prefix}actions.parquet")
        if result.hil_columns is not None:
            simulator.write_columns(result.hil_columns, partial / "hil.parquet")
        (partial / "card.json").write_text(json.dumps(result.card.to_json(), indent=1) + "\n", encoding="utf-8")
        partial.chmod(0o777 & ~_umask())
        _put(partial, folder, force)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None
    except UnicodeEncodeError:
        raise UserError(f"--out {str(folder)!a}: is not a name this system can write") from None
    finally:
        if partial and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, folder: Path, force: bool) -> None:
    """Move the whole result to its place; an older one goes only once the new one is there."""
    if not (force and folder.exists()):
        partial.rename(folder)  # fails where somebody else's result has appeared meanwhile
        return
    aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=folder.parent))
    folder.rename(aside / "old")
    try:
        partial.rename(folder)
    except OSError:
        (aside / "old").rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_free(folder: Path, force: bool) -> None:
    """Raises UserError where a result may not be written: a folder in use, or anything that is not a result."""
    if folder.is_symlink():
        raise UserError(f"--out {folder}: is a link; name the folder itself")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"--out {folder}: is a file; a result is a folder")
    if not force:
        raise UserError(f"--out {folder}: is there already; choose another folder or add --force")
    others = {path.name for path in folder.iterdir()} - FILES
    if others:
        raise UserError(f"--out {folder}: holds '{min(others)}', which is no part of a result; it is left alone")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_result(folder: str | Path) -> Result:
    """Read a result folder. Raises UserError where it is none, or was written under another schema.

    >>> from simulator import simulate
    >>> result = simulate("sat", "2:8", "resnet9", batch=8)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     result.save(f"{place}/a")
    ...     load_result(f"{place}/a").cycles == result.cycles
    True
    """
    folder = Path(folder)
    try:
        card = Card.from_json(json.loads((folder / "card.json").read_text(encoding="utf-8")))
        found = _read(folder, "", card)
        if (folder / "dense_ops.parquet").exists():
            found = replace(found, dense=_read(folder, "dense_", replace(card, method="dense", pattern="dense")))
        tiles = folder / "hil.parquet"
        return replace(found, hil_columns=simulator.read_columns(tiles)) if tiles.exists() else found
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such result folder{_folder_of(folder)}") from None
        raise UserError(f"{folder}: is not a whole result: it has no {Path(error.filename).name}") from None
    except NotADirectoryError:
        raise UserError(f"{folder}: is a file; a result is a folder{_folder_of(folder)}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: is not a whole result: {error}") from None
    except UserError as error:
        raise UserError(f"{folder / 'card.json'}: {error}") from None


def _folder_of(path: Path) -> str:
    """A hint where a file of a result was named instead of its folder."""
    return f"; did you mean '{path.parent}'?" if path.name in FILES and path.parent.is_dir() else ""


def _read(folder: Path, prefix: str, card: Card) -> Result:
    ops, actions = (simulator.read_columns(folder / f"{prefix}{name}.parquet") for name in ("ops", "actions"))
    return Result(ops, actions, card)
