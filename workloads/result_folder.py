"""A folder of its own for every run, dated, in `results/`."""

from datetime import datetime
from pathlib import Path


def safe_name(*parts: str) -> str:
    """Parts of a folder's name joined by dashes, without letters that would mean something in a path or a shell."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in "-".join(parts))


def dated_folder(name: str) -> Path:
    """A folder that is not there yet."""
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    folder = Path("results") / f"{stamp}-{name}"
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{stamp}-{name}-{number}")
        number += 1
    return folder
