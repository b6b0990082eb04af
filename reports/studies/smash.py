"""Rank SMASH V1, V2, V3 and their rivals over size, skew and density, and say what bounds each."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer

from reports import figures
from reports.bounds import bound
from reports.output import tracked, write_folder
from reports.smash import crossings, pair_table, print_study, rank_table, study_texts
from simulator.arch.machine import load_machine
from simulator.compiler import load_compiler
from simulator.fabric.outcome import EventRecord, Multiplied
from simulator.job import Job, Source, Value
from simulator.machines.piuma import FabricArch
from simulator.result import Result
from simulator.runner import run_job
from simulator.runs import Runs
from workloads.errors import UserError
from workloads.files.limits import Limits
from workloads.options import SetOption
from workloads.registry import KERNELS, REFERENCES, load_entry
from workloads.sparse.generate import generate
from workloads.sparse.matrix import SparseProduct
from workloads.work import Work

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MACHINE, REFERENCE = "piuma", "smash-interleaved"
Options = tuple[tuple[str, Value], ...]
Row = dict[str, object]
# What is run: a label, a kernel and its options. V1 and V3 leave open what the paper's text would say.
VARIANTS: tuple[tuple[str, str, Options], ...] = (
    ("smash-v1", "smash-v1", ()),
    ("smash-v1 pieces", "smash-v1", (("deal", "pieces"),)),
    ("smash-v2", "smash-v2", ()),
    ("smash-v3", "smash-v3", ()),
    ("smash-v3 operands", "smash-v3", (("dma", "operands"),)),
    ("row-wise", "row-wise", ()),
    ("heap-merge", "heap-merge", ()),
    ("outer", "outer", ()),
    ("inner", "inner", ()),
)
TRACED = ("smash-v1 pieces", "smash-v2", "smash-v3", "smash-v3 operands", "row-wise", "heap-merge")
AGAINST = ("earlier", "later", "matrices", "worst", "ratio", "parameter", "ratio_then")
VERSIONS = ("smash-v1", "smash-v2", "smash-v3")  # in the thesis's order, each to be faster than the one before
TURNS: Options = (("dma", "operands"), ("deal", "pieces"), ("spread", 1), ("token", 64), ("hash", "low-bits"))
SKEWS = (0.25, 0.35, 0.45, 0.57, 0.65)
DENSITIES = (2, 4, 8, 16, 32)
LIMITS = Limits(multiplies=2**30, comparisons=2**40)  # --largest bounds what is run: about 2**27 multiplies at 16
SMALL = ("rmat:6:8", "rmat:8:8", "rmat:8:8,a=0.25", "uniform:64x64:0.3", "banded:256:4")
STRESSES = (
    "",
    "atomic.ops_per_cycle=0.5",
    "atomic.same_address_cycles=16",
    "scratchpad.banks=4",
    "dram.latency_ns=60",
    "dram.channel_bandwidth_gb_s=0.5",
    "dram.latency_ns=10",
    "pipeline.loads_in_flight=4",
    "atomic.ops_per_cycle=0.25",
)
INNER_MOST = 2**11  # rows: an inner product meets every row with every column


def study_smash(
    largest: Annotated[int, typer.Option("--largest", help="Scale of the largest R-MAT matrix.")] = 12,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write tables (CSV) and pictures there; files of their names are replaced."),
    ] = None,
) -> None:
    """Rank SMASH V1, V2, V3 and their rivals over size, skew and density, and say what bounds each."""
    if not 8 <= largest <= 16:
        raise UserError(f"--largest {largest}: the study goes from scale 7 to one of 8 to 16")
    chosen = tuple(settings)
    spec = load_machine(MACHINE, chosen).spec
    assert isinstance(spec, FabricArch)
    runs = pd.DataFrame(_runs(chosen, largest))
    tables = {
        "runs": runs,
        "ranks": rank_table(runs),
        "pairs": pair_table(runs),
        "crossings": crossings(runs),
        "against-the-order": pd.DataFrame(_contradictions(runs, chosen), columns=list(AGAINST)),
        "interleaved": pd.DataFrame(_interleaved(chosen)),
    }
    print_study(tables)
    if out is not None:
        write_folder(out, study_texts(tables), lambda: _drawn(runs, chosen, spec.threads_per_core))


def points(largest: int) -> list[tuple[str, float, str]]:
    """Sweep, where on its axis, and the matrix."""
    side = min(10, largest)
    sizes = [("size", float(scale), f"rmat:{scale}:8") for scale in range(7, largest + 1)]
    skews = [("skew", a, f"rmat:{side}:8,a={a:g}") for a in SKEWS]
    return sizes + skews + [("density", float(edges), f"rmat:{side}:{edges}") for edges in DENSITIES]


def _runs(settings: tuple[str, ...], largest: int) -> Iterator[Row]:
    for sweep, point, matrix in tracked(points(largest), "matrices"):
        few = generate(matrix).rows <= INNER_MOST
        for label, kernel, options in VARIANTS:
            if kernel != "inner" or few:
                result, _ = squared(matrix, kernel, options, settings)
                yield {"sweep": sweep, "point": point, "matrix": matrix, "kernel": label, **run_row(result)}


def squared(matrix: str, kernel: str, options: Options, settings: tuple[str, ...]) -> tuple[Result, Multiplied]:
    """A matrix multiplied with itself. Raises UserError for what does not fit the machine."""
    job = Job(
        machine=Source(MACHINE),
        work=Work(matrices=(matrix,), limits=LIMITS),
        settings=settings,
        options=(("kernel", kernel), *options),
    )
    runs = Runs()
    result = run_job(job, runs)
    done = runs.timing(result.schedule[0].programs[0]).detail
    assert isinstance(done, Multiplied)
    return result, done


def run_row(result: Result) -> Row:
    """One run as a row of the study."""
    fabric, cycles = result.card.more["fabric"], result.cycles
    moved = result.actions.loc[result.actions["kind"].str.startswith("dram"), "amount"].sum()
    return {
        "products": fabric["multiplies"],
        "cycles": cycles,
        "gb_s": moved / cycles * result.card.clock_mhz / 1000,
        "instructions_per_cycle": fabric["instructions_per_cycle"] / result.op_columns["pes"][0],
        "bound": bound(fabric["used"], fabric["thread_time"]),
        **{f"time_{name}": share for name, share in fabric["thread_time"].items()},
        **{f"used_{name}": share for name, share in fabric["used"].items()},
    }


def _contradictions(runs: pd.DataFrame, settings: tuple[str, ...]) -> Iterator[Row]:
    """Every place where a version is no faster than the one before, and at the worst of them what turns that round."""
    for before, after in pairwise(VERSIONS):
        pair = runs[runs["kernel"].isin([before, after])]
        table = pair.pivot_table(index="matrix", columns="kernel", values="cycles", sort=False)
        ratios = table[after] / table[before]
        against = ratios[ratios >= 1]
        if not against.empty:
            worst = str(against.idxmax())
            for parameter, ratio in _turned(before, after, worst, settings):
                yield {
                    "earlier": before,
                    "later": after,
                    "matrices": ", ".join(against.index),
                    "worst": worst,
                    "ratio": float(against.max()),
                    "parameter": parameter,
                    "ratio_then": ratio,
                }


def _turned(before: str, after: str, matrix: str, settings: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Ends of ranges and options of kernels at which the later version is the faster one."""
    tried: list[tuple[tuple[str, ...], Options]] = [
        ((f"{path}={end:g}",), ())
        for path, origin in load_machine(MACHINE, settings).origins.items()
        for end in (origin.low, origin.high)
        if end is not None and path != "chips" and not path.startswith("vector")
    ]
    tried += [((), (option,)) for option in TURNS]
    for more, options in tried:
        first, second = (
            squared(matrix, kernel, options, (*settings, *more))[1].timing.ticks for kernel in (before, after)
        )
        if second < first:
            yield " ".join((*more, *(f"{name}={value}" for name, value in options))), second / first


