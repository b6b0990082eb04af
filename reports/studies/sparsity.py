"""Throughput of inference at 1x to 32x, what bounds it, the ideal, and GPUs beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from reports import figures
from reports.output import csv_texts, text_table, tracked, wide_console, write_folder
from reports.rates import Rate, bank_patterns, inference_step, rate
from simulator.arch.machine import Machine, load_machine
from simulator.machines.s4 import S4Arch
from simulator.runs import Runs
from workloads.errors import UserError
from workloads.models.spec import DataKind, ModelSpec
from workloads.options import SetOption
from workloads.pattern import PatternMap, parse_pattern
from workloads.registry import MODELS, load_part

USUAL = ["resnet50", "resnet152", "vit-b", "bert-base", "bert-large", "gpt2-small"]
IMAGES, TEXTS, SEQUENCE = 16, 32, 384  # a batch, unless the user says otherwise; tokens of a text
GPUS = (("t4", "dense"), ("a100", "dense"), ("a100", "2:4"))
GPU_IMAGES, GPU_TEXTS = 128, 64  # a batch that fills a GPU
PAIRS = (("resnet152", "resnet50"), ("bert-large", "bert-base"))  # larger, smaller
SMALL = 0.005  # a share of the time that is not worth a word
BOUNDS = ("compute", "dense compute", "vector", "DRAM", "NoC", "host")
LEFT = ("model", "machine", "pattern", "bound by", "time bound by", "mapping", "larger", "smaller, dense")


def study_sparsity(
    arch: Annotated[str, typer.Option("--arch", help="A machine with bank sparsity.")] = "s4",
    models: Annotated[list[str], typer.Option("--model", help="A captured model. Repeatable.")] = USUAL,
    batch: Annotated[
        int | None, typer.Option("--batch", help=f"Samples a step. [default: {IMAGES} images, {TEXTS} texts]")
    ] = None,
    sequence: Annotated[int | None, typer.Option("--sequence", help=f"Tokens a text. [default: {SEQUENCE}]")] = None,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Also write tables (CSV) and a picture there; files of their names are replaced."),
    ] = None,
) -> None:
    """Throughput of inference at 1x to 32x, what bounds it, the ideal, and GPUs beside it."""
    machine = load_machine(arch, settings)
    if not isinstance(machine.spec, S4Arch):
        raise UserError(f"--arch {arch}: has no banks of weights; this study is for machines of kind s4 (known: s4)")
    for option, size in (("--batch", batch), ("--sequence", sequence)):
        if size is not None and size < 1:
            raise UserError(f"{option} {size}: must be at least 1")
    chosen = {name: _tokens(name, sequence) for name in models}
    table = sparsity_table(_runs(machine, machine.spec.bank, chosen, batch))
    beside = _gpu_table(chosen)
    pairs = pair_table(table, [pair for pair in PAIRS if set(pair) <= set(models)])
    print_sparsity(machine.name, table, beside, pairs)
    if out is not None:
        texts = csv_texts({"sparsity": table, "gpus": beside, "larger-and-sparser": pairs}, 4)
        write_folder(out, texts, lambda: {"sparsity": figures.sparsity_figure(table, beside)})


def _tokens(model: str, sequence: int | None) -> int | None:
    """Tokens of a text; None for a model of images. Raises UserError for an unknown name."""
    reads = load_part(MODELS, "model", model, ModelSpec).data
    return (sequence or SEQUENCE) if reads is DataKind.BYTES else None


@dataclass(frozen=True)
class RatioRun:
    """How fast a model is at one ratio of bank sparsity."""

    model: str
    batch: int
    ratio: int
    pattern: str
    rate: Rate


def _runs(machine: Machine, bank: int, models: Mapping[str, int | None], batch: int | None) -> list[RatioRun]:
    found, runs = [], Runs()
    for model, tokens in tracked(list(models.items()), "models"):
        size = batch or (IMAGES if tokens is None else TEXTS)
        step = inference_step(model, size, tokens)
        for ratio, pattern in bank_patterns(bank).items():
            reached = rate(machine, step, PatternMap(parse_pattern(pattern)), runs)
            found.append(RatioRun(model, size, ratio, pattern, reached))
    return found


def _gpu_table(models: Mapping[str, int | None]) -> pd.DataFrame:
    rows, runs = [], Runs()
    machines = {name: load_machine(name) for name, _ in GPUS}
    for model, tokens in models.items():
        size = GPU_IMAGES if tokens is None else GPU_TEXTS
        step = inference_step(model, size, tokens)
        for name, pattern in GPUS:
            found = rate(machines[name], step, PatternMap(parse_pattern(pattern)), runs)
            row = {"model": model, "machine": name, "pattern": pattern, "batch": size}
            rows.append({**row, "samples_per_second": found.samples_per_second, "bound": found.bound})
    return pd.DataFrame(rows)


def sparsity_table(runs: Iterable[RatioRun]) -> pd.DataFrame:
    """A row a model and ratio.

    `ideal` is the dense rate times the ratio; `speedup` over dense; `bound` what most of the time is bound by; a column
    a bound with the share of the time under it.
    """
    rows = []
    dense: dict[str, float] = {}
    for run in runs:
        reached = run.rate.samples_per_second
        first = dense.setdefault(run.model, reached / run.ratio)
        rows.append(
            {
                **{name: value for name, value in vars(run).items() if name != "rate"},
                "samples_per_second": reached,
                "speedup": reached / first,
                "ideal": first * run.ratio,
                "dense_tera_ops": run.rate.tera_ops,
                "peak_share": run.rate.peak_share,
                "mapping": run.rate.mapping,
                "bound": run.rate.bound,
                **{name: run.rate.bounds.get(name, 0.0) for name in BOUNDS},
            }
        )
    return pd.DataFrame(rows)


def pair_table(table: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Larger models at each ratio beside smaller dense ones: how many times as fast the larger one is."""
    rows = []
    for larger, smaller in pairs:
        dense = table[(table["model"] == smaller) & (table["ratio"] == 1)]["samples_per_second"].iloc[0]
        for _, row in table[table["model"] == larger].iterrows():
            rows.append(
                {
                    "larger": larger,
                    "ratio": row["ratio"],
                    "samples_per_second": row["samples_per_second"],
                    "smaller": smaller,
                    "dense_samples_per_second": dense,
                    "times_as_fast": row["samples_per_second"] / dense,
                }
            )
    return pd.DataFrame(rows)


