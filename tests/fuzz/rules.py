"""The rules that hold for every input, and what was seen of one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from tests.fuzz.child import CPU_SECONDS, WALL_SECONDS, Ended
from tests.fuzz.kinds import Input

LETTERS = 1_200  # of a sentence, "simulate: " included
TIMED = "seconds of CPU"
CPU = {True: 10.0, False: 3.0}  # seconds of an accepted and of a refused input
# 500 and 300 MB less what is imported on the way, which the server has already: about 250 MB of a whole step, and
# 100 MB where a file is refused.
GROWN = {True: 250.0, False: 200.0}
SAID = "simulate: "
NOTE = "simulate: note: "
# Beside the one sentence a refused command may have noted something, or have shown how far it was.
PROGRESS = re.compile(r"simulate: note: .*|[a-z][a-z :]* \d+ of \d+: .*|hil: .*|to go on: simulate train --resume .*")
WARNED = re.compile(r"^\S*:\d+: \w*Warning: .*", re.M)
Names = Mapping[str, str]  # of everything in a folder: a digest of each


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Seen:
    """What became of an input. wrong: the rules that it broke, a line each."""

    verdict: Verdict
    wrong: tuple[str, ...]
    code: int
    cpu: float
    grown: float
    words: str  # the sentence it was refused with, or the end of a traceback


TRIED = " points could be run"  # a sweep all of whose points failed: what each said is kept in its folder


def judged(given: Input, ended: Ended, before: Names, folder: Path) -> Seen:
    """An ended child held against every rule."""
    accepted = ended.code in (0, 1)
    wrong = [*_how_it_ended(ended), *_left(given, accepted or TRIED in ended.err, before, names_in(folder))]
    if ended.code in (0, 1, 2) and not ended.waited:
        for what, used, most in (
            (TIMED, ended.cpu, CPU[accepted]),
            ("MiB more than at first", ended.grown, GROWN[accepted]),
        ):
            if used > most:
                wrong.append(f"{what}: {used:.1f}, of {most:.0f} for {'an accepted' if accepted else 'a refused'} one")
    if ended.code == 2:
        wrong += _sentence(ended.err)
    if accepted and _unprintable(ended.out.replace("\n", "").replace("\t", "")):
        wrong.append("standard output holds control characters")
    if accepted and not wrong and (said := given.check(folder, ended.out)):
        wrong.append(said)
    verdict = Verdict.FAILED if wrong else Verdict.ACCEPTED if accepted else Verdict.REFUSED
    return Seen(verdict, tuple(wrong), ended.code, ended.cpu, ended.grown, _words(ended.err))


def names_in(folder: Path) -> Names:
    """Everything in a folder by name, with a digest of what it holds."""
    return {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*"))}


def _digest(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"


def _how_it_ended(ended: Ended) -> list[str]:
    wrong = []
    if ended.waited:
        wrong.append(f"hangs: was ended after {WALL_SECONDS:.0f} s")
    elif ended.code == -24:
        wrong.append(f"was ended after {CPU_SECONDS} s of CPU")
    elif ended.code < 0:
        wrong.append(f"was killed by signal {-ended.code}")
    elif ended.code not in (0, 1, 2):
        wrong.append(f"exit code {ended.code}")
    if "Traceback" in ended.err:
        wrong.append(f"a traceback that ends in: {ended.err.strip().splitlines()[-1][:300]!a}")
    if found := WARNED.search(ended.err):
        wrong.append(f"a warning of Python's: {found[0][-200:]}")
    return wrong


def _sentence(err: str) -> list[str]:
    """What is wrong with the one sentence of a refused input."""
    lines = err.split("\n")
    if lines[-1] == "":
        lines.pop()
    said = [line for line in lines if line.startswith(SAID) and not line.startswith(NOTE)]
    wrong = [f"also says: {line[:200]!r}" for line in lines if line not in said and not PROGRESS.fullmatch(line)][:3]
    if len(said) != 1:
        wrong.append(f"{len(said)} lines of standard error begin with '{SAID.strip()}', not one")
    wrong += [f"a sentence of {len(line)} letters" for line in said if len(line) > LETTERS]
    wrong += ["the sentence holds control characters" for line in said if _unprintable(line)]
    return wrong


def _unprintable(line: str) -> bool:
    return any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in line)


def _left(given: Input, accepted: bool, before: Names, after: Names) -> list[str]:
    """What was left behind or changed and may not have been."""
    may = given.makes if accepted else given.keeps

    def allowed(name: str) -> bool:
        return any(name == made or name.startswith(f"{made}/") for made in may)

    changed = [name for name, digest in before.items() if after.get(name) != digest and not allowed(name)]
    new = [name for name in after if name not in before and not allowed(name)]
    hidden = [name for name in after if name not in before and name not in new and _is_hidden(name)]
    wrong = [f"changed: {name!r}" for name in changed[:3]]
    return wrong + [f"left behind: {name!r}" for name in (new + hidden)[:3]]


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/")) or name.endswith(".partial")


def _words(err: str) -> str:
    lines = [line for line in err.strip().splitlines() if not line.startswith(NOTE)]
    return ascii(lines[-1][:300])[1:-1] if lines else ""


def _error(err: str) -> str:
    """The line of a traceback that names the error: the last that is not indented."""
    lines = [line for line in err.strip().splitlines() if line and not line.startswith(" ")]
    return ascii(lines[-1][:300])
