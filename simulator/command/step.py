"""The main job: `simulate --arch sat --pattern 2:8 --model resnet18`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import simulator
from simulator import hil, sensitivity
from simulator.folder import TRACE_FILES, check_free
from simulator.job import Job, Source, split_options
from simulator.runner import carry_out, prepare
from workloads.errors import UserError
from workloads.files.limits import HIL_TILES, parse_limits
from workloads.files.writing import check_folder, check_new
from workloads.options import (
    ArchOption,
    BatchOption,
    ChoiceOption,
    CsvOption,
    DataflowOption,
    ForceOption,
    GemmOption,
    JsonOption,
    KernelNameOption,
    LimitOption,
    MatrixOption,
    MethodOption,
    ModelOption,
    ModeOption,
    NoCapacityOption,
    ObjectiveOption,
    OnnxOption,
    OutOption,
    PatternOption,
    SequenceOption,
    SetOption,
    TopologyOption,
    WorkloadOption,
)
from workloads.registry import OURS, VIEWS, load_entry
from workloads.terminal import put, say
from workloads.work import Work, dated_folder

if TYPE_CHECKING:
    from simulator.result import Result

CORE = "core"  # --hil core: products through the core instead of tiles through the array


def step(
    context: typer.Context,
    arch: ArchOption = "sat",
    pattern: PatternOption = [],  # noqa: B006
    model: ModelOption = None,
    gemm: GemmOption = [],  # noqa: B006
    topology: TopologyOption = None,
    onnx: OnnxOption = None,
    workload: WorkloadOption = None,
    matrix: MatrixOption = [],  # noqa: B006
    kernel: KernelNameOption = None,
    option: ChoiceOption = [],  # noqa: B006
    method: MethodOption = "bdwp",
    batch: BatchOption = None,
    sequence: SequenceOption = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="sgd, momentum, adam or adamw. [default: as recorded]")
    ] = None,
    mode: ModeOption = "training",
    dataflow: DataflowOption = None,
    objective: ObjectiveOption = None,
    settings: SetOption = [],  # noqa: B006
    input_gradient: Annotated[
        bool, typer.Option("--input-gradient", help="BP for the first layer too, whose input needs no gradient.")
    ] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Every tile and transfer an event; the same rows, slower.")
    ] = False,
    no_capacity: NoCapacityOption = False,
    band: Annotated[
        bool,
        typer.Option(
            "--band", help="Also find how far everything assumed moves the speed-up (minutes; simulate sensitivity)."
        ),
    ] = False,
    limit: LimitOption = [],  # noqa: B006
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    timeline: Annotated[
        Path | None, typer.Option("--timeline", help="Also write a Perfetto trace there, sampled where rounds repeat.")
    ] = None,
    dram_trace: Annotated[
        Path | None,
        typer.Option(
            "--dram-trace", help="Also write an op's DRAM addresses there, for Ramulator 2 and DRAMsim3; sampled."
        ),
    ] = None,
    dram_op: Annotated[
        str | None,
        typer.Option("--dram-op", help="LAYER/PHASE of --dram-trace. [default: the op that moves most]"),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            "--hil",
            help="Run sampled tiles on hardware too: sim (compiled RTL), link (virtual board), a port or URL. Or core: "
            "whole products through the core.",
        ),
    ] = None,
    tiles: Annotated[int | None, typer.Option("--hil-tiles", help="How many tiles. [default: 64]")] = None,
    seed: Annotated[int | None, typer.Option("--hil-seed", help="Which tiles. [default: 1]")] = None,
    ops: Annotated[
        str | None,
        typer.Option("--hil-ops", help="With --hil core: a glob of layers or LAYER/PHASE. [default: all products]"),
    ] = None,
    out: OutOption = None,
    force: ForceOption = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Simulate one step of N:M sparse training on a machine, beside the best dense schedule of the same machine."""
    if context.invoked_subcommand:
        _refuse_options(context)
        return
    if version:
        say(f"{OURS} {version_of(OURS)}")
        return
    job = Job(
        machine=Source(arch),
        work=Work(
            model=model,
            workload=None if workload is None else str(workload),
            topology=None if topology is None else str(topology),
            onnx=None if onnx is None else str(onnx),
            gemms=tuple(gemm),
            matrices=tuple(matrix),
            batch=batch,
            sequence=sequence,
            mode=mode,
            optimizer=optimizer,
            input_gradient=input_gradient,
            limits=parse_limits(limit),
        ),
        patterns=tuple(pattern) or None,
        method=method,
        settings=tuple(settings),
        options=split_options(
            option,
            {
                "dataflow": dataflow,
                "objective": objective,
                "kernel": kernel,
                "check_capacity": False if no_capacity else None,
            },
        ),
        exact=exact,
    )
    files = {"--timeline": timeline, "--dram-trace": dram_trace}
    _check_files(out, force, files, as_json and as_csv, dram_op)
    draw = _draw(hardware, tiles, seed, ops)
    asked, command = prepare(job), ["simulate", *sys.argv[1:]]
    if hardware == CORE:
        hil.check_core(asked)
    elif hardware is not None:
        hil.check_possible(asked, hardware)
    if job.exact or not asked.compiler.reads_exactly:  # these take a while
        with simulator.counted("op", lines=False) as show:
            result = carry_out(asked, None, show, command)
    else:
        result = carry_out(asked, command=command)
    if band:
        result, _ = sensitivity.with_band(result, sensitivity.How())
    if hardware is None:
        _write_and_show(result, out, force, as_json, as_csv, files, dram_op or "")
        return
    beside = out.absolute().parent if out else Path("results")
    if hardware == CORE:
        found = hil.with_core(asked, result, ops)
    else:
        found = hil.with_hardware(asked, result, hardware, draw, beside)
    _write_and_show(found.result, out, force, as_json, as_csv, files, dram_op or "")
    found.forget()
    raise typer.Exit(found.verdict)


