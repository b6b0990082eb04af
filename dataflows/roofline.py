"""The compiler for GPUs as rooflines: an op takes its launch, then as long as its tiles or bytes, whichever is more.

What follows a product element by element is done on its results where the machine says so; only second operands are
read. Normalisation, softmax and pooling are ops of their own, bound by their bytes, but a normalisation behind a
convolution is folded into it in inference, and scores stay on chip where attention is fused.

In training, weights are new every step. Before the first product of a layer's weights stands what prunes them and packs
them for sparse units, as torch's `_sparse_semi_structured_tile` does: one kernel, which reads the weights once and
writes what is kept, with two bits an element, for every phase that multiplies them sparse. It takes nothing while they
are dense.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

from simulator.compiler import Compiler, StepOptions
from simulator.machines.gpu import RooflineArch
from simulator.program import Action, Buffer, Command, Program, Stall
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.pattern import Pattern
from workloads.workload import Mode, Workload

NARROWER = (1, 2, 4)  # tiles have all, half or a quarter of the columns
FUSED = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)


class RooflineCompiler(Compiler[RooflineArch, StepOptions]):
    """Turns every op into its launch, its tiles and its bytes."""

    Options = StepOptions
    engines: ClassVar[Mapping[str, str]] = {"tensor": "compute", "dram": "DRAM"}

    def compile(self, workload: Workload, spec: RooflineArch, options: StepOptions, runs: Runs) -> Schedule:
        writer = _Writer(spec, workload, runs)
        return tuple(chain.from_iterable(writer.scheduled(number) for number in range(len(workload.ops))))


ROOFLINE = RooflineCompiler()


@dataclass(frozen=True)
class _Work:
    """What an op takes: ticks of the tensor units, bytes of weights and of activations, both ways, and its actions.

    Those of weights always come from the DRAM and go there; those of activations may stay in the cache.
    """

    ticks: int
    weight_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    useful: int = 0
    packed_bytes: int = 0


class _Writer:
    def __init__(self, arch: RooflineArch, workload: Workload, runs: Runs) -> None:
        self.arch, self.ops, self.mode = arch, workload.ops, workload.mode
        self.size = arch.operand_bytes(workload.mode)
        self.channel = arch.dram_channel()
        self.peak = arch.macs_per_cycle(arch.precision_of(workload.mode))
        self._programs: dict[_Work, Program] = runs.memory(("roofline", arch))
        self._users: dict[str, list[tuple[int, MatrixOp]]] = {}
        if self.mode is Mode.TRAINING and arch.tensor.two_of_four_efficiency is not None:
            for number, op in enumerate(self.ops):
                if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT:
                    self._users.setdefault(op.right.tensor, []).append((number, op))

    def scheduled(self, number: int) -> Iterator[ScheduledOp]:
        """What an op of the workload takes, behind the pruning of its weights where it is the first that uses them."""
        op = self.ops[number]
        if isinstance(op, MatrixOp):
            users = self._users.get(op.right.tensor, [])
            if users and users[0][0] == number:
                yield self._pruning(op, [each for _, each in users if not each.right.pattern.is_dense])
            pattern = self.arch.usable_pattern(op)
            ticks, tiles = self._tiles(op, pattern)
            work = self._product(op, pattern, ticks, self.ops[number + 1 :])
            program, skipped = self._program(work), op.macs - work.useful
            yield ScheduledOp(op, (program,), "roofline", tiles, work.useful, skipped, self.peak)
        elif self._is_fused(number):
            beside = max(0, op.reads - op.elements) * op.count * self.size
            programs = (self._program(_Work(0, read_bytes=beside)),) if beside else ()
            yield ScheduledOp(op, programs, "fused", "")
        else:
            yield ScheduledOp(op, (self._program(self._vector(op)),), "roofline", "")

    def _pruning(self, op: MatrixOp, sparse: Sequence[MatrixOp]) -> ScheduledOp:
        """The kernel that prunes the weights of a product and packs them for those that use them sparse, if any do."""
        size = op.inner * op.cols * op.count
        packed = sum(self._weight_bytes(each, each.right.pattern) for each in sparse)
        kernel = VectorOp(op.layer, op.phase, VectorKind.PRUNING, size, size, -(-packed // self.size))
        work = _Work(0, weight_bytes=size * self.size, packed_bytes=packed)
        phases = " and ".join(dict.fromkeys(each.phase for each in sparse))
        programs, said = ((self._program(work),), f"packed for {phases}") if sparse else ((), "")
        return ScheduledOp(kernel, programs, "roofline", said)

    def _tiles(self, op: MatrixOp, pattern: Pattern) -> tuple[int, str]:
        """Ticks of the tensor units and the tiles that take least, the widest of those alike, in words."""
        tensor = self.arch.tensor
        wide = min((-(-tensor.tile_cols // part) for part in NARROWER), key=lambda wide: self._waves(op, wide) * wide)
        waves, tall = self._waves(op, wide), tensor.tile_rows
        share = tensor.efficiency if pattern.is_dense else tensor.two_of_four_efficiency
        assert share is not None  # `usable_pattern` refuses
        inner = op.inner if pattern.is_dense else -(-op.inner // 2)
        real = op.macs / (op.rows * op.inner * op.cols * op.count)  # zeros that a stride inserts are skipped
        ticks = math.ceil(waves * tall * wide * inner * real / (self.peak / tensor.processors * share))
        return ticks, f"{waves:,} waves of {tensor.processors} tiles of {tall} x {wide}"

    def _weight_bytes(self, op: MatrixOp, pattern: Pattern) -> int:
        """Bytes of a product's weights; for sparse units half of them, with two bits each."""
        kept, bits = (op.inner, 0) if pattern.is_dense else (-(-op.inner // 2), 2)
        return op.count * op.cols * kept * (8 * self.size + bits) // 8

    def _product(self, op: MatrixOp, pattern: Pattern, ticks: int, after: Sequence[Op]) -> _Work:
        own = self._weight_bytes(op, pattern) if op.right.role is Role.WEIGHT else 0
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
        if op.kind in FUSED and not self.arch.overhead.fuse_elementwise:
            return False
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
                ("dram.write", "weight", work.packed_bytes),
                ("dram.write", "activation", writes),
            )
            if amount
        )
        begin = Command(
            "tensor", launch, Stall.LAUNCH, fills=("begun", "kernel"), inner_stalls=((Stall.LAUNCH, launch),)
        )
        move = Command(
            "dram",
            self.channel.ticks(work.weight_bytes + work.packed_bytes + reads + writes),
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
