"""The main job: `simulate --arch sat --pattern 2:8 --model resnet18`."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.extras import DramOpOption, DramTraceOption, Extras, TimelineOption
from simulator.cli.hil import (
    HilChoices,
    HilOption,
    SeedOption,
    TilesOption,
    check_possible,
    forget,
    verdict,
    with_hardware,
)
from simulator.cli.options import (
    ArchOption,
    BatchOption,
    CsvOption,
    ForceOption,
    JsonOption,
    KernelOption,
    MatrixOption,
    MethodOption,
    OutOption,
    PatternOption,
    SetOption,
)

if TYPE_CHECKING:
    from simulator.cli.job import Job


def step(
    context: typer.Context,
    arch: ArchOption = "sat",
    pattern: PatternOption = [],  # noqa: B006
    model: Annotated[str | None, typer.Option("--model", help="A captured model (`simulate list models`).")] = None,
    gemm: Annotated[
        list[str], typer.Option("--gemm", help="A product ROWSxCOLSxINNER as a layer of its own. Repeatable.")
    ] = [],  # noqa: B006
    topology: Annotated[
        Path | None, typer.Option("--topology", help="Layers in SCALE-Sim's convolution or GEMM format (CSV).")
    ] = None,
    workload: Annotated[Path | None, typer.Option("--workload", help="A recorded workload file (JSON).")] = None,
    matrix: MatrixOption = [],  # noqa: B006
    kernel: Annotated[
        str | None, typer.Option("--kernel", help="How a fabric multiplies (`simulate list kernels`).")
    ] = None,
    kernel_option: KernelOption = [],  # noqa: B006
    method: MethodOption = "bdwp",
    batch: BatchOption = None,
    sequence: Annotated[int | None, typer.Option("--sequence", help="Sequence length.", show_default=False)] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="sgd, momentum, adam or adamw. [default: as recorded]")
    ] = None,
    mode: Annotated[str, typer.Option("--mode", help="training, or inference: the forward pass alone.")] = "training",
    dataflow: Annotated[
        str | None, typer.Option("--dataflow", help="Use this dataflow throughout. [default: the best, by layer]")
    ] = None,
    settings: SetOption = [],  # noqa: B006
    input_gradient: Annotated[
        bool, typer.Option("--input-gradient", help="BP for the first layer too, whose input needs no gradient.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Every tile and transfer an event; the same rows, slower.")
    ] = False,
    no_capacity: Annotated[
        bool, typer.Option("--no-capacity", help="Go on where the step does not fit the machine's DRAM.")
    ] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    timeline: TimelineOption = None,
    dram_trace: DramTraceOption = None,
    dram_op: DramOpOption = None,
    hil: HilOption = None,
    hil_tiles: TilesOption = None,
    hil_seed: SeedOption = None,
    out: OutOption = None,
    force: ForceOption = False,
) -> None:
    """Simulate one step of N:M sparse training on a machine, beside the best dense schedule of the same machine."""
    if context.invoked_subcommand:
        _refuse_options(context)
        return
    from simulator.cli.choices import Choices
    from simulator.cli.job import run_job
    from simulator.result import check_free
    from workloads.errors import UserError

    choices = Choices(
        arch=arch,
        patterns=tuple(pattern),
        method=method,
        model=model,
        gemms=tuple(gemm),
        topology=topology,
        workload=workload,
        batch=batch,
        sequence=sequence,
        optimizer=optimizer,
        mode=mode,
        dataflow=dataflow,
        settings=tuple(settings),
        input_gradient=input_gradient,
        exact=exact,
        check_capacity=not no_capacity,
        kernel=kernel,
        kernel_options=tuple(kernel_option),
        matrices=tuple(matrix),
    )
    if out is not None:
        check_free(out, force)
    elif force:
        raise UserError("--force: overwrites the folder that --out names; without --out every run has its own")
    extras = Extras(timeline, dram_trace, dram_op)
    if as_json and as_csv:
        raise UserError("--csv: standard output is one JSON object with --json; leave one of the two out")
    extras.check(force)
    hardware = HilChoices(hil, hil_tiles, hil_seed)
    if hardware.target is not None:
        check_possible(choices)
    job = run_job(choices, ["simulate", *sys.argv[1:]])
    if hardware.target is not None:
        job, journal = with_hardware(job, choices, hardware, out.absolute().parent if out else Path("results"))
    said = extras.write(job)
    folder = _saved(job, out, force, choices.name)
    if as_csv:
        _show_csv(job)
    else:
        _show(job, folder, as_json)
    for sentence in said if not (as_json or as_csv) else ():
        typer.echo(sentence)
    if hardware.target is not None:
        forget(journal, job.sparse.card["hil"])
        raise typer.Exit(verdict(job.sparse.card["hil"]))


def _show_csv(job: "Job") -> None:
    from reports.as_csv import step_csv

    typer.echo(step_csv(job.sparse, job.dense), nl=False)


def _saved(job: "Job", out: Path | None, force: bool, name: str) -> Path:
    """Where the result was written. A dated folder that another run has just taken is no error: the next one is."""
    from simulator.result import save
    from workloads.errors import UserError

    folder = out or dated_folder(name)
    try:
        save(job.sparse, folder, force)
    except UserError:
        if out is not None or not folder.exists():
            raise
        return _saved(job, None, force, name)
    return folder


def _show(job: "Job", folder: Path, as_json: bool) -> None:
    if "kernel" in job.sparse.card:
        _show_fabric(job, folder, as_json)
        return
    if as_json:
        from reports.as_json import step_json

        typer.echo(step_json(job.sparse, job.dense))
    else:
        from reports.terminal import print_step

        print_step(job.sparse, job.dense, folder)


def _show_fabric(job: "Job", folder: Path, as_json: bool) -> None:
    from reports.as_json import product_json, step_json
    from reports.fabric import print_fabric_step, print_product

    product = "fabric" in job.sparse.card
    if as_json:
        typer.echo(product_json(job.sparse) if product else step_json(job.sparse, job.dense))
    elif product:
        print_product(job.sparse, folder)
    else:
        print_fabric_step(job.sparse, job.dense, folder)


def dated_folder(name: str) -> Path:
    """A folder of its own for every run."""
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    folder = Path("results") / f"{stamp}-{name}"
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{stamp}-{name}-{number}")
        number += 1
    return folder


def _refuse_options(context: typer.Context) -> None:
    from workloads.errors import UserError

    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise UserError(
                f"{parameter.opts[0]} stands before the sub-command '{context.invoked_subcommand}', where it would do "
                f"nothing; leave it out, or put it behind the sub-command if that takes it"
            )