def _check_files(out: Path | None, force: bool, files: dict[str, Path | None], both: bool, dram_op: str | None) -> None:
    """Raises UserError for places that cannot be written, before anything is simulated."""
    if out is not None:
        check_free(out, force)
    elif force:
        raise UserError("--force: overwrites the folder that --out names; without --out every run has its own")
    if both:
        raise UserError("--csv: standard output is one JSON object with --json; leave one of the two out")
    if dram_op is not None and files["--dram-trace"] is None:
        raise UserError("--dram-op: says whose addresses --dram-trace writes; give that too")
    for option, path in files.items():
        if path is not None and option == "--timeline":
            check_new(path, force, f"{option} {path}")
        elif path is not None:
            check_folder(path, TRACE_FILES.__contains__, force, f"{option} {path}")


def _draw(hardware: str | None, tiles: int | None, seed: int | None, ops: str | None) -> tuple[int, int]:
    """How many tiles, and the seed that draws them. Raises UserError for options that would do nothing."""
    if ops is not None and hardware != CORE:
        raise UserError("--hil-ops: says which products --hil core takes; give that too")
    if hardware == CORE and (tiles, seed) != (None, None):
        raise UserError("--hil core: takes whole products, not tiles; --hil-ops says which")
    limits = (("--hil-tiles", tiles, 1, HIL_TILES), ("--hil-seed", seed, 0, 2**64))
    for option, value, least, most in limits:
        if value is not None and hardware is None:
            raise UserError(f"{option}: says what --hil does; give that too")
        if value is not None and value < least:
            raise UserError(f"{option} {value}: must be at least {least}")
        if value is not None and value > most:
            raise UserError(f"{option} {value}: must be at most {most}")
    return 64 if tiles is None else tiles, 1 if seed is None else seed


def _write_and_show(
    result: "Result",
    out: Path | None,
    force: bool,
    as_json: bool,
    as_csv: bool,
    files: dict[str, Path | None],
    dram_op: str,
) -> None:
    said = []
    if (path := files["--timeline"]) is not None:
        said.append(load_entry(VIEWS, "view", "timeline")(result, path, force))
    if (path := files["--dram-trace"]) is not None:
        said.append(load_entry(VIEWS, "view", "dram-trace")(result, path, dram_op, force))
    folder = _saved(result, out, force)
    if as_json or as_csv:
        say(load_entry(VIEWS, "view", "json" if as_json else "csv")(result), end="\n" if as_json else "")
        return
    put(load_entry(VIEWS, "view", "terminal")(result, folder))
    for sentence in said:
        say(sentence)


def _saved(result: "Result", out: Path | None, force: bool) -> Path:
    """Where the result was written. A dated folder that another run has just taken is no error: the next one is."""
    folder = out or dated_folder(result.card.job.name)
    try:
        result.save(folder, force)
    except UserError:
        if out is not None or not folder.exists():
            raise
        return _saved(result, None, force)
    return folder


def _refuse_options(context: typer.Context) -> None:
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise UserError(
                f"{parameter.opts[0]} stands before the sub-command '{context.invoked_subcommand}', where it would do "
                f"nothing; leave it out, or put it behind the sub-command if that takes it"
            )
