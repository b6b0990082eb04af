"""What `simulate report` does: results as one page, of one result or of several side by side."""

from collections.abc import Sequence
from dataclasses import replace
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

import reports
import simulator
from simulator import sensitivity as bands
from workloads.console import console
from workloads.errors import UserError
from workloads.files.limits import Limits
from workloads.files.writing import check_new, write_bytes
from workloads.training.finished import is_run, read_finished

if TYPE_CHECKING:
    import pandas as pd

    from simulator.result import Result

NOT_ASKED = "Their sensitivity was not asked for."
TELLING = ("arch", "model", "method", "pattern", "mode", "batch")  # what a result is called by, in turn


def write_report(
    folders: Sequence[Path],
    out: Path | None,
    figures: Path | None,
    sensitivity: bool,
    band: bool,
    force: bool,
    limits: Limits,
) -> str:
    """Write the page of result folders, and their figures where a folder for them is named; the sentence to be printed.

    sensitivity: run the step again at both ends of every assumption's range, within `limits`. band: find how far all of
    them together move it. Raises UserError for a folder that is no result, and where the page cannot be written.
    """
    path = out or _default(folders)
    check_page(path, force)
    if any(map(is_run, folders)):
        text = _training(folders, band, figures)
        put_page(path, text, replace=force)
        return f"page: {path} ({len(text.encode()) / 1e6:.2f} MB)"
    results = [simulator.load_result(folder) for folder in folders]
    if len(results) > 1:
        if band:
            raise UserError("--band: is of one result; run each with it, and compare them then")
        text = _several(results, _labels(results, folders), figures)
    else:
        text = _single(results[0], sensitivity, band, figures, limits)
    put_page(path, text, replace=force)
    return f"page: {path} ({len(text.encode()) / 1e6:.2f} MB)"


def _training(folders: Sequence[Path], band: bool, figures: Path | None) -> str:
    """The page of a training run on a backend."""
    if len(folders) > 1:
        raise UserError(f"{next(filter(is_run, folders))}: is a training run; each has a page of its own")
    if band:
        raise UserError("--band: is of a simulated step, and this is a training run")
    run = read_finished(folders[0])
    with console(error=True).status("drawing"):
        if figures is not None:
            reports.write_training_figures(run, figures)
        return reports.page_of_training(run)


def check_page(path: Path, force: bool) -> None:
    """Raises UserError where a page may not be written."""
    check_new(path, force, f"--out {path}")


def put_page(path: Path, text: str, option: str = "--out ", replace: bool = True) -> None:
    """Write a page, which appears whole or not at all; `replace` is whether in place of one that is there.

    Raises UserError, after `option`, where it cannot be written.
    """
    write_bytes(path, text.encode("utf-8", "replace"), f"{option}{path}", replace=replace)


def _default(folders: Sequence[Path]) -> Path:
    return Path("comparison.html") if len(folders) > 1 else folders[0].parent / f"{_name(folders[0])}.html"


def _name(folder: Path) -> str:
    """What a folder is called where it is, also one that is named by `.` or by a link."""
    return Path(realpath(folder)).name


def _single(result: "Result", sensitivity: bool, band: bool, figures: Path | None, limits: Limits) -> str:
    page = reports.result_page  # with all that a page needs, before the step is run again
    result = replace(result, card=replace(result.card, job=result.card.job.within(limits)))
    if band:
        result, _ = bands.with_band(result, bands.How())
    table, said = _sensitivity(result) if sensitivity else (None, NOT_ASKED)
    ladder = _ladder(result) if table is not None else None
    with console(error=True).status("drawing"):
        if figures is not None:
            reports.write_figures(result, figures, table, ladder)
        return page(result, table, ladder, said)


def _several(results: "Sequence[Result]", labels: Sequence[str], figures: Path | None) -> str:
    with console(error=True).status("drawing"):
        if figures is not None:
            reports.write_comparison(results, labels, figures)
        return reports.comparison_page(results, labels)


def _labels(results: "Sequence[Result]", folders: Sequence[Path]) -> list[str]:
    """The shortest names that tell the results apart: what differs between their cards, or their folders."""
    said: list[str] = []
    for key in TELLING:
        if len({getattr(result.card, key) for result in results}) > 1:
            said.append(key)
            labels = [" ".join(str(getattr(result.card, each)) for each in said) for result in results]
            if len(set(labels)) == len(labels):
                return labels
    return [_name(folder) for folder in folders]


def _sensitivity(result: "Result") -> "tuple[pd.DataFrame | None, str]":
    """The step run again with each assumption at the ends of its range; or why that could not be."""
    if "fabric" in result.card.more:
        return None, "A product of matrices has no speed-up over dense whose sensitivity could be shown."
    if result.card.is_dense:
        return None, "A dense step has no speed-up over dense whose sensitivity could be shown."
    try:
        return reports.sensitivity_of(result), ""
    except UserError as error:
        return None, f"Their sensitivity is unknown, because the step could not be run again: {error}."


def _ladder(result: "Result") -> "pd.DataFrame | None":
    """What each optimisation of the machine is worth; None where one of them is off, or the machine has none."""
    switches = (result.card.numbers.get(switch) for switch in reports.OPTIMISATIONS)
    if not all(number is not None and number.value is True for number in switches):
        return None
    with console(error=True).status("optimisations, one after the other"):
        return reports.ladder_of(result.card.job)
