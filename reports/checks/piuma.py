"""PIUMA: every kernel's product beside scipy's, bit for bit, and SMASH's published ratio."""

from importlib.metadata import version
from typing import cast

import numpy as np
from scipy.sparse import csr_array, random_array

from reports.checks.base import Check, CheckSuite, by_item
from simulator.arch.machine import load_machine
from simulator.compiler import load_compiler, options_of
from simulator.fabric.outcome import Multiplying
from simulator.runs import Runs
from workloads.provenance import Provenance
from workloads.registry import KERNELS, names
from workloads.sparse.matrix import Matrix, SparseProduct, from_scipy
from workloads.sparse.matrix_market import workload_of

MACHINE = "piuma"
RATIO = "SMASH speedup as compared to competing approaches mapped to PIUMA"
SIZE, DENSITY, SEED = 300, 0.02, 5


def checks() -> list[Check]:
    """A row a kernel, and the one published ratio."""
    row = by_item("piuma")[RATIO]
    ratio = Check(
        machine="piuma",
        what=RATIO,
        unit=row["unit"],
        theirs=float(row["value"]),
        ours=None,
        provenance=Provenance(row["provenance"]),
        source=row["source"],
        hangs_on="the baseline of the paper and its inputs could not be read",
    )
    return [*_products(), ratio]


PIUMA = CheckSuite(checks, order=6)


def _products() -> list[Check]:
    rng = np.random.default_rng(SEED)
    left, right = (csr_array(random_array((SIZE, SIZE), density=DENSITY, rng=rng)) for _ in range(2))
    wanted = left @ right
    wanted.sort_indices()
    product = SparseProduct(from_scipy("left", left), from_scipy("right", right))
    return [_check(name, _multiplied(product, name), wanted) for name in names(KERNELS)]


def _multiplied(product: SparseProduct, kernel: str) -> Matrix:
    """The product as a kernel computes it."""
    machine = load_machine(MACHINE)
    compiler = load_compiler(machine.kind)
    options = options_of(compiler, machine, {"kernel": kernel})
    schedule = compiler.compile(workload_of(product), machine.spec, options, Runs())
    return cast(Multiplying, schedule[0].programs[0]).result()


def _check(kernel: str, mine: Matrix, wanted: csr_array) -> Check:
    alike = np.array_equal(mine.starts, wanted.indptr) and np.array_equal(mine.indices, wanted.indices)
    return Check(
        machine="piuma",
        what=f"values of a sparse product that are scipy's, {kernel}",
        unit="values",
        theirs=float(wanted.nnz),
        ours=float((mine.values == wanted.data).sum()) if alike else 0.0,
        provenance=Provenance.MEASURED,
        source=f"scipy {version('scipy')}, {SIZE} x {SIZE} of {DENSITY:.0%}, run now",
        hangs_on="nothing: the kernels really multiply",
    )
