"""`simulate study sparsity`: throughput of inference against the ratio of bank sparsity, a line a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import SetOption

if TYPE_CHECKING:
    import pandas as pd

    from simulator.machine import Arch
    from simulator.schedule import Runs

MODELS = ["resnet50", "resnet152", "vit-b", "bert-base", "bert-large", "gpt2-small"]
IMAGES, TEXTS, SEQUENCE = 16, 32, 384  # a batch, unless the user says otherwise; tokens of a text
GPUS = (("t4", "dense"), ("a100", "dense"), ("a100", "2:4"))
GPU_IMAGES, GPU_TEXTS = 128, 64  # a batch that fills a GPU
PAIRS = (("resnet152", "resnet50"), ("bert-large", "bert-base"))  # larger, smaller


def study_sparsity(
    arch: Annotated[str, typer.Option("--arch", help="A machine with bank sparsity.")] = "s4",
    models: Annotated[list[str], typer.Option("--model", help="A captured model. Repeatable.")] = MODELS,
    batch: Annotated[
        int | None, typer.Option("--batch", help=f"Samples a step. [default: {IMAGES} images, {TEXTS} texts]")
    ] = None,
    sequence: Annotated[int | None, typer.Option("--sequence", help=f"Tokens a text. [default: {SEQUENCE}]")] = None,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the tables there as CSV, and the picture.")
    ] = None,
) -> None:
    """Throughput of inference at 1x to 32x, what bounds it, the ideal, and GPUs beside it."""
    from reports.sparsity import pair_table, print_sparsity, sparsity_table, write_sparsity
    from simulator.machine import load_arch
    from simulator.schedule import Runs
    from workloads.errors import UserError
    from workloads.shipped import shipped_path

    machine = load_arch(arch, settings)
    if machine.kind != "s4":
        raise UserError(f"--arch {arch}: has no banks of weights; this study is for machines of kind s4 (known: s4)")
    if batch is not None and batch < 1:
        raise UserError(f"--batch {batch}: must be at least 1")
    if sequence is not None and sequence < 1:
        raise UserError(f"--sequence {sequence}: must be at least 1")
    chosen = list(dict.fromkeys(models))
    for model in chosen:
        shipped_path(model)  # refuses an unknown one before anything is shown
    table = sparsity_table(_rows(machine, chosen, batch, sequence, Runs()))
    beside = _gpu_rows(chosen, sequence)
    pairs = pair_table(table, [pair for pair in PAIRS if set(pair) <= set(chosen)])
    print_sparsity(machine.name, table, beside, pairs)
    if out is not None:
        write_sparsity(out, table, beside, pairs)
        _draw(out, table, beside)


def _rows(
    machine: "Arch", models: list[str], batch: int | None, sequence: int | None, runs: "Runs"
) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import track

    from dataflows.s4.banks import RATIOS
    from simulator.cli.inference import inference_step, rate
    from workloads.pattern import PatternMap, parse_pattern

    rows = []
    for model in track(models, description="models", transient=True, console=Console(stderr=True)):
        size = batch or (IMAGES if _sequence(model, sequence) is None else TEXTS)
        step = inference_step(model, size, _sequence(model, sequence))
        for ratio in RATIOS:
            pattern = parse_pattern("dense" if ratio == 1 else f"{machine.spec.bank // ratio}:{machine.spec.bank}")
            found = rate(machine, step, PatternMap(pattern), runs)
            rows.append({"model": model, "batch": size, "ratio": ratio, "pattern": str(pattern), "rate": found})
    return rows


def _gpu_rows(models: list[str], sequence: int | None) -> "pd.DataFrame":
    import pandas as pd

    from simulator.cli.inference import inference_step, rate
    from simulator.machine import load_arch
    from simulator.schedule import Runs
    from workloads.pattern import PatternMap, parse_pattern

    rows, runs = [], Runs()
    arches = {name: load_arch(name) for name, _ in GPUS}
    for model in models:
        size = GPU_IMAGES if _sequence(model, sequence) is None else GPU_TEXTS
        step = inference_step(model, size, _sequence(model, sequence))
        for name, pattern in GPUS:
            found = rate(arches[name], step, PatternMap(parse_pattern(pattern)), runs)
            rows.append(
                {
                    "model": model,
                    "machine": name,
                    "pattern": pattern,
                    "batch": size,
                    "samples_per_second": found.samples_per_second,
                    "bound": found.bound,
                }
            )
    return pd.DataFrame(rows)


def _sequence(model: str, asked: int | None) -> int | None:
    """Tokens of a text; None for a model of images."""
    from workloads.shipped import shipped_path
    from workloads.workload import read_template

    return (asked or SEQUENCE) if read_template(shipped_path(model)).follows_sequence else None


def _draw(out: Path, table: "pd.DataFrame", beside: "pd.DataFrame") -> None:
    try:
        from reports.figures.sparsity import sparsity_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no picture: it needs matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    save_figure(sparsity_figure(table, beside), out / "sparsity")
