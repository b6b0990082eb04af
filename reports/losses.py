"""What the step's cycles were spent on: where the rest of the ideal went, a phase's time by cause, and ceilings.

Every cycle of the step is in exactly one term, so each column sums to the step. Products count with their useful
multiply-accumulates over all PEs; cycles in which some PEs idle at the edges of tiles are a term apart. `speedup` is
that of all terms down to the row: it begins at what the pattern alone gives and ends at the step's own.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.phases import arithmetic_ceiling
from simulator.result import Result

SPARSE, WU, OTHERS = "products made sparse", "weight gradients (WU), dense", "other products, dense"
UPDATE, VECTOR, EDGES = "weight update", "vector work", "idle PEs at edges"
PRUNING = "pruning and packing weights"  # for sparse units that multiply them, where no unit does it on the way
# The columns of ceilings: the speed-up of all terms down to this one.
STEPS = {
    SPARSE: "pattern",
    WU: "with WU",
    OTHERS: "with dense layers",
    UPDATE: "with update",
    VECTOR: "with vector work",
    EDGES: "with edges",
    "fill and drain": "with fill",
}


def ratio(part: float, whole: float) -> float:
    """One over the other; NaN where there is nothing to divide by."""
    return part / whole if whole else math.nan


def stall_words(result: Result) -> dict[str, str]:
    """The stall columns of a result, each with the words for it, in their order."""
    named = {name: name.removeprefix("stall_") for name in result.op_columns if name.startswith("stall_")}
    return {column: result.card.causes.get(name, name) for column, name in named.items()}


def overlap_text(result: Result) -> str:
    """What barriers between ops would take, of a step whose ops overlap; empty for another one."""
    mine, other = (each.card.more.get("barriers_cycles") for each in (result, result.baseline))
    if mine is None or other is None:
        return ""
    return (
        f"Ops overlap: first loads run behind the op before, vector work behind the array. With barriers between ops "
        f"the step takes {mine:,} cycles and the best dense one {other:,}: {other / mine:.2f}x."
    )


@dataclass(frozen=True)
class Loss:
    """A term: its cycles in the dense step and in this one, its share of this one, the speed-up of all terms so far."""

    term: str
    dense_cycles: int
    cycles: int
    share: float
    speedup: float


def losses(result: Result) -> list[Loss]:
    """Every term in which either step spends cycles, in the order in which they are added."""
    groups = _groups(result)
    dense, mine = _spent(result.baseline, groups), _spent(result, groups)
    total, before, so_far, found = sum(mine.values()), 0, 0, list[Loss]()
    for term in dict.fromkeys([*mine, *dense]):
        dense_cycles, cycles = dense.get(term, 0), mine.get(term, 0)
        if not dense_cycles and not cycles:
            continue
        before, so_far = before + dense_cycles, so_far + cycles
        found.append(Loss(term, dense_cycles, cycles, cycles / max(1, total), _over(before, so_far)))
    return found


def _over(before: int, now: int) -> float:
    return before / now if now else math.inf if before else math.nan


def _groups(result: Result) -> list[str]:
    """What each op is for, seen from the sparse run; its rows stand beside the dense run's."""
    columns = result.op_columns
    return list(map(_group, *(columns.get(name, ()) for name in ("phase", "pattern", "kind"))))


def _group(phase: str, pattern: str, kind: str) -> str:
    if kind != "product":
        return {"update": UPDATE, "pruning": PRUNING}.get(kind, VECTOR)
    if pattern != "dense":
        return SPARSE
    return WU if phase == "WU" else OTHERS


def _spent(result: Result, groups: Sequence[str]) -> dict[str, int]:
    """Cycles by term. A product counts as its useful multiply-accumulates over all PEs."""
    columns, pes = result.op_columns, max([1, *result.op_columns.get("pes", ())])
    products = [number for number, kind in enumerate(columns.get("kind", ())) if kind == "product"]
    useful, others = Counter[str](), Counter[str]()
    for group, macs, cycles in zip(groups, columns["macs_useful"], columns["cycles"], strict=True):
        useful[group] += macs
        others[group] += cycles
    terms = {name: round(useful[name] / pes) for name in (SPARSE, WU, OTHERS)}
    idle = sum(columns["busy_cycles"][number] for number in products) - sum(terms.values())
    terms |= {name: others[name] for name in (UPDATE, PRUNING, VECTOR)}
    terms[EDGES] = idle
    for column, words in stall_words(result).items():
        terms[words] = terms.get(words, 0) + sum(columns[column][number] for number in products)
    return terms


def ceiling_row(result: Result) -> Mapping[str, object]:
    """One model: its ceiling, and the speed-up as each kind of cost is added; the last column is the step's own.

    `ceiling` counts multiply-accumulates alone; `with fill` adds fill and drain as a term of its own; what is left
    between it and `speed-up` are stalls.
    """
    so_far = {loss.term: loss.speedup for loss in losses(result)}
    ceiling, speedup = arithmetic_ceiling(result), result.over_baseline
    row: dict[str, object] = {"model": result.card.model, "batch": result.card.batch, "ceiling": ceiling}
    latest = math.nan
    for term, name in STEPS.items():
        latest = so_far.get(term, latest)
        row[name] = latest
    return {**row, "speed-up": speedup, "of ceiling": ratio(speedup, ceiling)}
