"""PIUMA: every kernel's product beside scipy's, bit for bit, and SMASH's published ratio."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.checks import Check

RATIO = "SMASH speedup as compared to competing approaches mapped to PIUMA"
SIZE, DENSITY, SEED = 300, 0.02, 5


def checks() -> "list[Check]":
    """A row a kernel, and the one published ratio."""
    from simulator.cli.checks.published import figures, unknown

    ratio = unknown("piuma", figures("piuma")[RATIO], "the baseline of the paper and its inputs could not be read")
    return [*_products(), ratio]


def _products() -> "list[Check]":
    from importlib.metadata import version

    import numpy as np
    from scipy.sparse import csr_array, random_array

    from dataflows.spgemm.kernel import KERNELS, Collector
    from dataflows.spgemm.multiply import multiply
    from dataflows.spgemm.options import KernelOptions
    from reports.checks import Check
    from simulator.machine import load_arch
    from workloads.provenance import Provenance
    from workloads.registry import load_entry, names
    from workloads.sparse.matrix import SparseProduct, from_scipy

    rng = np.random.default_rng(SEED)
    left, right = (csr_array(random_array((SIZE, SIZE), density=DENSITY, rng=rng)) for _ in range(2))
    wanted = left @ right
    wanted.sort_indices()
    arch, found = load_arch("piuma").spec, []
    product = SparseProduct(from_scipy("left", left), from_scipy("right", right))
    for name in names(KERNELS):
        sink = Collector()
        multiply(product, arch, load_entry(KERNELS, "kernel", name), KernelOptions(), sink)
        mine = sink.matrix(wanted.shape)
        alike = np.array_equal(mine.starts, wanted.indptr) and np.array_equal(mine.indices, wanted.indices)
        same = int((mine.values == wanted.data).sum()) if alike else 0
        found.append(
            Check(
                machine="piuma",
                what=f"values of a sparse product that are scipy's, {name}",
                unit="values",
                theirs=float(wanted.nnz),
                ours=float(same),
                provenance=Provenance.MEASURED,
                source=f"scipy {version('scipy')}, {SIZE} x {SIZE} of {DENSITY:.0%}, run now",
                hangs_on="nothing: the kernels really multiply",
            )
        )
    return found
