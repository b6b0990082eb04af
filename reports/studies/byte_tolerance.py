"""What fewer bytes cost in cycles, by the share of a product's time that they are worth."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from reports.energy import energy_total, has_energy
from reports.output import write_folder
from simulator.job import Job, Source, option_pairs
from simulator.runner import run_job
from simulator.runs import Runs
from workloads.options import ArchOption, PatternOption
from workloads.terminal import say
from workloads.work import Work

MODELS = ["resnet18", "resnet50", "vgg19", "vit-s", "bert-base"]
SHARES = [0.0, 0.002, 0.005, 0.01, 0.02, 0.05]
MOVED = ("dram.read", "dram.write")


def study_byte_tolerance(
    arch: ArchOption = "sat",
    pattern: PatternOption = ["2:8"],  # noqa: B006  # typer copies it
    models: Annotated[list[str], typer.Option("--model", help="A captured model. Repeatable.")] = MODELS,
    shares: Annotated[list[float], typer.Option("--share", help="Of a product's time. Repeatable.")] = SHARES,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the table.", show_default=False)] = None,
) -> None:
    """Cycles, bytes and energy of whole steps, sparse and dense, with mappings that move fewer bytes for longer."""
    rows = list[dict[str, object]]()
    for model in models:
        job = Job(machine=Source(arch), work=Work(model=model), patterns=tuple(pattern))
        runs = Runs()
        for share in shares:
            found = run_job(replace(job, options=option_pairs({"byte_tolerance": share})), runs)
            for what, result in (("dense", found.baseline), ("sparse", found)):
                actions = result.actions
                size = int(actions[actions["kind"].isin(MOVED)]["amount"].sum())
                energy = energy_total(result).joules if has_energy(result) else float("nan")
                rows.append({"model": model, "share": share, "what": what, "cycles": result.cycles,
                             "dram_gb": round(size / 1e9, 2), "energy_j": round(energy, 3),
                             "speedup": round(found.over_baseline, 4)})  # fmt: skip
            say(f"{model} {share:.1%}: {found.cycles:,} cycles, {rows[-1]['dram_gb']} GB, {found.over_baseline:.3f}x")
    if out is not None:
        write_folder(out, {"byte-tolerance.csv": pd.DataFrame(rows).to_csv(index=False)}, dict)
