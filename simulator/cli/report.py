"""`simulate report`: results as one self-contained page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from simulator.result import Result

    Again = tuple[pd.DataFrame | None, pd.DataFrame | None]  # what running the step again said


def report(
    results: Annotated[list[Path], typer.Argument(help="Result folders; several give a comparison.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page. [default: RESULT.html beside the folder, or comparison.html]"),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also write the figures there as SVG and PNG, tables as CSV.")
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option(help="Run the step again at both ends of every assumption's range.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the page.")] = False,
) -> None:
    """Write one self-contained HTML page: of one result, or of several side by side."""
    from rich.console import Console

    from simulator.result import load
    from workloads.errors import UserError

    path = out or _default(results)
    if path.is_dir() or (path.exists() and not force):
        why = (
            "is a folder; a page is a file" if path.is_dir() else "is there already; choose another file or add --force"
        )
        raise UserError(f"--out {path}: {why}")
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: there is no folder '{path.parent}'")
    loaded = [load(folder) for folder in results]
    try:
        if len(loaded) == 1:
            table, said = _sensitivity(loaded[0]) if sensitivity else (None, "Their sensitivity was not asked for.")
            ladder = _ladder(loaded[0]) if table is not None else None
        with Console(stderr=True).status("drawing"):
            text = (
                _several(loaded, results, figures)
                if len(loaded) > 1
                else _single(loaded[0], (table, ladder), said, figures)
            )
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "jinja2"):
            raise
        raise UserError(
            f"a page needs the package '{error.name}', which is missing: pip install 'sparsehil[report]'"
        ) from None
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written: {error.strerror or error}") from None
    typer.echo(f"page: {path} ({len(text.encode()) / 1e6:.2f} MB)")


def _default(results: list[Path]) -> Path:
    return Path("comparison.html") if len(results) > 1 else results[0].parent / f"{results[0].resolve().name}.html"


def _single(result: "Result", again: "Again", said: str, figures: Path | None) -> str:
    from reports.page.build import result_page
    from reports.page.gallery import step_pictures

    if figures is not None:
        from reports.page.files import write_pictures, write_tables

        dense = result.dense or result
        write_pictures(step_pictures(result, dense, *again), figures)
        write_tables(result, dense, figures)
    return result_page(result, *again, said)


def _several(results: "list[Result]", folders: list[Path], figures: Path | None) -> str:
    from reports.page.build import comparison_page
    from reports.page.gallery import comparison_pictures

    labels = _labels(results, folders)
    if figures is not None:
        from reports.page.files import write_pictures

        write_pictures(comparison_pictures(results, labels), figures)
    return comparison_page(results, labels)


def _labels(results: "list[Result]", folders: list[Path]) -> list[str]:
    """The shortest names that tell the results apart: what differs between their cards, or their folders."""
    said: list[str] = []
    for key in ("arch", "model", "method", "pattern", "mode", "batch"):
        if len({result.card[key] for result in results}) > 1:
            said.append(key)
            labels = [" ".join(str(result.card[each]) for each in said) for result in results]
            if len(set(labels)) == len(labels):
                return labels
    return [folder.resolve().name for folder in folders]


def _sensitivity(result: "Result") -> "tuple[pd.DataFrame | None, str]":
    """The step run again with each assumption at the ends of its range; or why that could not be."""
    from simulator.cli.again import sensitivity_of
    from workloads.errors import UserError

    if "fabric" in result.card:
        return None, "A product of matrices has no speed-up over dense whose sensitivity could be shown."
    if result.card["pattern"] == "dense":
        return None, "A dense step has no speed-up over dense whose sensitivity could be shown."
    try:
        return sensitivity_of(result), ""
    except UserError as error:
        return None, f"Their sensitivity is unknown, because the step could not be run again: {error}."


def _ladder(result: "Result") -> "pd.DataFrame | None":
    """What each optimisation of the machine is worth; None where one of them is off, or the machine has none."""
    from rich.console import Console

    from simulator.cli.again import OPTIMISATIONS, choices_of, ladder_of

    if not all(result.card["numbers"].get(switch, {}).get("value") is True for switch in OPTIMISATIONS):
        return None
    with Console(stderr=True).status("optimisations, one after the other"):
        return ladder_of(choices_of(result))
