"""The array in the loop: as large as the machine file says, made for every pattern a schedule has."""

from collections.abc import Sequence

from rtl.parameters import Parameters, make_parameters
from simulator.arch.machine import Machine
from simulator.hil.strata import Stratum
from simulator.machines.systolic import SystolicArch
from workloads.errors import UserError
from workloads.pattern import Pattern, PatternKind


def buildable(machine: Machine) -> SystolicArch:
    """The description of a machine whose array is there in RTL. Raises UserError for any other."""
    spec = machine.spec
    if not isinstance(spec, SystolicArch):
        raise UserError(f"--hil: {machine.name} has no array in RTL; --arch sat has")
    if spec.rtl is None or spec.array.pe != "unified" or not spec.array.drains:
        raise UserError(
            "--hil: this machine is an idealisation that nobody could build; --arch sat has its array in RTL"
        )
    return spec


def array_for(arch: SystolicArch, strata: Sequence[Stratum]) -> Parameters:
    """Parameters of an array that runs every class of a schedule.

    Raises UserError for groups that are too large for one.
    """
    assert arch.rtl is not None  # checked: `buildable`
    groups = [(stratum.part.reduction.n, stratum.part.reduction.m) for stratum in strata]
    sparse = [group for group, stratum in zip(groups, strata, strict=True) if stratum.op.right.pattern.is_grouped]
    dense = max((m for group in groups if group not in sparse for m in group[1:]), default=1)
    n, m = max((n for n, _ in sparse), default=1), max((m for _, m in [*sparse, (1, dense)]), default=1)
    return make_parameters(
        Pattern(PatternKind.NM, n, m),
        arch.rtl.rows,
        arch.rtl.cols,
        arch.rtl.format,
        depth=max(1, min(dense, m)),
        accumulators=max(stratum.part.interleave for stratum in strata),
        multiplier_latency=max(1, arch.array.multiplier_latency_cycles) if arch.rtl.format != "int8" else None,
        adder_latency=max(1, arch.array.adder_latency_cycles) if arch.rtl.format != "int8" else None,
    )


def check_board(there: Parameters, wanted: Parameters, url: str) -> None:
    """Raises UserError, naming each parameter, for a board whose array is another one than a schedule needs.

    Its latencies, memories and accumulators are its own: tiles are timed with them, and interleave no more than it can.
    """
    wrong = [
        f"{name} is {getattr(there, name)}, wanted {getattr(wanted, name)}"
        for name in ("format", "rows", "cols")
        if getattr(there, name) != getattr(wanted, name)
    ]
    wrong += [
        f"{name} is {getattr(there, name)}, at least {getattr(wanted, name)} is needed"
        for name in ("m", "weights")
        if getattr(there, name) < getattr(wanted, name)
    ]
    if wrong:
        hint = "--set rtl.rows=... takes another size, array.group_max=... shallower dense work"
        raise UserError(f"--hil {url}: the array there is another one: {'; '.join(wrong)} ({hint})")
