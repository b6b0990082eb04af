"""The figures of a page, each with its caption; and figures and tables as files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from reports.energy import has_energy
from reports.energy_tables import energy_by, entry_table
from reports.figures.compare import compared_figure, models_figure, phases_compared_figure
from reports.figures.energy import energy_figure, entries_figure, tensors_figure
from reports.figures.fabric import load_figure, time_figure
from reports.figures.step import (
    causes_figure,
    hardware_figure,
    layers_figure,
    phases_figure,
    roofline_figure,
    utilisation_figure,
)
from reports.figures.validation import sensitivity_figure, waterfall_figure
from reports.layers import layer_table, roofline_points, roofs
from reports.output import write_folder
from simulator.frames import phase_table
from simulator.result import Result
from workloads.errors import unknown_name


@dataclass(frozen=True)
class Picture:
    """A figure with the name of its file and what a reader who cannot see it is told."""

    name: str
    caption: str
    figure: Figure


CAPTIONS = {
    "phases": "Time of each phase beside the best dense schedule of the same machine.",
    "causes": "What the time of each phase was spent on; the parts of a bar sum to the phase.",
    "threads": "What all threads of the fabric spent their time on.",
    "load": "Threads at work by core, instructions issued and bytes of memory moved, from start to end.",
    "layers": "Speed-up of every layer's products over dense.",
    "utilisation": "How busy PEs and DRAM are, op by op, in the order of the step.",
    "roofline": "Every product under the roofs of its machine; the lower slanted roof rests on the assumed efficiency.",
    "energy": "Energy by phase and component; the line is an envelope, all entries at one end of their ranges at once.",
    "tensors": "Energy by the tensor it was spent for.",
    "entries": "The entries of the energy table that the energy hangs on most.",
    "hardware": "Modelled array cycles of the step by class (layer, phase, dataflow, pattern), and what hardware said.",
    "waterfall": "What each optimisation takes off the step when it is added to those before it.",
    "sensitivity": "The assumptions that the speed-up hangs on most.",
}
COMPARED = (
    "Time and energy of each result, in brackets how many times less than its best dense schedule; of energy also the "
    "ends of that, with the same prices on both sides."
)
Drawings = dict[str, Callable[[], Figure]]


def figure(result: Result, name: str) -> Figure:
    """One of the figures of a result by its name. Raises UserError for an unknown name, with those it has."""
    known = _drawings(result)
    if name not in known:
        raise unknown_name("figure", name, known)
    return known[name]()


def step_pictures(
    result: Result, sensitivity: pd.DataFrame | None = None, ladder: pd.DataFrame | None = None
) -> list[Picture]:
    """All figures of one result; those whose numbers a machine does not have are left out."""
    drawings, card = _drawings(result), result.card
    if ladder is not None:
        drawings["waterfall"] = partial(waterfall_figure, ladder, card.model)
    if sensitivity is not None and len(sensitivity):
        drawings["sensitivity"] = partial(sensitivity_figure, sensitivity, card.model, result.over_baseline)
    return [Picture(name, CAPTIONS[name], draw()) for name, draw in drawings.items()]


def _drawings(result: Result) -> Drawings:
    """What draws each figure that the result alone gives, in their order."""
    found = _product(result) if "fabric" in result.card.more else _step(result)
    limits = roofs(result)
    if limits is not None and len(roofline_points(result)):
        found["roofline"] = partial(roofline_figure, result, limits)
    if has_energy(result) and len(result.actions):
        found |= {"energy": partial(energy_figure, result), "tensors": partial(tensors_figure, result)}
        found["entries"] = partial(entries_figure, result)
    if result.card.hil is not None:
        found["hardware"] = partial(hardware_figure, result.card.hil)
    return found


def _step(result: Result) -> Drawings:
    found: Drawings = {"phases": partial(phases_figure, result), "causes": partial(causes_figure, result)}
    if (result.ops["kind"] == "product").any() and not result.card.is_dense:
        found["layers"] = partial(layers_figure, result)
    return {**found, "utilisation": partial(utilisation_figure, result)}


def _product(result: Result) -> Drawings:
    """A product of matrices: one op, whose threads are what there is to look at."""
    shares = {result.card.more["kernel"]: result.card.more["fabric"]["thread_time"]}
    threads = partial(time_figure, shares, "what the threads' time went into")
    return {"threads": threads, "load": partial(load_figure, result), "causes": partial(causes_figure, result)}


def comparison_pictures(results: Sequence[Result], labels: Sequence[str]) -> list[Picture]:
    """The figures of several results side by side."""
    pictures = [
        Picture("compared", COMPARED, compared_figure(results, labels)),
        Picture("phases", "Time of each phase.", phases_compared_figure(results, labels)),
    ]
    if len({result.card.model for result in results}) > 1:
        pictures.append(Picture("models", "Speed-up over dense by model.", models_figure(results, labels)))
    return pictures


def write_figures(
    result: Result, folder: Path, sensitivity: pd.DataFrame | None = None, ladder: pd.DataFrame | None = None
) -> None:
    """SVG and PNG of every figure, the same bytes for the same result, and its tables as CSV.

    Those are phases.csv, layers.csv and the splits of energy. Raises UserError where they cannot be written.
    """
    tables = {"phases": phase_table(result), "layers": layer_table(result)}
    if has_energy(result):
        tables |= {f"energy-{by}": energy_by(result, [by]) for by in ("component", "phase", "tensor")}
        tables["energy-entries"] = entry_table(result)
    texts = {f"{name}.csv": table.to_csv() for name, table in tables.items()}
    _write(folder, texts, step_pictures(result, sensitivity, ladder))


def write_comparison(results: Sequence[Result], labels: Sequence[str], folder: Path) -> None:
    """SVG and PNG of the figures of several results. Raises UserError where they cannot be written."""
    _write(folder, {}, comparison_pictures(results, labels))


def _write(folder: Path, texts: Mapping[str, str], pictures: Sequence[Picture]) -> None:
    write_folder(folder, texts, lambda: {each.name: each.figure for each in pictures}, "--figures ")
