"""Where ops overlap: what an op's loads wait for in the op before it, and which vector work is behind a product.

Each op writes data of one kind. A later op that reads this kind waits, unless the op before reads the very same tensor,
which it therefore does not write. Example: BP and WU of a layer both read the gradient of its output, so the second of
them need not wait for the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dataflows.systolic.target import Target
from dataflows.systolic.weaving import split, woven
from simulator.program import Program
from simulator.runs import Runs
from simulator.schedule import Behind, ScheduledOp
from workloads.op import MatrixOp, Phase, Role, VectorKind, VectorOp

ACTIVATION, GRADIENT, WEIGHT = Role.ACTIVATION.value, Role.GRADIENT.value, Role.WEIGHT.value
WRITTEN = {Phase.FF: ACTIVATION, Phase.BP: GRADIENT, Phase.WU: "weight-gradient", Phase.UP: WEIGHT}
MASTERS = "master"  # with their states and gradients


def following(schedule: Iterable[ScheduledOp], target: Target, runs: Runs) -> tuple[ScheduledOp, ...]:
    """A schedule whose ops may begin before the ones before them are done, with vector work behind products."""
    ops, found, number = list(schedule), list[ScheduledOp](), 0
    while number < len(ops):
        unit, before = _unit(ops[number:], target, runs), found[_since(found) :]
        # A product's loads and those of the vector work behind it are one sequence: every load waits for each of them.
        waits = frozenset[str]().union(*(_waits(one.op, each.op) for one in before for each in unit))
        found += [replace(each, waits=waits) for each in unit]
        number += len(unit)
    return tuple(found)


def _since(found: Sequence[ScheduledOp]) -> int:
    """Where the last product with vector work behind it begins, or the last op where there is none."""
    at = len(found) - 1
    while at > 0 and found[at].is_behind:
        at -= 1
    return max(0, at)


def _unit(ops: Sequence[ScheduledOp], target: Target, runs: Runs) -> list[ScheduledOp]:
    """The first op, and those that go behind it where that is shorter."""
    first = ops[0]
    if not isinstance(first.op, MatrixOp):
        return [first]
    work = list[ScheduledOp]()
    for each in ops[1:]:
        if not isinstance(each.op, VectorOp) or each.op.kind is VectorKind.UPDATE:
            break
        work.append(each)
    while work:
        found = _behind(first, work, target, runs)
        if found is not None:
            return found
        work.pop()
    return [first]


def _behind(first: ScheduledOp, work: Sequence[ScheduledOp], target: Target, runs: Runs) -> list[ScheduledOp] | None:
    """A product with vector work behind it; None where that is not possible, or takes no less time.

    Where the work reads what the product makes, only the first of it can be there, behind a product of one program.
    """
    product = first.programs[-1]
    assert isinstance(product, Program)
    reads = bool(_waits(first.op, work[0].op))
    if reads and (len(work) > 1 or len(first.programs) > 1):
        return None
    parts = [split(target, each.op, reads) for each in work if isinstance(each.op, VectorOp)]
    among = [part.behind for part in parts if part.behind is not None]
    joint = woven(product, among, reads)
    if len(among) < len(parts) or joint is None:
        return None
    after = [part.after for part in parts if part.after is not None]
    apart = [product, *(each for scheduled in work for each in scheduled.programs if isinstance(each, Program))]
    if sum(map(runs.cycles, [joint, *after])) >= sum(map(runs.cycles, apart)):
        return None
    behind = Behind(joint, tuple(after))
    return [replace(first, behind=behind), *(replace(each, is_behind=True) for each in work)]


def _waits(before: object, after: object) -> frozenset[str]:
    """Tensors whose loads by `after` need `before` to be done, by the names that its loads have."""
    assert isinstance(before, MatrixOp | VectorOp) and isinstance(after, MatrixOp | VectorOp)
    written = WRITTEN[before.phase]
    if isinstance(after, MatrixOp):
        known = {before.left.tensor, before.right.tensor} if isinstance(before, MatrixOp) else set[str]()
        read = {each.role.value for each in (after.left, after.right) if each.tensor not in known}
        return frozenset(read & {written})
    if after.kind is VectorKind.UPDATE:
        return frozenset((MASTERS, WEIGHT)) if before.phase is not Phase.UP else frozenset()
    # vector work calls all that it reads activations
    return frozenset((ACTIVATION,)) if written in (ACTIVATION, GRADIENT) else frozenset()
