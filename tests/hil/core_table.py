"""Random plans on cores of several shapes: `python -m tests.hil.core_table FILE` writes a row a plan.

The committed table is reports/results/hil/core-plans.csv.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.dataflows.core_plans import core, random_cases
from tests.hil.core_runs import compared

# rows, columns, KiB of the west, north, output and raw memory
SHAPES = ((4, 4, 4, 2, 2, 2), (4, 6, 8, 4, 4, 4), (8, 4, 8, 4, 4, 4))
RATES = (2, 1.25, 0.5)  # GB/s, of which four fifths arrive: 8, 5 and 2 bytes a cycle
SEED = 22
COLUMNS = (
    "array", "dataflow", "resident", "inline", "transposed", "pattern", "rows", "cols", "inner", "segments", "count",
    "commands", "cycles", "simulated_cycles", "starts_that_differ", "waits_that_differ", "results", "wrong_results",
)  # fmt: skip
Row = dict[str, object]


def rows(count: int) -> Iterator[tuple[Row, bool]]:
    """So many plans in turn on every shape, and whether nothing at all differs."""
    names = ("array.rows", "array.cols", "memory.west_kib", "memory.north_kib", "memory.output_kib", "core.raw_kib")
    machines = [
        core(
            *(f"{name}={value}" for name, value in zip(names, shape, strict=True)),
            f"dram.channel_bandwidth_gb_s={rate}",
        )
        for shape in SHAPES
        for rate in RATES
    ]
    for case in random_cases(np.random.default_rng(SEED), count, of=machines):
        found, mapping, product = compared(case), case.plan.mapping(), case.lowered
        yield (
            {
                "array": f"{case.arch.array.rows}x{case.arch.array.cols}",
                "dataflow": type(case.plan).__name__.removesuffix("Plan"),
                "resident": mapping.resident,
                "inline": mapping.inline,
                "transposed": product.transposed,
                "pattern": str(product.pattern),
                "rows": product.rows,
                "cols": product.cols,
                "inner": product.inner,
                "segments": product.reduction.segments,
                "count": product.count,
                "commands": found.commands,
                "cycles": found.cycles,
                "simulated_cycles": found.wanted,
                "starts_that_differ": found.differ,
                "waits_that_differ": found.other_waits,
                "results": found.values,
                "wrong_results": found.wrong,
            },
            found.is_right,
        )


def main() -> int:
    """Write the table; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--plans", type=int, default=240)
    asked = parser.parse_args()
    wrong = 0
    with asked.file.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row, is_right in rows(asked.plans):
            table.writerow(row)
            wrong += not is_right
    print(f"{asked.plans} plans, {wrong} with a difference")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
