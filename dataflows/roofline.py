"""The compiler for GPUs as rooflines: an op takes its launch, then as long as its tiles or bytes, whichever is more.

What follows a product element by element is done on its results; only second operands are read. Normalisation, softmax
and pooling are ops of their own, bound by their bytes, but a normalisation behind a convolution is folded into it in
inference, and scores stay on chip where attention is fused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from simulator.compiler import Compiler, StepOptions
from simulator.machines.gpu import RooflineArch
from simulator.program import Action, Buffer, Command, Program, Stall
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.pattern import Pattern
from workloads.workload import Mode, Workload

TILE_COLS = (64, 128, 256)
FUSED = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)


class RooflineCompiler(Compiler[RooflineArch, StepOptions]):
    """Turns every op into its launch, its tiles and its bytes."""

    Options = StepOptions
    engines: ClassVar[Mapping[str, str]] = {"tensor": "compute", "dram": "DRAM"}

    def compile(self, workload: Workload, spec: RooflineArch, options: StepOptions, runs: Runs) -> Schedule:
        writer = _Writer(spec, workload, runs)
        return tuple(writer.scheduled(number) for number in range(len(workload.ops)))


ROOFLINE = RooflineCompiler()


@dataclass(frozen=True)
class _Work:
    """What an op takes: ticks of the tensor units, bytes of weights and of activations, both ways, and its actions."""

    ticks: int
    weight_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    useful: int = 0


class _Writer:
    def __init__(self, arch: RooflineArch, workload: Workload, runs: Runs) -> None:
        self.arch, self.ops, self.mode = arch, workload.ops, workload.mode
        self.size = arch.operand_bytes(workload.mode)
        self.channel = arch.dram_channel()
        self.peak = arch.macs_per_cycle(arch.precision_of(workload.mode))
        self._programs: dict[_Work, Program] = runs.memory(("roofline", arch))

    def scheduled(self, number: int) -> ScheduledOp:
        op = self.ops[number]
        if isinstance(op, MatrixOp):
            pattern = self.arch.usable_pattern(op)
            work = self._product(op, pattern, self.ops[number + 1 :])
            program, skipped = self._program(work), op.macs - work.useful
            return ScheduledOp(op, (program,), "roofline", "", work.useful, skipped, self.peak)
        if self._is_fused(number):
            beside = max(0, op.reads - op.elements) * op.count * self.size
            programs = (self._program(_Work(0, read_bytes=beside)),) if beside else ()
            return ScheduledOp(op, programs, "fused", "")
        return ScheduledOp(op, (self._program(self._vector(op)),), "roofline", "")

    def _product(self, op: MatrixOp, pattern: Pattern, after: Sequence[Op]) -> _Work:
        tensor = self.arch.tensor
        inner = op.inner if pattern.is_dense else -(-op.inner // 2)
        each = self.peak / tensor.processors * tensor.efficiency
        real = op.macs / (op.rows * op.inner * op.cols * op.count)  # zeros that a stride inserts are skipped
        ticks = min(
            math.ceil(self._waves(op, wide) * tensor.tile_rows * wide * inner * real / each) for wide in TILE_COLS
        )
        kept = inner if not pattern.is_dense else op.inner
        index_bits = 0 if pattern.is_dense else 2
        own = op.count * op.cols * kept * (8 * self.size + index_bits) // 8 if op.right.role is Role.WEIGHT else 0
        right = 0 if own else op.inner * op.cols * op.count * self.size
        made = op.rows * op.cols * op.count
        left = op.left_distinct * self.size
        scores = self.arch.overhead.fuse_attention and op.right.role is Role.ACTIVATION and self.mode is Mode.INFERENCE
        if scores and _next_product_of_activations(after):
            written = 0
        else:
            written = made * (self.size if op.phase is not Phase.WU else self.arch.master_bytes)
            left = 0 if scores else left
        return _Work(ticks, own, left + right, written, _useful(op, pattern))

    def _waves(self, op: MatrixOp, wide: int) -> int:
        """Waves of tiles; the last, unfinished one counts whole."""
        tensor = self.arch.tensor
        tiles = op.count * -(-op.rows // tensor.tile_rows) * -(-op.cols // wide)
        return -(-tiles // tensor.processors)

    def _is_fused(self, number: int) -> bool:
        """Whether vector work is done on the results of the product before it, on their way out."""
        op = self.ops[number]
        assert isinstance(op, VectorOp)
        before = self.ops[number - 1] if number else None
        if isinstance(before, MatrixOp):
            folded = op.kind is VectorKind.NORMALISATION and before.geometry is not None
            fused = op.kind in FUSED or (folded and self.mode is Mode.INFERENCE)
            softmax = op.kind is VectorKind.SOFTMAX and self.arch.overhead.fuse_attention
            return fused or (softmax and self.mode is Mode.INFERENCE and before.right.role is Role.ACTIVATION)
        if isinstance(before, VectorOp) and op.kind in FUSED:
            return op.phase is before.phase and self._is_fused(number - 1)
        softmax = op.kind is VectorKind.SOFTMAX and self.arch.overhead.fuse_attention
        return bool(softmax and self.mode is Mode.INFERENCE and before is not None and self._is_fused(number - 1))

    def _vector(self, op: VectorOp) -> _Work:
        size = self.arch.master_bytes if op.kind is VectorKind.UPDATE else self.size
        return _Work(0, 0, op.reads * op.count * size, op.writes * op.count * size)

    def _program(self, work: _Work) -> Program:
        if work not in self._programs:
            self._programs[work] = self._written(work)
        return self._programs[work]

    def _written(self, work: _Work) -> Program:
        launch = self.arch.launch_ticks()
        moved = work.read_bytes + work.written_bytes
        cached = moved <= self.arch.memory.cache_mib * 2**20 / 2
        reads, writes = (0, 0) if cached else (work.read_bytes, work.written_bytes)
        actions = tuple(
            Action(kind, tensor, amount)
            for kind, tensor, amount in (
                ("dram.read", "weight", work.weight_bytes),
                ("dram.read", "activation", reads),
                ("dram.write", "activation", writes),
            )
            if amount
        )
        begin = Command(
            "tensor", launch, Stall.LAUNCH, fills=("begun", "kernel"), inner_stalls=((Stall.LAUNCH, launch),)
        )
        move = Command(
            "dram",
            self.channel.ticks(work.weight_bytes + reads + writes),
            Stall.MEMORY,
            takes=("begun",),
            frees=("begun",),
            actions=actions,
        )
        counted = (Action("mac", "weight", work.useful),) if work.useful else ()
        done = Command("tensor", work.ticks, Stall.ARRAY, takes=("kernel",), frees=("kernel",), actions=counted)
        return Program("tensor", (Buffer("begun", 1), Buffer("kernel", 1)), (begin, move, done))


def _useful(op: MatrixOp, pattern: Pattern) -> int:
    return op.macs * pattern.kept(op.inner // op.segments) * op.segments // op.inner


def _next_product_of_activations(after: Sequence[Op]) -> bool:
    following = next((op for op in after if isinstance(op, MatrixOp)), None)
    return following is not None and following.right.role is Role.ACTIVATION
