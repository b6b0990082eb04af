"""A process that has imported the program, and forks a child for every input: tasks come in and outcomes go out, in
lines of JSON. `torch` as its argument makes it the server of the kinds that need torch.
"""

import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.child import called, command, run_child
from tests.fuzz.draw import drawn
from tests.fuzz.kinds import CASES, KINDS, Input, load_kinds
from tests.fuzz.rules import Seen, Verdict, judged, names_in

PLAIN = (
    "dataflows.roofline", "dataflows.s4.planner", "dataflows.spgemm.compiler", "dataflows.systolic.compiler",
    "dataflows.spgemm.smash", "matplotlib.figure", "matplotlib.backends.backend_svg", "pandas", "pyarrow.parquet",
    "reports.as_csv", "reports.as_json", "reports.commands.report", "reports.dram_trace", "reports.page.write",
    "reports.terminal", "reports.timeline", "scipy.io", "simulator.command.listing", "simulator.command.show",
    "simulator.command.sweep", "simulator.folder", "simulator.runs", "simulator.sweep.points", "simulator.sweep.search",
    "simulator.sweep.runner", "simulator.sweep.store", "workloads.files.tensors", "workloads.files.yaml",
    "workloads.samples", "workloads.sparse",
)  # fmt: skip
TORCH = ("torch", "sklearn.datasets", "workloads.commands.train", "workloads.training.run")
JOBS = (("sat", "2:8", "64x64x64"), ("piuma", None, "rmat:4:4"), ("s4", "4:64", "64x64x64"))


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever is printed by others goes elsewhere
    with_torch = sys.argv[1:] == ["torch"]
    for name in (*PLAIN, *(TORCH if with_torch else ())):
        importlib.import_module(name)
    load_kinds()
    _warm(with_torch)
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        for line in sys.stdin:
            task = json.loads(line)
            try:
                seen = outcome(task["kind"], task["number"], task["case"], place)
            except Exception:  # the harness's own fault, or Hypothesis's
                traceback.print_exc()
                seen = Seen(Verdict.FAILED, ("the harness failed: see above",), 1, 0.0, 0.0, "")
            answers.write(json.dumps({**task, **asdict(seen)}) + "\n")
            answers.flush()


def outcome(kind: str, number: int, case: str, place: Path) -> Seen:
    """What becomes of the input of a number, or of a case, in an empty folder."""
    for old in place.iterdir():
        shutil.rmtree(old, ignore_errors=True)
    if case:
        folder = place / "in0"
        folder.mkdir()
        given = CASES[case].make(folder)
    else:
        given, folder = drawn(KINDS[kind], number, place)
    return tried(given, folder, place / "said")


def tried(given: Input, folder: Path, beside: Path) -> Seen:
    """An input, run in its folder."""
    before = names_in(folder)
    ended = run_child(called(given.call) if given.call else command(given.line), folder, beside)
    return judged(given, ended, before, folder)


def _warm(with_torch: bool) -> None:
    """Load what was compiled before, so that no child has to."""
    from simulator import simulate  # here, after what it stands on

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for machine, pattern, work in () if with_torch else JOBS:
            simulate(machine, pattern, work, mode="inference" if machine == "s4" else "training")


if __name__ == "__main__":
    main()
