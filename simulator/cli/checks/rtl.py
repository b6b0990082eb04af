"""The array in RTL, compiled and run: its cycles and sums have to be exactly the model's and the golden values."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from reports.checks import Check
    from rtl.compiled_array import CompiledArray
    from rtl.formats import Bits
    from rtl.packing import Packed
    from rtl.timing import Reduction

PRODUCTS, SEED = 30, 11
ROWS, COLS, FORM, PATTERN = 3, 2, "int8", "2:8"  # the array its tests build too, so that one compilation serves both
NOTHING = "nothing: the same timing function gives the simulator's cycles"


def checks() -> "list[Check]":
    """Cycles and sums of random products in both dataflows; unknown where the tools that compile RTL are missing."""
    from workloads.errors import UserError

    try:
        cycles, model, right, sums = _compared()
    except (UserError, ModuleNotFoundError) as error:
        return [_row("cycles", "cycles", None, None, f"the RTL was not compiled: {error}")]
    return [
        _row("cycles", "cycles", cycles, model, NOTHING),
        _row(
            "sums that are right in every bit", "sums", sums, right, "nothing: integers, added up in the array's order"
        ),
    ]


def _row(what: str, unit: str, theirs: float | None, ours: float | None, hangs_on: str) -> "Check":
    from reports.checks import Check
    from workloads.provenance import Provenance

    return Check(
        machine="rtl",
        what=f"{what}: {PRODUCTS} random products in both dataflows on a compiled {ROWS} x {COLS} {FORM} array",
        unit=unit,
        theirs=theirs,
        ours=ours,
        provenance=Provenance.UNKNOWN if theirs is None else Provenance.MEASURED,
        source="the array of rtl/ in Verilator, run now",
        hangs_on=hangs_on,
    )


def _compared() -> tuple[int, int, int, int]:
    """Cycles of the RTL and of the model, sums that agree bit for bit, and all sums."""
    import numpy as np

    from rtl.compiled_array import CompiledArray
    from rtl.packing import pack
    from rtl.parameters import make_parameters
    from rtl.timing import Reduction
    from workloads.pattern import parse_pattern

    array = CompiledArray(make_parameters(parse_pattern(PATTERN), ROWS, COLS, FORM, accumulators=6))
    rng, totals = np.random.default_rng(SEED), np.zeros(4, dtype=np.int64)
    for _ in range(PRODUCTS):
        m = int(rng.integers(1, 9))
        n = int(rng.integers(1, min(m, array.parameters.weights) + 1))
        work = Reduction(int(rng.integers(1, 4)), int(rng.integers(1, 40)), n, m)
        inner = work.segments * work.length
        left = rng.integers(0, 256, (ROWS, inner)).astype(np.uint8)
        weights = rng.integers(0, 256, (inner, COLS)).astype(np.uint8)
        totals += _tile(array, left, pack(weights, _mask(work, rng), work), work)
    return int(totals[0]), int(totals[1]), int(totals[2]), int(totals[3])


def _mask(work: "Reduction", rng: "np.random.Generator") -> "np.typing.NDArray[np.bool_]":
    """As many kept in every group as may be, by chance."""
    import numpy as np

    from rtl.packing import groups_of

    mask = np.zeros((work.segments * work.length, COLS), bool)
    for group in groups_of(work):
        order = np.argsort(rng.random((group.size, COLS)), axis=0)[: group.kept]
        np.put_along_axis(mask[group.start : group.start + group.size], order, True, 0)
    return mask


def _tile(array: "CompiledArray", left: "Bits", right: "Packed", work: "Reduction") -> "np.typing.NDArray[np.int64]":
    """One product in both dataflows: cycles of the RTL, of the model, sums that agree, and sums."""
    import numpy as np

    from rtl.golden.products import sparse_product
    from rtl.tiles import folds_of, output_stationary_tile, weight_stationary_tile

    p, wanted = array.parameters, sparse_product(left, right, array.parameters.operand)
    tile = output_stationary_tile(p, left, right, work, 1, True)
    ran = array.run(tile)
    found = [ran.counters["cycles"], tile.cycles, int((ran.product == wanted).sum()), wanted.size]
    sums: Bits | None = None
    for fold in range(folds_of(p, work)):
        tile = weight_stationary_tile(p, left, right, work, fold, sums)
        ran = array.run(tile)
        sums = ran.product
        found[0] += ran.counters["cycles"]
        found[1] += tile.cycles
    assert sums is not None
    found[2] += int(np.equal(sums, wanted).sum())
    found[3] += wanted.size
    return np.array(found)
