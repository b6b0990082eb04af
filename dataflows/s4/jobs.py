"""How a batch is cut into passes, and a pass of a stage in numbers alone, so that stages alike are planned once.

A lane is what works on samples of its own: a core, or a chip whose cores split every layer.
"""

from dataclasses import dataclass

from dataflows.s4.stages import Cost, Spill, Stage
from dataflows.systolic.target import packed_bytes
from simulator.machines.s4 import S4Arch
from workloads.op import MatrixOp, Op, Phase, Role, VectorOp
from workloads.workload import Mode, Workload


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
    if _of_weight(op):
        return op.inner % batch == 0
    return (op.rows if along_rows(op) else op.count) % batch == 0


def _of_weight(op: MatrixOp) -> bool:
    """Whether an op is a weight's gradient; either side may hold the output gradient."""
    return op.phase is Phase.WU and Role.GRADIENT in (op.left.role, op.right.role)


def along_rows(op: MatrixOp) -> bool:
    """Whether samples lie along the rows; otherwise every sample has products of its own."""
    return op.right.role is Role.WEIGHT or op.phase is Phase.WU


def share(amount: int, part: int, batch: int) -> int:
    """What `part` of a batch's samples have of an amount, rounded up."""
    return -(-amount * part // batch)


@dataclass(frozen=True)
class Layout:
    """How a step lies on a card: lanes of `cores_a_lane` cores, `samples` of a lane at a time."""

    mapping: str
    cores_a_lane: int
    samples: int

    def lanes(self, arch: S4Arch) -> int:
        return arch.chips * arch.cores // self.cores_a_lane

    def lanes_a_chip(self, arch: S4Arch) -> int:
        return arch.cores // self.cores_a_lane


@dataclass(frozen=True)
class Job:
    """A pass of a stage. Amounts are a chip's, with all its lanes as full as the fullest, unless they say otherwise.

    `items` are the rows of one core, or its products where `rows` is not 0 (the rows of each); `cols` and `groups` are
    one core's too. `slots` are kept elements of a column's reduction of length `inner`. `weight_bytes` are those of a
    lane. `in_bytes`, `beside_bytes` and `out_bytes` cross the DRAM, `exchange_bytes` the network. `totals` are actions
    of the whole card.
    """

    items: int
    rows: int
    cols: int
    groups: int
    slots: int
    inner: int
    operand_bytes: int
    weight_bytes: int
    in_bytes: int
    beside_bytes: int
    out_bytes: int
    exchange_bytes: int
    operations: int
    special: int
    totals: tuple[tuple[str, str, int], ...]

    @property
    def is_product(self) -> bool:
        return self.slots > 0


class JobWriter:
    """Jobs of the stages of one step under one layout."""

    def __init__(self, arch: S4Arch, workload: Workload, layout: Layout) -> None:
        self.arch = arch
        self.batch = workload.batch
        self.layout = layout
        self.precision = arch.format.training if workload.mode is Mode.TRAINING else arch.format.inference
        self.size = 1 if self.precision == "int8" else 2
        self.lanes = layout.lanes(arch)

    def job(self, stage: Stage, cost: Cost, spill: Spill, portion: Pass) -> Job:
        """One pass. A portion of the whole batch (`total` = batch) may also stand for an op that has no samples."""
        op = stage.op
        ways = self.layout.lanes_a_chip(self.arch)
        chip = ways * portion.busiest  # samples of the busiest chip, all its lanes full
        shares = {"in": (stage.inputs, spill.inputs), "beside": (cost.beside, spill.beside)}
        shares["out"] = (stage.outputs, spill.outputs)
        moved = {name: self._bytes(amount, part, chip) for name, (amount, part) in shares.items()}
        outs = share(stage.outputs, chip, self.batch) * self.size
        split = self.layout.cores_a_lane > 1 and isinstance(op, MatrixOp) and stage.exchanged
        exchanged = (outs + moved["in"] * along_rows(op)) * self._copies if split and isinstance(op, MatrixOp) else 0
        gathered = self._gathered(op)
        return Job(
            **self._sizes(op, portion),
            operand_bytes=self.size,
            weight_bytes=self._weight_bytes(op),
            in_bytes=moved["in"],
            beside_bytes=moved["beside"],
            out_bytes=moved["out"] if gathered is None else gathered,
            exchange_bytes=exchanged if gathered is None else self._copies * gathered,
            operations=share(cost.operations, chip, self.batch),
            special=share(cost.special, chip, self.batch),
            totals=self._totals(stage, cost, spill, portion.total),
        )

    @property
    def _copies(self) -> int:
        """Times a byte for all other cores of a chip crosses its network."""
        return 1 if self.arch.noc.multicast else self.arch.cores - 1

    def _bytes(self, amount: int, part: float, samples: int) -> int:
        return round(share(amount, samples, self.batch) * self.size * part)

    def _sizes(self, op: object, portion: Pass) -> dict[str, int]:
        if not isinstance(op, MatrixOp):
            return {"items": 0, "rows": 0, "cols": 0, "groups": 0, "slots": 0, "inner": 0}
        cores, wide = self.layout.cores_a_lane, self.arch.units.cols
        slots, inner = _slots(op), op.inner
        if not along_rows(op):
            items = -(-share(op.count, portion.busiest, self.batch) // cores)
            return {"items": items, "rows": op.rows, "cols": op.cols, "groups": 1, "slots": slots, "inner": inner}
        cols = min(op.cols, -(-op.cols // cores // wide) * wide) if cores > 1 else op.cols
        rows = op.rows
        if op.phase is Phase.WU:
            slots = inner = share(op.inner, portion.busiest, self.batch)
        else:
            rows = share(op.rows, portion.busiest, self.batch)
        return {"items": rows, "rows": 0, "cols": cols, "groups": op.count, "slots": slots, "inner": inner}

    def _weight_bytes(self, op: object) -> int:
        if not isinstance(op, MatrixOp) or op.right.role is not Role.WEIGHT:
            return 0
        bits = 0 if op.right.pattern.is_dense else self.arch.format.index_bits
        return op.count * op.cols * packed_bytes(kept_of(op), self.size, bits)

    def _gathered(self, op: object) -> int | None:
        """Bytes of a weight gradient, which every lane has a part of; None for anything else."""
        if not isinstance(op, MatrixOp) or not _of_weight(op):
            return None
        return op.rows * op.cols * op.count * self.arch.format.master_bytes

    def _totals(self, stage: Stage, cost: Cost, spill: Spill, samples: int) -> tuple[tuple[str, str, int], ...]:
        """Actions of a pass on the whole card; weights are counted where it is known how they come."""
        op = stage.op
        parts = [
            ("vector.op", "activation", share(cost.operations, samples, self.batch)),
            ("special.element", "activation", share(cost.special, samples, self.batch)),
            ("dram.read", "activation", self._bytes(stage.inputs, spill.inputs, samples)),
            ("dram.read", "residual", self._bytes(cost.beside, spill.beside, samples)),
            ("l2.read", "activation", share(stage.inputs + cost.beside, samples, self.batch) * self.size),
        ]
        outs = share(stage.outputs, samples, self.batch) * self.size
        gathered = self._gathered(op)
        if gathered is None:
            parts.append(("dram.write", "activation", self._bytes(stage.outputs, spill.outputs, samples)))
            parts.append(("l2.write", "activation", outs))
        else:
            parts.append(("dram.write", "gradient", gathered))
        if isinstance(op, MatrixOp):
            parts.append(("mac", op.right.role.value, useful_macs(op, self.batch) * samples // self.batch))
            split = self.layout.cores_a_lane > 1 and stage.exchanged and gathered is None
            came = self._bytes(stage.inputs, spill.inputs, samples) * along_rows(op)
            parts.append(("noc.write", "activation", (outs + came) * self._copies if split else 0))
            parts.append(("noc.write", "gradient", gathered * self._copies if gathered else 0))
        return tuple(part for part in parts if part[2])


def kept_of(op: MatrixOp) -> int:
    """Kept elements of a column's reduction."""
    pattern = op.right.pattern
    if pattern.is_dense:
        return op.inner
    return op.segments * pattern.kept(op.inner // op.segments)


def useful_macs(op: MatrixOp, batch: int) -> int:
    """Multiply-accumulates on kept weights, so many a sample where samples share an op evenly."""
    kept, inner = kept_of(op), op.inner
    return batch * (op.macs // batch * kept // inner) if op.macs % batch == 0 else op.macs * kept // inner


def _slots(op: MatrixOp) -> int:
    """Kept elements of a column's reduction; of a strided convolution's input gradient the mean over positions, for
    zeros that a stride would insert are skipped."""
    return -(-kept_of(op) * op.macs // (op.rows * op.inner * op.cols * op.count))
