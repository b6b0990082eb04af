"""`simulate validate`: what is published beside what the model says, and what that hangs on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.cli.options import SetOption

if TYPE_CHECKING:
    from reports.sensitivity import Variation
    from reports.validation import Tables
    from simulator.cli.job import Choices, Job

SWITCHES = (
    "",
    "schedule.interleave",
    "schedule.pregenerate",
    "schedule.offline",
    "sore.tile_buffer",
    "vector.fuse_elementwise",
)
PAPER_MODELS = ("resnet9", "vgg19", "vit-s", "resnet18", "resnet50")


def validate(
    machine: Annotated[str, typer.Argument(help="The machine to validate: sat.")] = "sat",
    pattern: Annotated[str, typer.Option("--pattern", help="n:m everywhere but the layers kept dense.")] = "2:8",
    model: Annotated[str, typer.Option("--model", help="The model whose sensitivity is shown.")] = "resnet18",
    settings: SetOption = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the tables there as CSV, and pictures of them.")
    ] = None,
) -> None:
    """Every model's speed-up beside its arithmetic ceiling and the published average, and how it moves."""
    from reports.ceilings import ceiling_row, ceiling_table
    from reports.sensitivity import sensitivity_table, variations
    from reports.validation import print_validation, write_validation
    from simulator.cli.job import Choices
    from simulator.machine import load_arch
    from workloads.errors import unknown_name
    from workloads.shipped import shipped_models

    if machine != "sat":
        raise unknown_name("machine to validate", machine, ["sat"])
    if model not in shipped_models():
        raise unknown_name("model", model, shipped_models(), "--model")
    base = Choices(arch=machine, patterns=(pattern,), method="bdwp", settings=tuple(settings))
    jobs = _models(base, shipped_models())
    ceilings = ceiling_table(ceiling_row(job.sparse, job.dense) for job in jobs.values())
    numbers = {path: entry["value"] for path, entry in jobs[model].sparse.card["numbers"].items()}
    varied = variations(load_arch(machine, settings).origins, numbers)
    speedup = _speedup(jobs[model])
    moved = sensitivity_table(speedup, _vary(base, model, varied))
    switched = _switches(base, model)
    tables = (ceilings, moved, switched)
    print_validation(pattern, model, PAPER_MODELS, speedup, tables)
    if out is not None:
        write_validation(out, tables)
        _draw(out, model, speedup, tables)


def _draw(out: Path, model: str, speedup: float, tables: "Tables") -> None:
    try:
        from reports.figures import ceilings_figure, save_figure, sensitivity_figure
    except ModuleNotFoundError:
        typer.echo("no pictures: they need matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(ceilings_figure(tables[0]), out / "ceilings")
    save_figure(sensitivity_figure(tables[1], model, speedup), out / "sensitivity")


def _models(base: "Choices", models: list[str]) -> dict[str, "Job"]:
    from dataclasses import replace

    from rich.progress import track

    steps = track(models, description="models", transient=True)
    return {name: _run(replace(base, model=name)) for name in steps}


def _vary(base: "Choices", model: str, varied: "list[Variation]") -> "list[tuple[Variation, float, float]]":
    from dataclasses import replace

    from rich.progress import track

    def at(settings: tuple[str, ...]) -> float:
        return _speedup(_run(replace(base, model=model, settings=(*base.settings, *settings))))

    return [(each, at(each.low), at(each.high)) for each in track(varied, description="assumptions", transient=True)]


def _switches(base: "Choices", model: str) -> "dict[str, tuple[int, int]]":
    """Cycles of the step, dense and sparse, with each optimisation off in turn."""
    from dataclasses import replace

    found = {}
    for switch in SWITCHES:
        more = (f"{switch}=false",) if switch else ()
        job = _run(replace(base, model=model, settings=(*base.settings, *more)))
        found[f"without {switch.partition('.')[2]}" if switch else "all on"] = (job.dense.cycles, job.sparse.cycles)
    return found


def _run(choices: "Choices") -> "Job":
    from simulator.cli.job import run_job

    return run_job(choices, ["simulate", "validate"])


def _speedup(job: "Job") -> float:
    return job.dense.cycles / job.sparse.cycles
