"""`simulate study smash`: SMASH and its rivals over size, skew and density on one fabric."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.cli.options import SetOption

if TYPE_CHECKING:
    import pandas as pd

    from dataflows.spgemm.multiply import Multiplied
    from dataflows.spgemm.options import KernelOptions
    from simulator.machine import Arch
    from workloads.sparse.matrix import SparseProduct

# What is run: a label, a kernel and its options. V1 and V3 leave open what the paper's text would say.
VARIANTS = (
    ("smash-v1", "smash-v1", ()),
    ("smash-v1 pieces", "smash-v1", ("deal=pieces",)),
    ("smash-v2", "smash-v2", ()),
    ("smash-v3", "smash-v3", ()),
    ("smash-v3 operands", "smash-v3", ("dma=operands",)),
    ("row-wise", "row-wise", ()),
    ("heap-merge", "heap-merge", ()),
    ("outer", "outer", ()),
    ("inner", "inner", ()),
)
AGAINST = ("earlier", "later", "matrices", "worst", "ratio", "parameter", "ratio_then")
VERSIONS = ("smash-v1", "smash-v2", "smash-v3")  # in the thesis's order, each to be faster than the one before
SKEWS = (0.25, 0.35, 0.45, 0.57, 0.65)
DENSITIES = (2, 4, 8, 16, 32)
SMALL = ("rmat:6:8", "rmat:8:8", "rmat:8:8,a=0.25", "uniform:64x64:0.3", "banded:256:4")
STRESSES = (
    "",
    "atomic.ops_per_cycle=0.5",
    "atomic.same_address_cycles=16",
    "scratchpad.banks=4",
    "dram.latency_ns=60",
    "dram.channel_bandwidth_gb_s=0.5",
    "dram.latency_ns=10",
    "atomic.ops_per_cycle=0.25",
)
INNER_MOST = 2**11  # rows: an inner product meets every row with every column


def study_smash(
    largest: Annotated[int, typer.Option("--largest", help="Scale of the largest R-MAT matrix.")] = 12,
    settings: SetOption = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option("--out", help="Write tables (CSV) and pictures there.")] = None,
) -> None:
    """Rank SMASH V1, V2, V3 and their rivals over size, skew and density, and say what bounds each."""
    import pandas as pd

    from reports.smash import crossings, pair_table, print_study, rank_table
    from simulator.machine import load_arch
    from workloads.errors import UserError

    if not 8 <= largest <= 16:
        raise UserError(f"--largest {largest}: the study goes from scale 7 to one of 8 to 16")
    arch = load_arch("piuma", settings)
    runs = pd.DataFrame(_runs(arch, largest))
    tables = {
        "runs": runs,
        "ranks": rank_table(runs),
        "pairs": pair_table(runs),
        "crossings": crossings(runs),
        "against-the-order": pd.DataFrame(_contradictions(runs, settings), columns=list(AGAINST)),
        "interleaved": pd.DataFrame(_interleaved(settings)),
    }
    print_study(tables)
    if out is not None:
        _write(out, tables, arch)


def points(largest: int) -> list[tuple[str, float, str]]:
    """Sweep, where on its axis, and the matrix."""
    side = min(10, largest)
    sizes = [("size", float(scale), f"rmat:{scale}:8") for scale in range(7, largest + 1)]
    skews = [("skew", a, f"rmat:{side}:8,a={a:g}") for a in SKEWS]
    return sizes + skews + [("density", float(edges), f"rmat:{side}:{edges}") for edges in DENSITIES]


def _runs(arch: "Arch", largest: int) -> Iterator[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import track

    from workloads.sparse.generate import generate
    from workloads.sparse.matrix import SparseProduct

    places = points(largest)
    for sweep, point, matrix in track(places, description="matrices", transient=True, console=Console(stderr=True)):
        given = generate(matrix)
        product = SparseProduct(given, given)
        for label, kernel, options in VARIANTS:
            if kernel != "inner" or given.rows <= INNER_MOST:
                yield {
                    "sweep": sweep,
                    "point": point,
                    "matrix": matrix,
                    **run_row(arch, product, label, kernel, options),
                }


def run_row(
    arch: "Arch", product: "SparseProduct", label: str, kernel: str, options: tuple[str, ...]
) -> dict[str, Any]:
    """One run as a row of the study."""
    from dataflows.spgemm.results import cycles_of, fabric_card
    from reports.smash import bound

    done = _multiplied(arch, product, kernel, options)
    card, cycles = fabric_card(done), cycles_of(done.timing)
    moved = sum(size for (kind, _), size in done.timing.traffic.items() if kind.startswith("dram"))
    return {
        "kernel": label,
        "products": product.multiplies,
        "cycles": cycles,
        "gb_s": moved / cycles * arch.spec.clock_mhz / 1000,
        "instructions_per_cycle": card["instructions_per_cycle"] / (arch.spec.cores * arch.spec.pipeline.mtps),
        "bound": bound(card["used"], card["thread_time"]),
        **{f"time_{name}": share for name, share in card["thread_time"].items()},
        **{f"used_{name}": share for name, share in card["used"].items()},
    }


def _multiplied(
    arch: "Arch", product: "SparseProduct", kernel: str, options: tuple[str, ...], trace: bool = False
) -> "Multiplied":
    from dataflows.spgemm.kernel import KERNELS, Collector
    from dataflows.spgemm.multiply import multiply
    from dataflows.spgemm.options import parse_options
    from workloads.registry import load_entry

    chosen: KernelOptions = parse_options(options)
    return multiply(product, arch.spec, load_entry(KERNELS, "kernel", kernel), chosen, Collector(), trace)


def _contradictions(runs: "pd.DataFrame", settings: list[str]) -> Iterator[dict[str, Any]]:
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


def _turned(before: str, after: str, matrix: str, settings: list[str]) -> Iterator[tuple[str, float]]:
    """Ends of ranges and options of kernels at which the later version is the faster one."""
    from simulator.machine import load_arch
    from workloads.sparse.generate import generate
    from workloads.sparse.matrix import SparseProduct

    given = generate(matrix)
    product = SparseProduct(given, given)

    def ratio(more: tuple[str, ...], options: tuple[str, ...]) -> float:
        arch = load_arch("piuma", [*settings, *more])
        times = [_multiplied(arch, product, kernel, options).timing.ticks for kernel in (before, after)]
        return times[1] / times[0]

    tried: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        ((f"{path}={end:g}",), ())
        for path, origin in load_arch("piuma", settings).origins.items()
        for end in (origin.low, origin.high)
        if end is not None and path != "chips" and not path.startswith("vector")
    ]
    tried += [((), (option,)) for option in ("dma=operands", "deal=pieces", "spread=1", "token=64", "hash=low-bits")]
    for more, options in tried:
        found = ratio(more, options)
        if found < 1:
            yield " ".join((*more, *options)), found


def _interleaved(settings: list[str]) -> Iterator[dict[str, Any]]:
    """How far the event model is off, on small matrices, as described and where one resource is scarce."""
    from dataflows.spgemm.interleaved import compare
    from dataflows.spgemm.options import KernelOptions
    from dataflows.spgemm.smash import V1, V2, V3
    from simulator.machine import load_arch
    from workloads.sparse.generate import generate
    from workloads.sparse.matrix import SparseProduct

    for stress in STRESSES:
        spec = load_arch("piuma", [*settings, *([stress] if stress else [])]).spec
        for matrix in SMALL if not stress else SMALL[1:4]:
            given = generate(matrix)
            for kernel in (V1, V2, V3):
                found, _ = compare(SparseProduct(given, given), spec, kernel, KernelOptions())
                yield {
                    "setting": stress or "as described",
                    "matrix": matrix,
                    "kernel": kernel.name,
                    "cycles": round(found.cycles[0]),
                    "interleaved": round(found.cycles[1]),
                    "error": found.error,
                    "probes": found.probes[0],
                    "interleaved_probes": found.probes[1],
                }


def _write(out: Path, tables: "dict[str, pd.DataFrame]", arch: "Arch") -> None:
    from reports.smash import write_study

    write_study(out, tables)
    try:
        from reports.figures.smash import sweep_figure, time_figure, timeline_figure
        from reports.figures.style import save_figure
    except ModuleNotFoundError:
        typer.echo("no pictures: they need matplotlib: pip install 'sparsehil[report]'", err=True)
        return
    runs = tables["runs"]
    for sweep in ("size", "skew", "density"):
        save_figure(sweep_figure(runs, sweep), out / sweep)
    middle = runs[(runs["sweep"] == "skew") & (runs["point"] == SKEWS[3])]
    columns = [name for name in runs.columns if name.startswith("time_")]
    shares = {
        str(row["kernel"]): {name.removeprefix("time_"): row[name] for name in columns}
        for row in middle.to_dict("records")
    }
    matrix = str(middle["matrix"].iloc[0])
    save_figure(time_figure(shares, f"threads' time, {matrix} squared"), out / "threads")
    save_figure(
        timeline_figure(_traces(arch, matrix), arch.spec.threads_per_core, f"{matrix} squared"), out / "timeline"
    )


def _traces(arch: "Arch", matrix: str) -> dict[str, Any]:
    from workloads.sparse.generate import generate
    from workloads.sparse.matrix import SparseProduct

    given = generate(matrix)
    product = SparseProduct(given, given)
    return {
        label: _multiplied(arch, product, kernel, options, trace=True).timing.trace
        for label, kernel, options in VARIANTS
        if label in ("smash-v1 pieces", "smash-v2", "smash-v3", "smash-v3 operands", "row-wise", "heap-merge")
    }
