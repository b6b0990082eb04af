"""The page of a training run on a backend: what it learned beside torch, and how much of its work the backend did."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from reports.figures.style import inline_svg
from reports.figures.training import training_figure
from reports.operations import COUNTED, operations, share_of_backend
from reports.output import write_folder
from reports.page.build import Drawn, Page, Section, rendered
from reports.page.tables import PageTable, page_table
from workloads.op import MatrixOp
from workloads.training.finished import Finished

CAPTION = "Loss and accuracy of every step's batch before its update, on the backend"
BESIDE = " and in torch: same seed, same data"
CYCLES = " Cycles of a step are those of the backend's clock."
NO_CLOCK = "This backend has no clock, so there are no cycles."
SHARE = {"share": "{:.2%}"}


def page_of_training(run: Finished) -> str:
    """One HTML page that needs no other file."""
    log, table = pd.DataFrame(run.log), operations(run.step)
    figure = training_figure(log, run.backend.name)
    caption = CAPTION + (BESIDE if "torch_loss" in log else "") + "." + (CYCLES if run.has_clock else "")
    sections = [
        Section("Result", _texts(run, log), facts=_facts(run)),
        Section("Figures", pictures=[Drawn(caption, inline_svg(figure, "figure-training"), True)]),
        Section("Who computes what", _shares(table), tables=[_operations_table(table), *_backend_table(run)]),
        Section("Run card", ["The command that gives this run again:"], facts=_card(run), commands=[run.command]),
    ]
    return rendered(Page(_title(run), [_summary(run)], sections))


def write_training_figures(run: Finished, folder: Path) -> None:
    """The figure as SVG and PNG, the log, the operations and the backend's table as CSV.

    Raises UserError where they cannot be written.
    """
    log, table = pd.DataFrame(run.log), operations(run.step)
    texts = {"training.csv": log.to_csv(index=False), "operations.csv": table.to_csv(index=False)}
    if run.table:
        texts["backend.csv"] = pd.DataFrame(run.table).to_csv(index=False)
    write_folder(folder, texts, lambda: {"training": training_figure(log, run.backend.name)}, "--figures ")


def _title(run: Finished) -> str:
    told, patterns = run.told, ", ".join(run.settings.patterns)
    method = f"{run.settings.method} {patterns}".strip()
    return f"{told.model} trained on {run.backend.name}, {method}, batch {run.step.batch}, {told.steps} steps"


def _summary(run: Finished) -> str:
    told, left_out = run.told, run.backend.steps_left_out
    if told.test_examples:
        text = f"After {told.steps} steps {told.test_right:,} of {told.test_examples:,} test examples are right, "
        text += f"{told.test_accuracy:.2%}"
        text += f"; the same run in torch has {told.torch.test_accuracy:.2%}" if told.torch else ""
    else:
        text = f"{told.steps} steps; there was nothing with classes to test on"
    skipped = "No step was" if not left_out else "1 step was" if left_out == 1 else f"{left_out} steps were"
    return f"{text}. {skipped} left out after gradients that overflowed."


def _texts(run: Finished, log: pd.DataFrame) -> list[str]:
    last = log.iloc[-1]
    said = f"The last batch's loss is {last['loss']:.4g}"
    if "torch_loss" in log:
        apart = (log["loss"] - log["torch_loss"]).abs()
        said += (
            f", and {last['torch_loss']:.4g} in torch. The two runs are {apart.iloc[0]:.2g} apart in the first step's "
            f"loss and {apart.max():.2g} where they are furthest apart: torch adds the terms of a product in another "
            "order, and does not round their sums to FP16"
        )
    cycles = log["cycles"]
    clock = (
        f"A step takes {cycles.median():,.0f} cycles, the median of all ({cycles.min():,.0f} to {cycles.max():,.0f})."
        if run.has_clock
        else NO_CLOCK
    )
    tested = (
        "The test is computed by the reference's arithmetic with the weights that the backend left, since a backend is "
        "begun for one batch size."
    )
    return [f"{said}.", clock, tested]


def _facts(run: Finished) -> list[tuple[str, str]]:
    products = sum(isinstance(op, MatrixOp) for op in run.step.ops)
    sparse = ", ".join(run.told.sparse_layers) or "none"
    return [
        ("data", run.told.data),
        ("sparse layers", sparse),
        ("products of a step", str(products)),
        ("loss scale", f"{run.settings.loss_scale or 1:g}"),
        ("optimizer", str(run.settings.optimizer)),
    ]


def _shares(table: pd.DataFrame) -> list[str]:
    return [f"The backend does {share_of_backend(table):.2%} of the arithmetic operations of a step. {COUNTED}."]


def _operations_table(table: pd.DataFrame) -> PageTable:
    shown = table.assign(share=table["operations"] / max(1.0, float(table["operations"].sum())))
    return page_table("operations", "Arithmetic operations of one step, by kind of work.", shown, SHARE)


def _backend_table(run: Finished) -> list[PageTable]:
    if not run.table:
        return []
    frame = pd.DataFrame(run.table)
    for name in frame.columns:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        frame[name] = frame[name] if numbers.isna().any() else numbers
    return [page_table("backend", "What the backend told of every op of the last step.", frame, wide=True)]


def _card(run: Finished) -> list[tuple[str, str]]:
    settings: Mapping[str, object] = asdict(run.settings)
    given = [(name.replace("_", " "), _words(value)) for name, value in settings.items() if value not in (None, (), "")]
    return [*given, *((f"version of {name}", version) for name, version in run.told.versions.items())]


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
