"""Where the sparse weights of a layer are made: behind its update, or on the way into the array, or not at all."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import product as combinations
from typing import TYPE_CHECKING

from workloads.op import MatrixOp, Phase, VectorOp

if TYPE_CHECKING:
    from dataflows.systolic.planner import Planner


class Way(StrEnum):
    """How the weights of a sparse product come into the array."""

    PACKED = "packed"  # kept weights with their indices, made behind the update
    INLINE = "inline"  # dense from DRAM, and made sparse by SORE in front of the array
    MASKED = "masked"  # dense with zeros, made behind the update, and multiplied as they are


Ways = Mapping[Phase, Way]  # of one layer's phases


def places_of(planner: "Planner", update: VectorOp, uses: Sequence[MatrixOp]) -> Ways:
    """The ways of a layer's phases with masks. `uses`: the products that take the layer's weight.

    Without pre-generation weights are made sparse on the way in; without offline scheduling behind the update.
    """
    phases, schedule = [phase for phase, _ in update.masks], planner.target.arch.schedule
    if not schedule.pregenerate:
        return dict.fromkeys(phases, Way.INLINE)
    if not schedule.offline:
        return dict.fromkeys(phases, Way.PACKED)
    by_phase = {phase: [op for op in uses if op.phase is phase] for phase in phases}
    masked = {phase: bool(ops) and all(map(planner.may_be_masked, ops)) for phase, ops in by_phase.items()}
    ways = [(Way.PACKED, Way.INLINE, *((Way.MASKED,) if masked[phase] else ())) for phase in phases]
    options = [dict(zip(phases, each, strict=True)) for each in combinations(*ways)]
    return _best(planner, update, uses, options, sum(_floor(planner, op, masked.get(op.phase, False)) for op in uses))


def _best(planner: "Planner", update: VectorOp, uses: Sequence[MatrixOp], options: Sequence[Ways], floor: int) -> Ways:
    """The option of the shortest FF, BP and UP together, or one within about the tolerance of it.

    `floor`: cycles that the products are taken not to get below in any option.
    """
    best, best_cycles = options[0], 0
    for option in options:
        program = planner.update(update, uses, option)
        cycles = planner.runs.cycles(program) if program else 0
        if best_cycles and (floor + cycles) * (1 + planner.search.tolerances.search) >= best_cycles:
            continue
        found = [planner.found(op, option.get(op.phase, Way.PACKED)) for op in uses]
        if any(choices is None for choices in found):
            continue
        cycles += sum(choice.cycles for choices in found for choice in choices or ())
        if not best_cycles or cycles < best_cycles:
            best, best_cycles = option, cycles
    return best


def _floor(planner: "Planner", op: MatrixOp, masked: bool) -> int:
    if not masked:
        return planner.inline_floor(op)
    return sum(choice.cycles for choice in planner.choose(op, Way.MASKED))
