"""Bands that ship with the package, and which of them is of a result. `make bands` makes them.

A band is shown beside a result alone that has its work, its machine's numbers and ranges, and its very cycles; of any
other it is no longer known.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from simulator import sensitivity
from simulator.card_parts import BAND, Band
from simulator.job import Job, Source
from simulator.result import Result
from simulator.runner import run_job
from simulator.sensitivity.digests import job_digest, machine_digest
from workloads.files.reading import checked, read_json
from workloads.files.writing import write_bytes
from workloads.shipped import shipped_models
from workloads.terminal import say
from workloads.work import Work

SHIPPED = Path(__file__).parent / "results" / "bands" / "bands.json"
MACHINE, PATTERN = "sat", "2:8"
STALE = "no band of this machine and model ships (make bands)"


def known_band(result: Result) -> Band | None:
    """The band of a result: the one on its card, else the one that ships; None where neither is of this very result."""
    if BAND in result.card.more:
        return checked(Band, result.card.more[BAND], "card.json: more: band")
    found = shipped(SHIPPED).get(job_digest(result.card))
    return found if found is not None and is_of(found, result) else None


def is_of(band: Band, result: Result) -> bool:
    """Whether a band is of this result: the same work, machine and cycles."""
    mine = (job_digest(result.card), machine_digest(result.card), result.cycles, result.baseline.cycles)
    return mine == (band.job, band.machine, band.cycles, band.dense_cycles)


@cache
def shipped(path: Path) -> dict[str, Band]:
    """The bands of a file by the digest of their work. Raises UserError for a file that holds none."""
    return _read(path)


def _read(path: Path) -> dict[str, Band]:
    return {each.job: each for each in checked(list[Band], read_json(path, "bands are JSON"), str(path))}


def shipped_jobs() -> list[Job]:
    """The steps whose bands ship: every model on SAT at 2:8."""
    return [Job(Source(MACHINE), Work(model=model), (PATTERN,)) for model in shipped_models()]


def band_words(result: Result) -> str:
    """Behind a speed-up: how far everything assumed moves it, or how that can be had."""
    band = known_band(result)
    if band is None:
        return " (--band: how far everything assumed moves it)"
    return f", {band.speedup.low:.2f}x to {band.speedup.high:.2f}x over everything assumed"


def energy_words(result: Result) -> str:
    """Behind the energy ratio: its band, where that is known."""
    band = known_band(result)
    if band is None or band.energy_ratio is None:
        return ""
    ratio = band.energy_ratio
    return f" ({ratio.low:.2f} to {ratio.high:.2f} over everything assumed)"


def ship(jobs: Sequence[Job], path: Path, how: "sensitivity.How") -> None:
    """Find the bands of some steps and write them in place of those that a file has of the same. Says what it found.

    Raises UserError where the file cannot be written.
    """
    bands = _read(path) if path.exists() else {}  # as it is now: what another call wrote stays
    for job in jobs:
        _, found = sensitivity.with_band(run_job(job), how)
        bands[found.band.job] = found.band
        text = json.dumps([asdict(each) for each in sorted(bands.values(), key=lambda each: each.work)], indent=1)
        write_bytes(path, f"{text}\n".encode())
        ends, runs = found.band.speedup, found.band.simulations
        say(f"{found.band.work}: {ends.value:.3f}x, {ends.low:.3f}x to {ends.high:.3f}x, {runs:,} simulations")


if __name__ == "__main__":
    ship(shipped_jobs(), SHIPPED, sensitivity.How())
