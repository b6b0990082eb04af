"""Programs for work on elements one by one: the weight update with its masks, and vector work."""

from dataclasses import dataclass

from dataflows.blocks import cut, repeat
from dataflows.target import SORE, Target
from simulator.program import Action, Buffer, Command, Node, Program, Stall, delay_stores
from workloads.op import Optimizer, VectorKind, VectorOp

CHUNK = 16384  # elements on chip at once; only start and end of an op depend on it
FUSED = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)


@dataclass(frozen=True)
class Packing:
    """A sparse copy of a weight made behind its update: bytes it takes, m of its groups, and its mask's direction."""

    total_bytes: int
    m: int
    across_outputs: bool


def vector_program(target: Target, op: VectorOp) -> Program | None:
    """Vector work on its lanes; empty where it is fused into the way out of the array; None without lanes."""
    spec = target.arch.vector
    if spec is None:
        return None
    if spec.fuse_elementwise and op.kind in FUSED:
        return Program("vector", (), ())
    size = target.operand_bytes
    moved = op.reads + op.writes
    body: list[Node] = []
    for run in cut(moved, CHUNK):
        reads = run.size * op.reads // moved
        work = Command(
            "vector",
            -(-run.size // spec.lanes),
            Stall.ARRAY,
            takes=("in",),
            frees=("in",),
            fills=("out",),
            actions=(Action("vector.element", "activation", run.size),),
        )
        load = target.load("activation", reads * size, "vector", "in")
        store = target.store("activation", (run.size - reads) * size, (run.size - reads) * size, ("out",))
        body.extend(repeat(run.count, (load, work, store)))
    return Program("vector", (Buffer("in", 2), Buffer("out", 2)), delay_stores(repeat(op.count, body), "out"))


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
    body: list[Node] = []
    for run in cut(op.elements, CHUNK):
        ticks = -(-run.size // spec.lanes) * lane_cycles
        body.extend(repeat(run.count, _update_chunk(target, op, packings, dense_copy, run.size, ticks)))
    buffers = (Buffer("in", 2), Buffer("updated", 2), Buffer("again", 2), Buffer("out", 2))
    return Program("wuve", buffers, delay_stores(repeat(op.count, body), "out"))


def _update_chunk(
    target: Target, op: VectorOp, packings: tuple[Packing, ...], dense_copy: bool, elements: int, ticks: int
) -> tuple[Node, ...]:
    assert op.optimizer is not None
    size = target.arch.format.master_bytes
    kept = (1 + op.optimizer.states) * size
    masters = elements * (kept + size)  # masters, states and gradient
    sorting = _sorting(target, packings, elements)
    update = Command(
        "wuve",
        ticks,
        Stall.WUVE,
        takes=("in",),
        frees=("in",),
        fills=("updated" if sorting else "out",),
        actions=(Action("wuve.element", op.optimizer.value, elements),),
    )
    again: tuple[Command, ...] = ()
    if sorting and _second_pass(target, packings):
        again = (target.load("weight", elements * target.operand_bytes, "wuve", "again", Stall.SORE),)
    load = target.load("master", masters, "wuve", "in")
    copies = sum(-(-packing.total_bytes * elements // op.elements) for packing in packings)
    copies += elements * target.operand_bytes if dense_copy else 0
    store = target.store("master", elements * kept + copies, elements * kept + copies, ("out",))
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
