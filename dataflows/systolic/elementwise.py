"""Programs for work on elements one by one: the weight update with its masks, and vector work."""

from dataclasses import dataclass
from itertools import pairwise

from dataflows.systolic.target import SORE, Target, cut, repeat
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores
from workloads.op import Optimizer, VectorKind, VectorOp

FUSED = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)


@dataclass(frozen=True)
class Packing:
    """A sparse copy of a weight made behind its update: bytes it takes, m of its groups, and its mask's direction."""

    total_bytes: int
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
    load = target.load("activation", reads * size, "vector", "in")
    return load, work, target.store("activation", writes * size, writes * size, ("out",), "vector")


def update_program(target: Target, op: VectorOp, packings: tuple[Packing, ...], dense_copy: bool) -> Program | None:
    """The weight update: masters, states and gradients in; masters, states and the copies the products use out.

    `packings` are made by SORE behind WUVE; `dense_copy` writes the weight in operand precision, for products that
    use it dense or make it sparse themselves. None without WUVE.
    """
    spec = target.arch.wuve
    if spec is None or op.optimizer is None:
        return None
    lane_cycles = {
        Optimizer.SGD: spec.sgd_cycles,
        Optimizer.MOMENTUM: spec.momentum_cycles,
        Optimizer.ADAM: spec.adam_cycles,
        Optimizer.ADAMW: spec.adamw_cycles,
    }[op.optimizer]
    slot = int(target.arch.memory.wuve_kib * 1024) // 8  # two slots in each of four buffers
    a_weight = target.arch.format.master_bytes * (2 + op.optimizer.states)
    chunk = max(1, slot // a_weight)
    body: list[Node] = []
    for run in cut(op.elements, chunk):
        ticks = -(-run.size // spec.lanes) * lane_cycles
        body.extend(repeat(run.count, _update_chunk(target, op, packings, dense_copy, run.size, ticks)))
    buffers = tuple(Buffer(name, 2, "wuve", slot) for name in ("in", "updated", "again", "out"))
    return Program("wuve", buffers, delay_stores(repeat(op.count, body), "out"))


def _update_chunk(
    target: Target, op: VectorOp, packings: tuple[Packing, ...], dense_copy: bool, elements: int, ticks: int
) -> tuple[Node, ...]:
    assert op.optimizer is not None
    size = target.arch.format.master_bytes
    kept = (1 + op.optimizer.states) * size
    masters = elements * (kept + size)  # masters, states and gradient
    copies = sum(-(-packing.total_bytes * elements // op.elements) for packing in packings)
    copies += elements * target.operand_bytes if dense_copy else 0
    sorting = _sorting(target, packings, elements)
    update = Command(
        "wuve",
        ticks,
        Stall.WUVE,
        takes=("in",),
        frees=("in",),
        fills=("updated" if sorting else "out",),
        actions=(
            Action(f"wuve.{op.optimizer.value}", "master", elements),
            Action("wuve.read", "master", masters),
            Action("wuve.write", "master", elements * kept + copies),
        ),
    )
    again: tuple[Command, ...] = ()
    if sorting and _second_pass(target, packings):
        again = (target.load("weight", elements * target.operand_bytes, "wuve", "again", Stall.SORE),)
    load = target.load("master", masters, "wuve", "in")
    store = target.store("master", elements * kept + copies, elements * kept + copies, ("out",), "wuve")
    return (load, *again, update, *sorting, store)


def _sorting(target: Target, packings: tuple[Packing, ...], elements: int) -> tuple[Command, ...]:
    spec = target.arch.sore
    if not packings or spec is None:
        return ()
    ticks = sum(-(-elements // (each.m * spec.lanes)) * each.m * spec.cycles_per_element for each in packings)
    actions = (Action("sore.element", "weight", elements * len(packings)),)
    taken = ("updated", "again") if _second_pass(target, packings) else ("updated",)
    return (Command(SORE, ticks, Stall.SORE, takes=taken, frees=taken, fills=("out",), actions=actions),)


def _second_pass(target: Target, packings: tuple[Packing, ...]) -> bool:
    """Without a tile buffer, groups along output channels are read from DRAM in their own order."""
    spec = target.arch.sore
    return spec is not None and not spec.tile_buffer and any(packing.across_outputs for packing in packings)