def print_sparsity(machine: str, table: pd.DataFrame, beside: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """The three tables."""
    console = wide_console()
    console.print(f"[bold]Inference on {machine}[/]: throughput against the ratio, and what bounds it")
    names = ("model", "batch", "ratio", "samples/s", "speed-up", "ideal", "of peak", "time bound by", "mapping")
    rows = [
        [
            str(each["model"]),
            str(each["batch"]),
            f"{each['ratio']}x",
            _rate(each["samples_per_second"]),
            f"{each['speedup']:.2f}x",
            _rate(each["ideal"]),
            f"{each['peak_share']:.0%}",
            ", ".join(f"{name} {each[name]:.0%}" for name in BOUNDS if each[name] >= SMALL),
            str(each["mapping"]),
        ]
        for each in table.to_dict("records")
    ]
    console.print(text_table(names, LEFT, rows))
    console.print("\n[bold]GPUs beside it[/] (rooflines with overheads, derived)")
    told = ("model", "machine", "pattern", "batch")
    rows = [
        [*(str(each[name]) for name in told), _rate(each["samples_per_second"]), str(each["bound"])]
        for each in beside.to_dict("records")
    ]
    console.print(text_table((*told, "samples/s", "bound by"), LEFT, rows))
    if len(pairs):
        console.print("\n[bold]Larger and sparser against smaller and dense[/]")
        rows = [
            [
                str(each["larger"]),
                f"{each['ratio']}x",
                _rate(each["samples_per_second"]),
                str(each["smaller"]),
                _rate(each["dense_samples_per_second"]),
                f"{each['times_as_fast']:.2f}x",
            ]
            for each in pairs.to_dict("records")
        ]
        heads = ("larger", "ratio", "samples/s", "smaller, dense", "its samples/s", "times as fast")
        console.print(text_table(heads, LEFT, rows))


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
