"""The committed results: which of them are stale, and making those again.

`python -m tests.results` (or `make results`) says for every folder of `reports/results` whether the sources that it was
made from have changed since, and makes the stale ones again, but for those that take hours or other machines. `--list`
only says it; `--long` makes those that take hours of this machine too; a name makes that one whatever it is.

A folder counts as made from the models (`simulator.sweep.version`: all of them but commands) and from the modules of
`reports` named here, so a change that moves no number makes it stale as well: what git then shows is what moved.
"""

import argparse
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from simulator.sweep.version import model_version

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "reports/results"
MADE = RESULTS / "made.json"


@dataclass(frozen=True)
class Folder:
    """A folder of results, the arguments of `simulate` that make it, and what else of `reports` it is made from.

    `why_not`: why it is not made again unasked.
    """

    name: str
    arguments: str
    sources: tuple[str, ...]
    why_not: str = ""

    @property
    def command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("simulate")), *shlex.split(self.arguments)]

    def digest(self) -> str:
        """Of the models and of the sources, files in the order of their names."""
        found = sha256(model_version().encode())
        for pattern in self.sources:
            for path in sorted((ROOT / "reports").glob(pattern)):
                found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
        return found.hexdigest()[:16]


CHECKS = ("checks/*.py", "published/*", "figures/validation.py", "commands/validate.py")
FOLDERS = (
    Folder("validate", "validate --out reports/results/validate", CHECKS),
    Folder("validate-sat", "validate sat --out reports/results/validate-sat", CHECKS),
    Folder("validate-s4", "validate s4 --out reports/results/validate-s4", CHECKS),
    Folder("study-sparsity", "study sparsity --out reports/results/study-sparsity", ("studies/sparsity.py",)),
    Folder(
        "study-smash",
        "study smash --largest 11 --out reports/results/study-smash",
        ("studies/smash.py", "smash.py", "figures/fabric.py"),
    ),
    Folder(
        "byte-tolerance",
        "study byte-tolerance --out reports/results/byte-tolerance",
        ("studies/byte_tolerance.py",),
    ),
    Folder(
        "pareto",
        "study pareto reports/results/study-accuracy/accuracy.csv --out reports/results/pareto",
        ("studies/pareto.py", "results/study-accuracy/accuracy.csv"),
    ),
    Folder(
        "iso-area",
        "study iso-area reports/results/area/iso-area-2-8.csv --out reports/results/iso-area",
        ("studies/iso_area.py", "results/area/iso-area-2-8.csv"),
    ),
    Folder("area", "area --out reports/results/area", ("area.py", "commands/area.py"), "two hours of placement"),
    Folder("study-accuracy", "", (), "days of training: reports/results/study-accuracy/README.md"),
    Folder("hil", "", (), "several runs, which its README lists"),
    Folder("core-training", "", (), "trainings in RTL, which its README lists"),
    Folder("bench", "", (), "a quiet machine: make bench, bench-commit and bench-growth"),
)


def main() -> int:
    """Say what is stale and make it again; exit code 1 where something stale was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="make these, stale or not")
    parser.add_argument("--list", action="store_true", help="make nothing")
    parser.add_argument("--long", action="store_true", help="also what takes hours")
    asked = parser.parse_args()
    unknown = set(asked.names) - {folder.name for folder in FOLDERS if folder.arguments}
    if unknown:
        parser.error(f"no command makes {', '.join(sorted(unknown))}; the others are {_names()}")
    made, left = json.loads(MADE.read_text()), 0
    for folder in FOLDERS:
        fresh = made.get(folder.name) == folder.digest()
        wanted = folder.name in asked.names or not (asked.names or fresh or asked.list)
        makes = wanted and bool(folder.arguments) and (not folder.why_not or asked.long or folder.name in asked.names)
        said = "fresh" if fresh else "stale"
        print(f"{folder.name}: {said}{'' if fresh or not folder.why_not else f' (not made: {folder.why_not})'}")
        if makes:
            subprocess.run(folder.command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            made[folder.name] = folder.digest()
            MADE.write_text(json.dumps(made, indent=2) + "\n")
        left += not (fresh or makes)
    return 1 if left else 0


def _names() -> str:
    return ", ".join(folder.name for folder in FOLDERS if folder.arguments)


if __name__ == "__main__":
    sys.exit(main())
