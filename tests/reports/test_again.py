"""A step that is run again and again gives what it gives alone."""

from dataclasses import replace

from reports.again import UNCERTAIN, Again
from simulator.job import Job, Source
from simulator.runner import run_job
from simulator.sensitivity.numbers import moves_of, open_numbers
from simulator.sweep.points import evaluate
from workloads.work import Work


def test_machines_that_share_mappings_have_the_rows_of_each_alone() -> None:
    """Every number that is not certain, at both ends of its range: products are shared wherever they may be."""
    job = Job(Source("sat"), Work(model="mlp"), ("2:8",))
    again, moves = Again(job), moves_of(open_numbers(run_job(job).card.numbers, UNCERTAIN))
    changes = [move.settings(share) for move in moves for share in (0, 1)]
    alone = evaluate([replace(job, settings=settings) for settings in changes])
    assert [again.row(settings) for settings in changes] == alone
    assert len({row["cycles"] for row in alone}) > len(changes) / 4
