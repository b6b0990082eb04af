"""How a batch is cut: passes of a few samples on every lane, and how much of an op one pass holds.

A lane is what works on samples of its own: a core, or a chip whose cores split every layer.
"""

from dataclasses import dataclass

from workloads.op import MatrixOp, Op, Phase, Role, VectorOp


@dataclass(frozen=True)
class Pass:
    """`count` passes of `total` samples, `busiest` of them on the lane that has most."""

    busiest: int
    total: int
    count: int


def passes(batch: int, lanes: int, samples: int) -> list[Pass]:
    """A batch dealt to lanes as evenly as whole samples allow, `samples` of a lane at a time."""
    each, more = divmod(batch, lanes)
    found: list[Pass] = []
    whole = each // samples
    if whole:
        found.append(Pass(samples, samples * lanes, whole))
    least, most = each - whole * samples, each + bool(more) - whole * samples
    while most > 0:
        mine = min(samples, most)
        others = min(samples, least)
        found.append(Pass(mine, mine * more + others * (lanes - more) if more else mine * lanes, 1))
        least, most = least - others, most - mine
    return found


def by_samples(op: Op, batch: int) -> bool:
    """Whether an op is so much a sample."""
    if isinstance(op, VectorOp):
        return (
            op.elements % batch == 0 and op.reads % batch == 0 and op.writes % batch == 0 and op.phase is not Phase.UP
        )
    if op.phase is Phase.WU and op.right.role is not Role.ACTIVATION:
        return op.inner % batch == 0
    return (op.rows if along_rows(op) else op.count) % batch == 0


def along_rows(op: MatrixOp) -> bool:
    """Whether samples lie along the rows; otherwise every sample has products of its own."""
    return op.right.role is Role.WEIGHT or op.phase is Phase.WU


def share(amount: int, part: int, batch: int) -> int:
    """What `part` of a batch's samples have of an amount, rounded up."""
    return -(-amount * part // batch)
