"""Move everything that is assumed at once: the band of a step's speed-up and energy ratio, and what it hangs on."""

from pathlib import Path
from typing import Annotated

import typer

import reports
from simulator import sensitivity as bands
from simulator.job import Job, Source, split_options
from simulator.runner import run_job
from workloads.files.limits import parse_limits
from workloads.options import (
    ArchOption,
    BatchOption,
    ChoiceOption,
    DataflowOption,
    GemmOption,
    JsonOption,
    LimitOption,
    MethodOption,
    ModelOption,
    ModeOption,
    NoCapacityOption,
    OnnxOption,
    PatternOption,
    ProcessesOption,
    SequenceOption,
    SetOption,
    TopologyOption,
    WorkloadOption,
)
from workloads.terminal import say
from workloads.work import Work

HOW = bands.How()


def sensitivity(
    arch: ArchOption = "sat",
    pattern: PatternOption = [],  # noqa: B006
    model: ModelOption = None,
    gemm: GemmOption = [],  # noqa: B006
    topology: TopologyOption = None,
    onnx: OnnxOption = None,
    workload: WorkloadOption = None,
    option: ChoiceOption = [],  # noqa: B006
    method: MethodOption = "bdwp",
    batch: BatchOption = None,
    sequence: SequenceOption = None,
    mode: ModeOption = "training",
    dataflow: DataflowOption = None,
    settings: SetOption = [],  # noqa: B006
    no_capacity: NoCapacityOption = False,
    samples: Annotated[int, typer.Option("--samples", help="Samples of the Latin hypercube.")] = HOW.samples,
    seed: Annotated[int, typer.Option("--seed", help="Which samples.")] = HOW.seed,
    search: Annotated[int, typer.Option("--search", help="Simulations that the search may take.")] = HOW.search,
    jobs: ProcessesOption = 0,
    limit: LimitOption = [],  # noqa: B006
    as_json: JsonOption = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for tables and the picture; files of their names are replaced."),
    ] = None,
) -> None:
    """Move everything that is assumed at once: how far do speed-up and energy ratio go, and what do they hang on most?

    What was simulated is kept in results/sensitivity: stop it as you like, the same command goes on.
    """
    job = Job(
        machine=Source(arch),
        work=Work(
            model=model,
            workload=None if workload is None else str(workload),
            topology=None if topology is None else str(topology),
            onnx=None if onnx is None else str(onnx),
            gemms=tuple(gemm),
            batch=batch,
            sequence=sequence,
            mode=mode,
            limits=parse_limits(limit),
        ),
        patterns=tuple(pattern) or None,
        method=method,
        settings=tuple(settings),
        options=split_options(option, {"dataflow": dataflow, "check_capacity": False if no_capacity else None}),
    )
    result, found = bands.with_band(run_job(job), bands.How(samples, seed, search, jobs))
    if as_json:
        say(reports.found_json(found))
    else:
        reports.print_found(found, result.card)
    if out is not None and reports.write_found(found, out, result.card.job.describe()) and not as_json:
        say(f"written: {out}/sensitivity.json, numbers.csv, samples.csv, sensitivity.png, sensitivity.svg")
