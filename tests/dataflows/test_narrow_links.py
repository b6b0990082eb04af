"""Links that are behind the array, and group depths: what a reviewer found to be cheaper than hardware can be."""

from dataclasses import replace

import pytest

from dataflows.systolic.planner import Planner
from dataflows.systolic.search import Tolerances
from simulator.machines.systolic import SystolicArch
from simulator.runs import Runs
from tests.machines import DATAFLOWS, MACHINES
from tests.simulator.floors import random_floors
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, Pattern, parse_pattern


def small(link: float | None = 1, bandwidth: float = 100_000, **array: int) -> SystolicArch:
    """SAT with 2 x 2 PEs, a west link of so many operands, and a DRAM that is not behind."""
    sat = MACHINES["sat"]
    assert sat.dram is not None
    sizes = {"rows": 2, "cols": 2, **array}
    spec = replace(sat.array, west_link_operands_per_cycle=link, **sizes)
    dram = replace(sat.dram, channel_bandwidth_gb_s=bandwidth, latency_ns=0)
    return replace(sat, array=spec, dram=dram)


def product(rows: int, inner: int, cols: int, pattern: Pattern, phase: Phase = Phase.FF) -> MatrixOp:
    left = Operand("x", Role.ACTIVATION if phase is Phase.FF else Role.GRADIENT)
    return MatrixOp("layer", phase, rows, inner, cols, left, Operand("w", Role.WEIGHT, pattern))


def cycles(arch: SystolicArch, op: MatrixOp, *dataflows: str) -> int:
    """Of the best mapping, of all dataflows or of some."""
    allowed = [each for each in DATAFLOWS if not dataflows or each.name in dataflows]
    return Planner(arch, allowed, Runs(), Tolerances(bytes=0)).choose(op)[0].cycles


@pytest.mark.parametrize(("link", "least"), [(1, 1024), (0.5, 2048), (0.25, 4096)])
def test_every_operand_passes_the_link(link: float, least: int) -> None:
    """16 positions x 128 operands over two rows' links."""
    op = product(16, 128, 2, parse_pattern("1:64"))
    for dataflow in ("output-stationary", "weight-stationary"):
        assert cycles(small(link), op, dataflow) >= least


@pytest.mark.parametrize("link", [0.25, 1, 4])
def test_no_forced_dataflow_beats_the_search(link: float) -> None:
    op = product(16, 256, 4, parse_pattern("1:64"))
    forced = [cycles(small(link), op, each.name) for each in DATAFLOWS]
    assert cycles(small(link), op) <= 1.002 * min(forced)


@pytest.mark.parametrize("sizes", [(7, 100, 72), (7, 72, 100)])
def test_deeper_groups_are_never_worse(sizes: tuple[int, int, int]) -> None:
    """Deeper ones cut the reduction into other pieces, which hide more or less of what DRAM takes."""
    op = product(*sizes, DENSE, Phase.BP)
    found = [cycles(small(4, 1.2, rows=4, cols=32, group_max=depth), op) for depth in range(1, 9)]
    assert all(deeper <= 1.002 * found[number] for number, deeper in enumerate(found[1:]))


def test_floors_are_floors() -> None:
    """A few hundred random plans; `python -m tests.simulator.floors 20000` runs many more."""
    assert all(each.holds for each in random_floors(300))
