"""SAT: the published average and the arithmetic ceilings, and what the model's own speed-ups hang on."""

from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

import typer

from simulator.cli.checks import Request

if TYPE_CHECKING:
    from reports.checks import Check
    from reports.sensitivity import Variation
    from reports.validation import Tables
    from simulator.cli.choices import Choices
    from simulator.cli.job import Job

WIDEST = (("array.rows=16", "array.cols=16"), ("array.rows=64", "array.cols=64"))
PAPER_MODELS = ("resnet9", "vgg19", "vit-s", "resnet18", "resnet50")


def checks() -> "list[Check]":
    """The published average, beside ours as the array's size goes through its range; and every model's ceiling."""
    from reports.checks import Check
    from reports.phases import arithmetic_ceiling
    from reports.validation import published_average
    from simulator.cli.choices import Choices
    from workloads.provenance import Provenance

    base = Choices(arch="sat", patterns=("2:8",), method="bdwp")
    jobs = {model: _run(replace(base, model=model)) for model in PAPER_MODELS}
    average = mean(_speedup(job) for job in jobs.values())
    ends = [
        mean(_speedup(_run(replace(base, model=model, settings=settings))) for model in PAPER_MODELS)
        for settings in WIDEST
    ]
    value, source = published_average()
    rows = [
        Check(
            machine="sat",
            what="speed-up of BDWP 2:8 training over dense, average over five models",
            unit="x",
            theirs=value,
            ours=average,
            provenance=Provenance.PUBLISHED,
            source=source.partition(", ")[2],
            hangs_on="array.rows and array.cols, 16 to 64 (not public), the widest of all assumptions; batch and image "
            "sizes of the paper are not public either",
            ours_low=min(average, *ends),
            ours_high=max(average, *ends),
        )
    ]
    for model, job in jobs.items():
        ceiling = arithmetic_ceiling(job.sparse)
        rows.append(
            Check(
                machine="sat",
                what=f"speed-up of {model} against what its multiply-accumulates alone allow",
                unit="x",
                theirs=ceiling,
                ours=_speedup(job),
                provenance=Provenance.DERIVED,
                source="dense over kept multiply-accumulates of the step's own ops",
                hangs_on="nothing: a ceiling that no machine passes",
                theirs_low=1.0,
                theirs_high=ceiling,
            )
        )
    return rows


def detail(request: Request) -> None:
    """Every model's speed-up beside its arithmetic ceiling and the published average, and how it moves."""
    from reports.ceilings import ceiling_row, ceiling_table
    from reports.sensitivity import sensitivity_table, variations
    from reports.validation import print_validation, write_validation
    from simulator.cli.choices import Choices
    from simulator.machine import load_arch
    from workloads.errors import unknown_name
    from workloads.shipped import shipped_models

    model = request.model
    if model not in shipped_models():
        raise unknown_name("model", model, shipped_models(), "--model")
    base = Choices(arch="sat", patterns=(request.pattern,), method="bdwp", settings=request.settings)
    jobs = _models(base, shipped_models())
    ceilings = ceiling_table(ceiling_row(job.sparse, job.dense) for job in jobs.values())
    numbers = {path: entry["value"] for path, entry in jobs[model].sparse.card["numbers"].items()}
    varied = variations(load_arch("sat", request.settings).origins, numbers)
    speedup = _speedup(jobs[model])
    moved = sensitivity_table(speedup, _vary(base, model, varied))
    switched = _switches(base, model)
    tables = (ceilings, moved, switched)
    print_validation(request.pattern, model, PAPER_MODELS, speedup, tables)
    if request.out is not None:
        write_validation(request.out, tables)
        _draw(base, request.out, model, speedup, tables)


def _draw(base: "Choices", out: Path, model: str, speedup: float, tables: "Tables") -> None:
    try:
        from reports.figures.style import save_figure
        from reports.figures.validation import ceilings_figure, sensitivity_figure, waterfall_figure
        from simulator.cli.again import ladder_of
    except ModuleNotFoundError:
        typer.echo("no pictures: they need matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(ceilings_figure(tables[0]), out / "ceilings")
    save_figure(sensitivity_figure(tables[1], model, speedup), out / "sensitivity")
    save_figure(waterfall_figure(ladder_of(replace(base, model=model)), model), out / "waterfall")


def _models(base: "Choices", models: list[str]) -> dict[str, "Job"]:
    from rich.progress import track

    steps = track(models, description="models", transient=True)
    return {name: _run(replace(base, model=name)) for name in steps}


def _vary(base: "Choices", model: str, varied: "list[Variation]") -> "list[tuple[Variation, float, float]]":
    from rich.progress import track

    def at(settings: tuple[str, ...]) -> float:
        return _speedup(_run(replace(base, model=model, settings=(*base.settings, *settings))))

    return [(each, at(each.low), at(each.high)) for each in track(varied, description="assumptions", transient=True)]


def _switches(base: "Choices", model: str) -> "dict[str, tuple[int, int]]":
    """Cycles of the step, dense and sparse, with each optimisation off in turn."""
    from simulator.cli.again import OPTIMISATIONS

    found = {}
    for switch in ("", *OPTIMISATIONS):
        more = (f"{switch}=false",) if switch else ()
        job = _run(replace(base, model=model, settings=(*base.settings, *more)))
        found[f"without {switch.partition('.')[2]}" if switch else "all on"] = (job.dense.cycles, job.sparse.cycles)
    return found


def _run(choices: "Choices") -> "Job":
    from simulator.cli.job import run_job

    return run_job(choices, ["simulate", "validate"])


def _speedup(job: "Job") -> float:
    return job.dense.cycles / job.sparse.cycles
