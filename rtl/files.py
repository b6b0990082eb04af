"""Folders that hardware is written to."""

from collections.abc import Mapping
from pathlib import Path

from workloads.errors import UserError


def check_folder(folder: Path, force: bool) -> None:
    """Raises UserError when files would be written over or beside others without `force`."""
    if folder.exists() and not force and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--out: {folder} is there already; give another folder, or --force to write over it")


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts by name below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
