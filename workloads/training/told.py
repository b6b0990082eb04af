"""What a run on a backend tells in its log and its result: of the backend, and of the same training in torch."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from workloads.errors import UserError
from workloads.files.writing import write_text
from workloads.training.backend import CYCLES, OPS
from workloads.training.data import Batch
from workloads.training.elsewhere import SessionEngine
from workloads.training.loop import Training
from workloads.training.run_folder import TABLE
from workloads.training.run_log import CYCLES as CYCLES_COLUMN
from workloads.training.run_log import (
    LEFT_OUT,
    TORCH_ACCURACY,
    TORCH_LOSS,
    more_columns,
    read_log,
)
from workloads.training.scores import hits
from workloads.training.settings import Settings


def told_by(training: Training) -> dict[str, float]:
    """What a backend tells of the step that was made, by column of the log; nothing where there is none."""
    if not isinstance(training.engine, SessionEngine):
        return {}
    meter = training.engine.meter
    meter.advance()
    return {LEFT_OUT: int(training.left_out), CYCLES_COLUMN: meter.cycles}


def told_beside(training: Training, batch: Batch) -> dict[str, float]:
    """The same step in torch, by column of the log; nothing where there is no such training.

    Raises UserError for a loss that is none.
    """
    if training.beside is None:
        return {}
    loss = training.beside.run_step(batch)
    if not math.isfinite(loss):
        raise UserError(
            f"step {training.beside.step}: the loss in torch is {loss}, so the run ends here; --alone trains without it"
        )
    right, counted = map(sum, zip(*(hits(*each) for each in training.beside.logits), strict=True))
    return {TORCH_LOSS: loss, TORCH_ACCURACY: right / max(1, counted)}


def write_table(training: Training, folder: Path) -> None:
    """Write what a backend tells of every op of the last step, if it does. Raises UserError where it cannot be."""
    if not isinstance(training.engine, SessionEngine) or not (rows := training.engine.meter.rows):
        return
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / TABLE, text.getvalue())


def elsewhere_told(
    training: Training, settings: Settings, folder: Path, beside: tuple[int, int] | None
) -> dict[str, object]:
    """What `result.json` says of a run on a backend. beside: what torch's model got right in the test, of how many."""
    assert isinstance(training.engine, SessionEngine)
    rows = read_log(folder, training.step, more_columns(settings.on, settings.alone))
    facts = {name: each for name, each in training.engine.session.figures().items() if name not in (OPS, CYCLES)}
    cycles = sum(row[CYCLES_COLUMN] for row in rows)
    backend = {
        "name": settings.on,
        "steps_left_out": int(sum(row[LEFT_OUT] for row in rows)),
        "cycles": cycles,
        "counted_after_step": training.engine.begun_after,  # the last resume; what follows is of the steps after it
        **facts,
    }
    told: dict[str, object] = {"backend": backend}
    if beside is not None:
        right, tested = beside
        told["torch"] = {"test_accuracy": right / max(1, tested), "test_right": right, "test_examples": tested}
    return told


def sentences(told: Mapping[str, object]) -> tuple[str, ...]:
    """The same for a terminal."""
    if not told:
        return ()
    backend = cast(Mapping[str, float], told["backend"])
    left_out, cycles = int(backend["steps_left_out"]), backend["cycles"]
    steps = "no step was" if not left_out else f"{left_out} step was" if left_out == 1 else f"{left_out} steps were"
    said = [f"on {backend['name']}: {steps} left out after gradients that overflowed"]
    if cycles:
        said[0] += f"; {cycles:,.0f} cycles in all"
    if "torch" in told:
        torch = cast(Mapping[str, float], told["torch"])
        share = f"{100 * torch['test_accuracy']:.2f} % ({torch['test_right']:,} of {torch['test_examples']:,})"
        said.append(f"the same run in torch: test accuracy {share}")
    return tuple(said)
