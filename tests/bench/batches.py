"""Events and time of a default run against the batch: `python -m tests.bench.batches` writes the table and the plot."""

import time
from pathlib import Path

import pandas as pd

from reports.figures.style import FULL, MARK, new_figure, plain, title
from reports.output import write_folder
from simulator.job import Job, Source
from simulator.kernel import load_kernel
from simulator.runner import carry_out, prepare
from workloads.work import Work

FOLDER = Path(__file__).parents[2] / "reports/results/bench"


def measured() -> pd.DataFrame:
    """A row a batch, 1 to 65,536: commands evaluated, CPU seconds, cycles of resnet18 at 2:8 on SAT."""
    rows = []
    load_kernel()
    for batch in (2**power for power in range(17)):
        work, options = Work(model="resnet18", batch=batch), (("check_capacity", False),)
        asked = prepare(Job(Source("sat"), work, ("2:8",), options=options))
        began = time.process_time()
        result = carry_out(asked)
        used = time.process_time() - began
        events = result.card.cost.commands_evaluated
        rows.append({"batch": batch, "events": events, "cpu_seconds": used, "cycles": result.cycles})
    return pd.DataFrame(rows)


def main() -> None:
    table = measured()
    FOLDER.mkdir(parents=True, exist_ok=True)
    table.to_csv(FOLDER / "batches.csv", index=False)
    figure = new_figure(6.4, 3.4)
    axes = figure.subplots()
    axes.plot(table["batch"], table["events"], color=FULL, marker="o", ms=3)
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.15 * table["events"].max())
    axes.set_xlabel("batch")
    axes.set_ylabel("events evaluated (dots)")
    right = axes.twinx()
    right.plot(table["batch"], table["cpu_seconds"], color=MARK, marker="s", ms=3)
    right.set_ylim(0, 1.5 * table["cpu_seconds"].max())
    right.set_ylabel("CPU seconds (squares)")
    title(axes, "resnet18, 2:8 and dense, on SAT: what a run costs, against its batch")
    plain(figure)
    axes.yaxis.label.set_color(FULL)
    right.yaxis.label.set_color(MARK)
    write_folder(FOLDER, {}, lambda: {"batches": figure})


if __name__ == "__main__":
    main()
