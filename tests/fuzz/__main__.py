"""`python -m tests.fuzz [--seed N|random] [--count N] [--kind NAME] [--jobs 2] [--one N | --case NAME]`."""

import argparse
import json
import os
import queue
import secrets
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.fuzz.base import SESSION
from tests.fuzz.kinds import CASES, KINDS, load_kinds
from tests.fuzz.rules import TIMED, Verdict

SEED = 1
LEAST = 2  # inputs of every kind, however short the run
MANY = 40  # inputs of a kind of which some should be accepted
REFUSED = "training line"  # a kind whose lines all have an option that is not there: a training takes minutes
# One thread for everybody: a server must not have another when it forks.
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
Outcome = dict[str, Any]  # a task with what `Seen` says


@dataclass(frozen=True)
class Task:
    """An input by its kind and number, or a case by its name."""

    kind: str
    number: int
    case: str
    torch: bool


def main() -> int:
    """Run what is asked; 1 where anything has failed."""
    load_kinds()
    asked = _asked()
    seed = secrets.randbelow(2**32) if asked.seed == "random" else int(asked.seed)
    tasks = _one(asked) or [*(() if asked.no_cases else _cases(asked.kind)), *_numbered(seed, asked.kind, asked.count)]
    print(f"seed {seed}: {len(tasks)} inputs", flush=True)
    began = time.monotonic()
    outcomes = run(tasks, asked.jobs, bool(asked.all or asked.case or asked.one is not None))
    _tell(outcomes, time.monotonic() - began)
    failed = [each for each in outcomes if each["verdict"] == Verdict.FAILED]
    if asked.untimed:  # a busy machine makes seconds of CPU longer
        failed = [each for each in failed if not all(wrong.startswith(TIMED) for wrong in each["wrong"])]
    return int(bool(failed) or len(outcomes) < len(tasks) or _barren(outcomes))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Spoiled inputs through the program.")
    parser.add_argument("--seed", default=str(SEED), help="A number, or random.")
    parser.add_argument("--count", type=int, default=sum(kind.share for kind in KINDS.values()))
    parser.add_argument("--kind", choices=sorted(KINDS), help="Only this kind.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="Tell of every input, not of failures alone.")
    parser.add_argument("--no-cases", action="store_true", help="Drawn inputs alone.")
    parser.add_argument("--untimed", action="store_true", help="Failed is not what took too long alone.")
    parser.add_argument("--one", type=int, help="The number of a single input; needs --kind.")
    parser.add_argument("--case", choices=sorted(CASES), metavar="NAME", help="A single case.")
    return parser.parse_args()


def _one(asked: argparse.Namespace) -> list[Task]:
    """The one input that is asked for, if one is."""
    if asked.case:
        return [Task(CASES[asked.case].kind, 0, asked.case, CASES[asked.case].torch)]
    if asked.one is None:
        return []
    if not asked.kind:
        sys.exit("--one: say of which kind, with --kind")
    return [Task(asked.kind, asked.one, "", KINDS[asked.kind].torch)]


def _cases(only: str | None) -> list[Task]:
    return [Task(each.kind, 0, each.name, each.torch) for each in CASES.values() if only in (None, each.kind)]


def _numbered(seed: int, only: str | None, count: int) -> list[Task]:
    """Inputs of every kind by its share, mixed, so that dear kinds do not come together."""
    chosen = [kind for kind in KINDS.values() if only in (None, kind.name)]
    whole = sum(kind.share for kind in chosen)
    placed = []
    for kind in chosen:
        many = max(LEAST, round(count * kind.share / whole))
        for which in range(many):
            number = int.from_bytes(sha256(f"{seed} {kind.name} {which}".encode()).digest()[:6], "big")
            placed.append((which / many, Task(kind.name, number, "", kind.torch)))
    return [task for _, task in sorted(placed, key=lambda each: each[0])]


def run(tasks: Sequence[Task], jobs: int, tell_all: bool = False) -> list[Outcome]:
    """The outcomes of tasks, from so many servers at a time. Those that need torch come last."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-session-") as name:
        environment = {"NUMBA_CACHE_DIR": f"{name}/numba", **os.environ, **ALONE, SESSION: name}
        for what in ("", "torch"):
            mine: queue.SimpleQueue[Task] = queue.SimpleQueue()
            some = [task for task in tasks if task.torch == bool(what)]
            if not some:
                continue
            for task in some:
                mine.put(task)
            made = [sys.executable, "-m", "tests.fuzz.base", name, *([what] if what else [])]
            subprocess.run(made, check=True, env=environment, stdout=subprocess.DEVNULL)
            server = [sys.executable, "-m", "tests.fuzz.server", *([what] if what else [])]
            arguments = (server, environment, mine, outcomes, tell_all)
            threads = [threading.Thread(target=_serve, args=arguments) for _ in range(min(jobs, len(some)))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    return outcomes


def _serve(
    command: Sequence[str],
    environment: Mapping[str, str],
    tasks: "queue.SimpleQueue[Task]",
    outcomes: list[Outcome],
    tell_all: bool,
) -> None:
    """Give tasks to a server of one's own until there are no more."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdin is not None and server.stdout is not None
    with server:
        while True:
            try:
                task = tasks.get_nowait()
            except queue.Empty:
                return
            server.stdin.write(json.dumps(vars(task)) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
            if not answer:
                raise RuntimeError(f"the server has ended at {task}")
            outcomes.append(json.loads(answer))
            if tell_all or outcomes[-1]["verdict"] == Verdict.FAILED:
                print(_failure(outcomes[-1]), flush=True)


def _failure(seen: Outcome) -> str:
    """What there is to know of an input, and how it is run alone."""
    alone = ("--case", seen["case"]) if seen["case"] else ("--kind", seen["kind"], "--one", str(seen["number"]))
    lines = [f"\n{seen['kind']}, {seen['case'] or seen['number']}: python -m tests.fuzz {shlex.join(alone)}"]
    lines += [*seen["wrong"], f"exit code {seen['code']}, {seen['cpu']:.1f} s; says: {seen['words']}"]
    return "\n  ".join(lines)


def _tell(outcomes: Sequence[Outcome], seconds: float) -> None:
    counts = Counter((each["kind"], each["verdict"]) for each in outcomes)
    print(f"\n{'kind':22}" + "".join(f"{verdict.value:>10}" for verdict in Verdict) + f"{'CPU s':>10}")
    for kind in (*sorted({each["kind"] for each in outcomes}), ""):
        row = [sum(n for (k, v), n in counts.items() if k == (kind or k) and v == verdict) for verdict in Verdict]
        spent = sum(each["cpu"] for each in outcomes if each["kind"] == (kind or each["kind"]))
        print(f"{kind or 'all':22}" + "".join(f"{number:10}" for number in row) + f"{spent:10.0f}")
    print(f"{len(outcomes)} inputs in {seconds:.0f} s")


def _barren(outcomes: Sequence[Outcome]) -> bool:
    """Whether a kind tries nothing, since all of its inputs are refused, perhaps for one and the same reason."""
    drawn = Counter(each["kind"] for each in outcomes if not each["case"])
    for kind in {each["kind"] for each in outcomes if each["verdict"] == Verdict.ACCEPTED} | {REFUSED}:
        del drawn[kind]
    barren = [kind for kind, many in drawn.items() if many >= MANY]
    if barren:
        print(f"nothing was accepted of: {', '.join(barren)}")
    return bool(barren)


if __name__ == "__main__":
    sys.exit(main())
