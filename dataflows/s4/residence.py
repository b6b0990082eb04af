"""What stays in L2 between ops, and what has to go through DRAM."""

from collections.abc import Sequence

from dataflows.s4.jobs import Spill
from dataflows.s4.stages import Stage
from simulator.machines.s4 import S4Arch

FOR_WEIGHTS = 4  # a quarter of L2 is kept free for weights on their way to the units


def l2_bytes(arch: S4Arch) -> int:
    """L2 of one core."""
    return int(arch.l2_mib * 2**20)


def room_bytes(arch: S4Arch) -> int:
    """What of it activations may take."""
    return l2_bytes(arch) * (FOR_WEIGHTS - 1) // FOR_WEIGHTS


def working_sets(
    stages: Sequence[Stage], waiting: Sequence[int], batch: int, samples: int, operand_bytes: int
) -> list[int]:
    """Bytes of activations a core holds at each stage of so many samples: what comes in, goes out, and waits."""
    return [
        -(-(stage.inputs + stage.outputs + wait) * samples // batch) * operand_bytes
        for stage, wait in zip(stages, waiting, strict=True)
    ]


def spills(
    stages: Sequence[Stage], waiting: Sequence[int], sets: Sequence[int], samples_share: float, arch: S4Arch
) -> list[Spill]:
    """For every stage, the shares that do not stay. What goes in first and out last crosses the DRAM in any case.

    `samples_share` turns an op's elements into the bytes a core has of them.
    """
    room, own = room_bytes(arch), []
    for stage, wait, held in zip(stages, waiting, sets, strict=True):
        over, moving = max(0, held - room), (stage.inputs + stage.outputs + wait) * samples_share
        own.append(min(1.0, over / moving) if moving else 0.0)
    out = []
    for number, mine in enumerate(own):
        before = own[number - 1] if number else 1.0
        after = own[number + 1] if number + 1 < len(own) else 1.0
        out.append(Spill(max(before, mine), mine, max(mine, after)))
    return out
