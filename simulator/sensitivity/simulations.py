"""Jobs by the hundred, each simulated once, in a folder where the same command finds them again."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from simulator.job import Job
from simulator.rows import Row
from simulator.sweep import LocalEngine, Store, Sweep, model_version
from simulator.sweep.points import evaluate_by_entry
from simulator.sweep.runner import Counts

PLACE = Path("results") / "sensitivity"
Show = Callable[[int, int], None]  # how many are done, of how many


class Simulations:
    """What jobs gave, with the units of every energy entry; None for one that cannot be run.

    Not frozen: it remembers. `refused` has the reasons, each with how many jobs it is the reason of.
    """

    def __init__(self, jobs: int, folder: Path = PLACE) -> None:
        """`jobs` processes of this machine. Raises UserError where the folder cannot be written."""
        self.refused: Counter[str] = Counter()
        self._version = f"{model_version()} by entry"  # a sweep's points in the same folder lack those units
        self._store, self._engine = Store(folder), LocalEngine(jobs)
        self._known: dict[Job, Row | None] = {}
        self._store.open()
        self._store.describe({"version": self._version, "grid": {}, "ties": {}, "where": []})

    def __len__(self) -> int:
        return len(self._known)

    def rows(self, jobs: Sequence[Job], show: Show) -> list[Row | None]:
        """A row a job, in order; those that nobody has run are run. Raises UserError where they cannot be kept."""
        missing = [job for job in dict.fromkeys(jobs) if job not in self._known]
        if missing:

            def shown(counts: Counts) -> None:
                show(counts.all - counts.left, counts.all)

            Sweep(missing, self._store, self._version, shown).run(self._engine, evaluate_by_entry)
            buckets = {job.bucket(self._version) for job in missing}
            found = {row["key"]: row for bucket in buckets for row in self._store.rows(bucket)}
            self._known |= {job: found.get(job.key(self._version)) for job in missing}
            for job in missing:
                if self._known[job] is None:
                    self.refused[self._store.error(job.key(self._version)).error] += 1
        return [self._known[job] for job in jobs]
