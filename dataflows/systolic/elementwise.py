"""Programs for work on elements one by one: the weight update with its masks, and vector work."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm

from dataflows.systolic.target import SORE, Target, cut, repeat
from rtl.timing import sorted_latency
from simulator.machines.systolic import WuveSpec
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores
from workloads.errors import UserError
from workloads.op import Optimizer, VectorKind, VectorOp

FUSED = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)


@dataclass(frozen=True)
class Packing:
    """A sparse copy of a weight made behind its update: its bytes, n and m of its groups, and its mask's direction."""

    total_bytes: int
    n: int
    m: int
    across_outputs: bool


def vector_program(target: Target, op: VectorOp) -> Program | None:
    """Vector work on its lanes; None for a machine without them.

    Fused work costs what its second operands cost: its first is at hand and its result is stored by whoever made that.
    """
    spec = target.arch.vector
    if spec is None:
        return None
    reads, writes = op.reads, op.writes
    if spec.fuse_elementwise and op.kind in FUSED:
        reads, writes = max(0, op.reads - op.elements), 0
    size = target.operand_bytes
    slot = int(target.arch.memory.vector_kib * 1024) // 4  # two slots in, two out
    rounds = max(1, -(-max(reads, writes) * size // slot))
    body: list[Node] = []
    for count, in_round, out_round in _rounds(rounds, reads, writes):
        body.extend(repeat(count, _vector_chunk(target, in_round, out_round, spec.lanes)))
    buffers = (Buffer("in", 2, "vector", slot), Buffer("out", 2, "vector", slot))
    return Program("vector", buffers, delay_stores(repeat(op.count, body), "out"))


def _rounds(rounds: int, reads: int, writes: int) -> list[tuple[int, int, int]]:
    """Reads and writes spread over rounds as evenly as whole elements allow: how many rounds, and what each moves."""
    more_reads, more_writes = reads % rounds, writes % rounds
    borders = sorted({0, more_reads, more_writes, rounds})
    return [
        (end - start, reads // rounds + (start < more_reads), writes // rounds + (start < more_writes))
        for start, end in pairwise(borders)
    ]


def _vector_chunk(target: Target, reads: int, writes: int, lanes: int) -> tuple[Node, ...]:
    if reads + writes == 0:
        return ()
    size = target.operand_bytes
    actions = (
        Action("vector.element", "activation", reads + writes),
        Action("vector.read", "activation", reads * size),
        Action("vector.write", "activation", writes * size),
    )
    ticks = -(-(reads + writes) // lanes)
    work = Command("vector", ticks, Stall.ARRAY, takes=("in",), frees=("in",), fills=("out",), actions=actions)
    load = target.load("activation", "vector", "in", reads * size)
    return load, work, target.store("activation", ("out",), writes * size, writes * size, memory="vector")


def update_program(target: Target, op: VectorOp, packings: tuple[Packing, ...], dense_copy: bool) -> Program | None:
    """The weight update: masters, states and gradients in; masters, states and the copies the products use out.

    `packings` are made by SORE behind WUVE; `dense_copy` writes the weight in operand precision, for products that
    use it dense or make it sparse themselves. None without WUVE. Weights come in chunks of whole groups; where groups
    of both directions are made of one pass, of whole blocks of m x m weights. Without SORE's tile buffer, or where no
    such block fits the memory, groups along output channels are read from DRAM in their own order.

    Raises UserError where not even a group fits the memory.
    """
    spec = target.arch.wuve
    if spec is None or op.optimizer is None:
        return None
    slot = int(target.arch.memory.wuve_kib * 1024) // 8  # two slots in each of four buffers
    fitting = slot // (target.arch.format.master_bytes * (2 + op.optimizer.states))
    groups, block = _units(packings)
    again = not _has_tile_buffer(target) and any(packing.across_outputs for packing in packings)
    again = again or groups <= fitting < min(block, op.elements)
    unit = groups if again else block
    if fitting < min(groups, op.elements):
        need = 8 * groups * target.arch.format.master_bytes * (2 + op.optimizer.states) / 1024
        raise UserError(f"memory.wuve_kib: {target.arch.memory.wuve_kib:g} KiB hold no group of weights with their "
                        f"states twice; {op.optimizer.value} with groups of {groups} needs {need:g} KiB")  # fmt: skip
    body: list[Node] = []
    for run in cut(op.elements, max(unit, fitting // unit * unit)):
        body.extend(repeat(run.count, _update_chunk(target, spec, op, packings, dense_copy, again, run.size)))
    buffers = tuple(Buffer(name, 2, "wuve", slot) for name in ("in", "updated", "again", "out"))
    return Program("wuve", buffers, delay_stores(repeat(op.count, body), "out"))


def _units(packings: Sequence[Packing]) -> tuple[int, int]:
    """Weights that make whole groups of each direction apart, and of both at once."""
    along = lcm(*(each.m for each in packings if not each.across_outputs))
    across = lcm(*(each.m for each in packings if each.across_outputs))
    return lcm(along, across), along * across


def _has_tile_buffer(target: Target) -> bool:
    spec = target.arch.sore
    return spec is not None and spec.tile_buffer


def lane_of(spec: WuveSpec, optimizer: Optimizer) -> tuple[int, int]:
    """Cycles between two weights in a lane, and from a weight in to the same out."""
    return {
        Optimizer.SGD: (spec.sgd_cycles, spec.sgd_latency_cycles),
        Optimizer.MOMENTUM: (spec.momentum_cycles, spec.momentum_latency_cycles),
        Optimizer.ADAM: (spec.adam_cycles, spec.adam_latency_cycles),
        Optimizer.ADAMW: (spec.adamw_cycles, spec.adamw_latency_cycles),
    }[optimizer]


def _update_chunk(
    target: Target,
    spec: WuveSpec,
    op: VectorOp,
    packings: tuple[Packing, ...],
    dense_copy: bool,
    again: bool,
    elements: int,
) -> tuple[Node, ...]:
    assert op.optimizer is not None
    masters = (elements * target.arch.format.master_bytes,) * (1 + op.optimizer.states)  # and states, each by itself
    read = (*masters, masters[0])  # the gradient
    copies = [-(-packing.total_bytes * elements // op.elements) for packing in packings]
    written = (*masters, *copies, *((elements * target.operand_bytes,) if dense_copy else ()))
    sorting = _sorting(target, packings, elements, again)
    a_weight, latency = lane_of(spec, op.optimizer)
    update = Command(
        "wuve",
        -(-elements // spec.lanes) * a_weight,
        Stall.WUVE,
        takes=("in",),
        frees=("in",),
        fills=("updated" if sorting else "out",),
        latency=latency,
        actions=(
            Action(f"wuve.{op.optimizer.value}", "master", elements),
            Action("wuve.read", "master", sum(read)),
            Action("wuve.write", "master", sum(written)),
        ),
    )
    size = elements * target.operand_bytes
    second = (target.load("weight", "wuve", "again", size, cause=Stall.SORE),) if again else ()
    load = target.load("master", "wuve", "in", *read)
    store = target.store("master", ("out",), sum(written), *written, memory="wuve")
    return (load, *second, update, *sorting, store)


def _sorting(target: Target, packings: tuple[Packing, ...], elements: int, again: bool) -> tuple[Command, ...]:
    spec = target.arch.sore
    if not packings or spec is None:
        return ()
    ticks = sum(-(-elements // (each.m * spec.lanes)) * each.m * spec.cycles_per_element for each in packings)
    actions = (Action("sore.element", "weight", elements * len(packings)),)
    taken = ("updated", "again") if again else ("updated",)
    latency = max(sorted_latency(each.n) for each in packings)
    return (
        Command(SORE, ticks, Stall.SORE, takes=taken, frees=taken, fills=("out",), latency=latency, actions=actions),
    )
