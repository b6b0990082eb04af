"""What a run costs against its ops, its batch and its sequence: `python -m tests.bench.growth` (`make bench-growth`).

Writes `growth.csv`, `growth.png` and `growth.svg` into `reports/results/bench`: CPU time and commands evaluated of
planning, running and pricing a step on SAT, 2:8 and dense. All sizes are run once, then all again, so that what else
the machine does falls on all of them alike.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from reports.figures.style import FULL, MARK, TEXT, new_figure, plain
from reports.output import csv_texts, tracked, write_folder
from simulator.job import Job, Source
from simulator.runner import carry_out, prepare
from workloads.files.limits import LIMITS
from workloads.pattern import PatternMap
from workloads.recording.trace_module import trace_module
from workloads.recording.trace_request import Request, parse_input
from workloads.stored import template_of, text_of
from workloads.work import Work

FOLDER = Path(__file__).parents[2] / "reports/results/bench"
ROUNDS = 7
RESNETS, LAYERS = (18, 50, 152), (12, 50, 200)
BATCHES = tuple(4**power for power in range(9))  # 1 to 65,536
SEQUENCES = tuple(128 * 4**power for power in range(6))  # 128 to 131,072 tokens
SHAPE = {"width": 768, "heads": 12, "inner": 2048, "vocabulary": 32000}  # of the transformer whose layers grow
KEYS = ["grows", "model", "size"]
Keys = tuple[str, str, int]
SERIES = {  # a colour and words for each model of a panel
    ("ops", "resnet"): (FULL, "resnet18, 50, 152"),
    ("ops", "transformer"): (MARK, "transformer, 12, 50, 200 layers"),
    ("batch", "resnet18"): (FULL, "resnet18"),
    ("sequence", "gpt2-small"): (MARK, "gpt2-small"),
}
LABELS = {"ops": "ops of the step", "batch": "batch (images)", "sequence": "sequence length (tokens)"}
VALUES = {"cpu_ms": "CPU time (ms)", "commands": "commands evaluated"}


def transformer(layers: int) -> Work:
    """A language model of so many layers, its shapes alone recorded at 1,024 tokens."""
    inputs, config = (parse_input("1x1024:32000"),), {**SHAPE, "layers": layers}
    request = Request("tests.workloads.llama:Llama", inputs, PatternMap(), config=config, shapes_only=True)
    content = text_of(template_of(trace_module(request).workload))
    return Work(workload="transformer", content=content, limits=replace(LIMITS, ops=20_000))


def works() -> Iterator[tuple[Keys, Work]]:
    """All that is run, with what it shows."""
    for depth in RESNETS:
        yield ("ops", "resnet", depth), Work(model=f"resnet{depth}")
    for layers in LAYERS:
        yield ("ops", "transformer", layers), transformer(layers)
    for batch in BATCHES:
        yield ("batch", "resnet18", batch), Work(model="resnet18", batch=batch)
    for sequence in SEQUENCES:
        yield ("sequence", "gpt2-small", sequence), Work(model="gpt2-small", sequence=sequence)


def measured(rounds: int) -> pd.DataFrame:
    """A row a size: ops of the step, commands evaluated, the median of CPU milliseconds, and the step's cycles."""
    options, rows = (("check_capacity", False),), list[tuple[object, ...]]()
    asked = [(keys, prepare(Job(Source("sat"), work, ("2:8",), options=options))) for keys, work in works()]
    for _ in tracked(range(rounds), "rounds"):
        for keys, each in asked:
            result = carry_out(each)
            cost = result.card.cost
            counted = len(each.workload.ops), cost.commands_evaluated, 1000 * cost.simulation_cpu_seconds
            rows.append((*keys, *counted, result.cycles))
    found = pd.DataFrame(rows, columns=[*KEYS, "ops", "commands", "cpu_ms", "cycles"])
    kept = {"ops": "first", "commands": "first", "cpu_ms": "median", "cycles": "first"}
    return found.groupby(KEYS, sort=False).agg(kept).reset_index()


def drawn(table: pd.DataFrame) -> Figure:
    """A column for each thing that grows: CPU time above, commands evaluated below."""
    figure = new_figure(9.6, 5.4)
    figure.suptitle("Planning, running and pricing one step on SAT, 2:8 and dense", fontsize=10, color=TEXT)
    panels = figure.subplots(2, 3, sharex="col", squeeze=False).T
    for column, (grows, label) in zip(panels, LABELS.items(), strict=True):
        rows = table[table.grows == grows]
        for axes, (value, words) in zip(column, VALUES.items(), strict=True):
            for model, found in rows.groupby("model", sort=False):
                colour, name = SERIES[grows, str(model)]
                across = found["ops" if grows == "ops" else "size"]
                axes.plot(across, found[value], color=colour, marker="o", ms=4, lw=1.2, label=name)
            axes.set_ylim(0, 1.3 * rows[value].max())
            axes.set_ylabel(words)
            axes.yaxis.set_major_formatter("{x:,.0f}")
        column[0].legend(frameon=False, fontsize=8, loc="upper left")
        column[1].set_xlabel(label)
        if grows == "ops":
            column[1].locator_params(axis="x", nbins=4)
            column[1].xaxis.set_major_formatter("{x:,.0f}")
        else:
            least, most = rows["size"].min(), rows["size"].max()
            ticks = [least, math.isqrt(least * most), most]
            column[1].set_xscale("log", base=2)
            column[1].set_xticks(ticks, [f"{size:,}" for size in ticks])
    return plain(figure, "both")


def main() -> None:
    table = measured(ROUNDS)
    write_folder(FOLDER, csv_texts({"growth": table}, 1), lambda: {"growth": drawn(table)})


if __name__ == "__main__":
    main()