def _interleaved(settings: tuple[str, ...]) -> Iterator[Row]:
    """How far the event model is off, on small matrices, as described and where one resource is scarce."""
    compare = load_entry(REFERENCES, "reference", REFERENCE)
    for stress in STRESSES:
        machine = load_machine(MACHINE, (*settings, *([stress] if stress else [])))
        options = load_compiler(machine.kind).Options()
        for matrix in SMALL if not stress else SMALL[1:4]:
            given = generate(matrix)
            for kernel in VERSIONS:
                loaded = load_entry(KERNELS, "kernel", kernel)
                found, _ = compare(SparseProduct(given, given), machine.spec, loaded, options)
                yield {
                    "setting": stress or "as described",
                    "matrix": matrix,
                    "kernel": kernel,
                    "cycles": round(found.cycles[0]),
                    "interleaved": round(found.cycles[1]),
                    "error": found.error,
                    "probes": found.probes[0],
                    "interleaved_probes": found.probes[1],
                }


def _drawn(runs: pd.DataFrame, settings: tuple[str, ...], threads: int) -> "Mapping[str, Figure]":
    drawn = {sweep: figures.sweep_figure(runs, sweep) for sweep in ("size", "skew", "density")}
    middle = runs[(runs["sweep"] == "skew") & (runs["point"] == SKEWS[3])]
    columns = [name for name in runs.columns if name.startswith("time_")]
    shares = {
        str(row["kernel"]): {name.removeprefix("time_"): row[name] for name in columns}
        for row in middle.to_dict("records")
    }
    matrix = str(middle["matrix"].iloc[0])
    drawn["threads"] = figures.time_figure(shares, f"threads' time, {matrix} squared")
    drawn["timeline"] = figures.timeline_figure(_traces(matrix, settings), threads, f"{matrix} squared")
    return drawn


def _traces(matrix: str, settings: tuple[str, ...]) -> dict[str, Sequence[EventRecord]]:
    """What every thread did when, of the kernels whose lines are worth a picture."""
    return {
        label: squared(matrix, kernel, (*options, ("trace", True)), settings)[1].timing.trace
        for label, kernel, options in VARIANTS
        if label in TRACED
    }
