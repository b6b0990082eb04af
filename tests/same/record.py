"""Runs the cases of `make same` on the tree that comes first on the path, and writes what came out as one JSON object.

Started as a script, so that nothing of the tree it stands in is imported but `cases.py`: the command is found as an
installed one is, by its entry point.
"""

import io
import json
import os
import re
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import Case, captures, cases

# What may differ from run to run: times and rates, dates, folders, and ports of virtual boards.
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d-\d{6}(-\d+)?"), "DATE"),
    (re.compile(r"/\S*same-[0-9a-z_]+"), "FOLDER"),
    (re.compile(r"The link moved .*? sessions\."), "LINK"),
    (re.compile(r"\d[\d.,]*(e[-+]\d+)? ?(s|kB/s|seconds)\b"), "TIME"),
    (re.compile(r"(seconds\": |seconds</dt><dd>)[\d.,e+-]+"), "TIME"),
    (re.compile(r"-p[0-9a-f]{10}\b"), "-CLIP"),  # names that matplotlib gives to clip paths
    (re.compile(r"(?<=, )\d+ a second"), "RATE"),
)
DROPPED = {"cost", "link", "key"}  # wall times, what a wire needed, and the hash that names a sweep's point


def recorded(case: Case) -> dict[str, object]:
    """Exit code, what was printed, and what was left, of the commands of a case."""
    out: dict[str, object] = {}
    for number, command in enumerate(case.commands):
        code, printed, said = _run(command)
        out[f"{number}.exit"] = code
        if number + 1 == len(case.commands):
            shown = case.shows if code == 0 else "text"
            out["out"] = json.loads(printed) if shown == "json" else _lines(printed) if shown == "text" else ""
            out["err"] = _lines(said) if code else ""
    if case.rows:
        out["rows"] = _rows(Path(case.rows))
    if case.page:
        out["page"] = _lines(Path(case.page).read_text(encoding="utf-8"))
    if case.digests:
        root = Path(case.digests)
        files = (path for path in sorted(root.rglob("*")) if path.is_file())
        out["files"] = {str(path.relative_to(root)): _digest(path) for path in files}
    return out


def _run(command: tuple[str, ...]) -> tuple[int, str, str]:
    (entry,) = entry_points(group="console_scripts", name="simulate")
    sys.argv = ["simulate", *command]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            entry.load()()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        except Exception as fault:
            code, _ = 1, err.write(f"{type(fault).__name__}: {fault}")
    return code, out.getvalue(), err.getvalue()


def _lines(text: str) -> list[str]:
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text.splitlines()


def _rows(folder: Path) -> list[object]:
    """A sweep's rows in an order of their own."""
    import pyarrow.parquet as parquet  # here, so that cases without a sweep do without

    rows = [row for path in folder.glob("points/*.parquet") for row in parquet.read_table(path).to_pylist()]
    return sorted(({name: each for name, each in row.items() if name not in DROPPED} for row in rows), key=repr)


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:16]


def main(tree: Path, readme: Path, part: int, parts: int, out: Path) -> None:
    """Every `parts`-th case, begun with `part`."""
    found: dict[str, object] = {}
    if part == 0:
        found["captures"] = {path.name: _digest(path) for path in captures(tree)}
    for case in cases(readme.read_text(encoding="utf-8"))[part::parts]:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="same-") as folder:
            os.chdir(folder)
            for name, text in case.files.items():
                Path(name).parent.mkdir(exist_ok=True)
                Path(name).write_text(text, encoding="utf-8")
            found[case.name] = recorded(case)
            os.chdir("/")
        print(f"{time.monotonic() - began:6.1f} s  {case.name}", file=sys.stderr, flush=True)
        out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
