"""Files of hardware: folders that it is written to, reports of the tools, and their failures."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from rtl.boards import BOARDS, Board
from workloads.errors import UserError
from workloads.files import writing
from workloads.files.reading import checked, read_json
from workloads.files.writing import Owned, new_folder

REPORT_BYTES = 64 * 1024 * 1024  # of a placer, which names every wire it has placed
CARD = "utilisation.json"
EXPORTED = {  # by `rtl.exported`
    *(f"{each}.v" for each in ("sparse_array", "sparse_array_axi", "sparse_array_tb", "linked_array")),
    *(f"{each}.v" for each in ("sore", "sore_tb", "wuve", "wuve_tb")),
    *(f"{each}.core" for each in ("sparse_array", "linked_array", "sore", "wuve")),
    *(f"constraints/{each}.sdc" for each in ("sparse_array", "sparse_array_axi", "linked_array", "sore", "wuve")),
    *("sparse_core.core", "constraints/sparse_core_axi.sdc", "bench/host.py", "bench/test_core.py"),
    *("manifest.json", "README.md", "requirements.txt", "bench/product.py", "bench/run.py", "bench/test_axi.py"),
}
CORE_MODULE = re.compile(r"\w*sparse_core_(axi|sparse_pe|row_edge|column_edge|wuve)\.v")  # any prefix before them
WORDS = 4000  # letters of what a tool has said last
Kind = TypeVar("Kind")


class ToolFailed(UserError, RuntimeError):
    """A tool ended with an error: what the user asked for may be too much for it. words: the last ones it said."""

    def __init__(self, tool: str, words: str) -> None:
        self.words = words[-WORDS:]
        lines = [line for line in self.words.splitlines() if line.strip()]
        super().__init__(f"{tool} failed: {lines[-1].strip() if lines else 'it said nothing'}")


def export_owns(name: str) -> bool:
    """Whether a name in a folder is that of a file of `rtl.exported`."""
    vectors = name.startswith("vectors/") and name.endswith(".hex")
    return name in EXPORTED or vectors or CORE_MODULE.fullmatch(name) is not None


def project_owns(name: str) -> bool:
    """The same for `rtl.vivado.vivado_project`."""
    return name in ("sparse_array.v", "project.tcl", "sparse_array.xdc", "README.md")


def board_owns(board: Board) -> Owned:
    """The same for `rtl.board.write_built`: what it writes for one board, since `CARD` speaks of one alone."""
    return {CARD, board.bitstream}.__contains__


def check_folder(folder: Path, owned: Owned, force: bool) -> None:
    """Raises UserError when files would be written over or beside others without `force`, or where it is not ours.

    Synthesis takes minutes, so what would fail only after it is looked at here: a folder is exchanged for the new one.
    """
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        taken = bool(names) or (folder.exists() and not folder.is_dir())
    except (OSError, ValueError) as error:
        raise writing.not_written(f"--out: {folder}", error) from None
    if taken and not force:
        raise UserError(f"--out: {folder} is there already; give another folder, or --force to write over it")
    bitstreams = {board.bitstream for board in BOARDS.values()}
    if other := next((name for name in names if name in bitstreams and not owned(name)), None):
        raise UserError(f"--out: {folder} holds {other}, of another board, which is left alone; give another folder")
    writing.check_folder(folder, owned, True, f"--out: {folder}")


def write_files(folder: Path, files: Mapping[str, str | bytes], owned: Owned, force: bool = False) -> None:
    """Write files by name below a folder, all of them or none.

    owned: which names there are ours, these among them. Raises UserError as `check_folder` does.
    """
    check_folder(folder, owned, force)
    with new_folder(folder, owned, force=force or folder.exists(), said=f"--out: {folder}") as partial:
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def read_report(path: Path, kind: type[Kind]) -> Kind:
    """What a tool reports in JSON. Raises UserError for anything else."""
    return checked(kind, read_json(path, "a report is JSON", REPORT_BYTES), str(path))
