"""The compiler of fabrics: products of sparse matrices, and steps in blocks that stand for their ops.

In vector work threads take stretches of elements that DMA engines bring and carry away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dataflows.spgemm.dealt import evenly
from dataflows.spgemm.kernel import Collector, Kernel, Nowhere, Sink, Tally, Task, stored_bytes, too_large
from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.results import cycles_of, fabric_card, timing_of
from simulator.compiler import Compiler
from simulator.fabric.outcome import FabricTiming, Multiplied
from simulator.fabric.program import Instruction, Move, Phase, Stage
from simulator.fabric.rates import Rates
from simulator.fabric.run import FabricRun
from simulator.machines.piuma import FabricArch
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp
from simulator.timing import Timing
from workloads.files.limits import Limits
from workloads.op import MatrixOp, Op, VectorOp
from workloads.registry import KERNELS, load_part
from workloads.sparse.matrix import Matrix, SparseProduct
from workloads.sparse.traced import traced_block
from workloads.workload import Workload

BLOCK = 2**20  # elements that are simulated, at most
STRETCH = 512  # elements of an event


@dataclass(frozen=True)
class StreamUnit:
    """One core's elements: so many worked on, `reads` brought and `writes` carried away."""

    arch: FabricArch
    elements: int
    reads: int
    writes: int

    def phases(self) -> Sequence[Phase]:
        events = -(-self.elements // STRETCH)
        if not events:
            return ()
        value = self.arch.data.value_bytes
        counts = np.zeros((events, len(Instruction)), dtype=np.int64)
        stretch = np.full(events, STRETCH, dtype=np.int64)
        stretch[-1] = self.elements - STRETCH * (events - 1)
        counts[:, Instruction.FLOAT] = stretch * self.arch.vector.instructions_per_element
        owners = np.arange(events, dtype=np.int32) % self.arch.threads_per_core
        if not self.arch.vector.through_dma:
            word = Rates(self.arch).access_bytes
            counts[:, Instruction.LOAD] = evenly(self.reads, events)
            counts[:, Instruction.STORE] = evenly(self.writes, events)
            moved = {("dram.read", "vector"): self.reads * word, ("dram.write", "vector"): self.writes * word}
            return (Phase("stream", counts, owners, moved),)
        fetches = np.stack([evenly(self.reads * value, events), np.full(events, 2)], axis=1)
        counts[:, Instruction.SCRATCHPAD] = evenly(self.reads + self.writes, events)
        moves = (Move("dram.write", "vector", self.writes * value, events),) if self.writes else ()
        moved = {("dram.read", "vector"): self.reads * value}
        return (Phase("stream", counts, owners, moved, fetches=fetches, moves=moves),)


@dataclass(frozen=True)
class Stream:
    """Vector work of ops: some of their elements are run, and an op is `times` that."""

    arch: FabricArch
    elements: int
    reads: int
    writes: int
    count: int

    @classmethod
    def of(cls, arch: FabricArch, op: VectorOp) -> "Stream":
        return cls(arch, max(op.elements, op.reads, op.writes, 1), op.reads, op.writes, op.count)

    @property
    def _share(self) -> float:
        """What of an op's elements is run."""
        return min(self.elements, BLOCK) / self.elements

    @property
    def times(self) -> float:
        return self.count / self._share

    def run(self, exact: bool) -> Timing:
        """A fabric has one reader, so `exact` changes nothing."""
        block, share, cores = min(self.elements, BLOCK), self._share, self.arch.cores
        shares = [evenly(count, cores) for count in (block, round(self.reads * share), round(self.writes * share))]
        units = [StreamUnit(self.arch, *(int(each) for each in core)) for core in zip(*shares, strict=True)]
        found = FabricRun(self.arch).run([Stage("stream", units, list(range(cores)))])
        return timing_of(found, self.times, self.arch, found)


@dataclass(frozen=True, eq=False)
class FabricProduct:
    """A product that a kernel carries out on a fabric; a block that stands for an op counts `times`."""

    product: SparseProduct
    arch: FabricArch
    kernel: Kernel
    options: FabricOptions
    times: float = 1.0

    def run(self, exact: bool) -> Timing:
        """Multiply and time; a fabric has one reader, so `exact` changes nothing. Raises what `multiply` does."""
        done = multiply(self.product, self.arch, self.kernel, self.options, Nowhere())
        return timing_of(done.timing, self.times, self.arch, done)

    def result(self) -> Matrix:
        """The product itself, multiplied anew: it may be a hundred times as large as what a run keeps."""
        found = Collector()
        multiply(self.product, self.arch, self.kernel, self.options, found)
        return found.matrix((self.product.left.rows, self.product.right.cols))


def multiply(
    product: SparseProduct, arch: FabricArch, kernel: Kernel, options: FabricOptions, sink: Sink
) -> Multiplied:
    """Multiply and time. Finished rows go to `sink`.

    Raises UserError where operands and result do not fit the fabric's memory, or a table its scratchpad.
    """
    need = stored_bytes(arch, product.left, product.right)
    if need > arch.memory_bytes:
        raise too_large(arch, product.name, "the operands take", need)
    tally = Tally()
    timing = FabricRun(arch, options.trace).run(kernel.stages(Task(product, arch, options, tally, sink)))
    return Multiplied(timing, tally)


class FabricCompiler(Compiler[FabricArch, FabricOptions]):
    """Gives every product to the kernel that was chosen."""

    Options = FabricOptions
    reads_exactly: ClassVar[bool] = False
    multiplies_matrices: ClassVar[bool] = True

    def check(self, workload: Workload, spec: FabricArch, options: FabricOptions) -> None:
        """Raises UserError where the recipes of the kernel do not fit the machine."""
        super().check(workload, spec, options)
        _kernel(options).recipes(spec, options)

    def check_size(self, workload: Workload, options: FabricOptions, limits: Limits) -> None:
        """Raises UserError for a product of matrices that the kernel would walk through for too long."""
        for product in workload.products:
            for name, size in _kernel(options).size(product).items():
                limits.check(name, size, f"{product.name} by kernel '{options.kernel}'")

    def compile(self, workload: Workload, spec: FabricArch, options: FabricOptions, runs: Runs) -> Schedule:
        """Raises UserError for what does not fit the fabric's memory or its scratchpads."""
        if workload.products:
            return tuple(_product(product, spec, options, runs) for product in workload.products)
        known: dict[Op, ScheduledOp] = runs.memory(("fabric", spec, options))
        for op in workload.ops:
            if op not in known:
                known[op] = _scheduled(workload, op, spec, options, runs)
        return tuple(known[op] for op in workload.ops)

    def card(self, schedule: Schedule, spec: FabricArch, options: FabricOptions, runs: Runs) -> Mapping[str, object]:
        """Kernel, its options, what its steps are assumed to take; of a product also what its rows do not show."""
        kernel = _kernel(options)
        steps = {
            f"{phase}.{feature.name.lower()}": {name: value for name, value in vars(step).items() if value}
            for phase, recipe in kernel.recipes(spec, options).items()
            for feature, step in recipe.items()
        }
        assumed = {"value": steps, "provenance": "assumed", "source": "instructions counted from the loop as written"}
        said: dict[str, object] = {"kernel": kernel.name, "kernel_does": kernel.does(options)}
        said |= {"kernel_options": options.told(), "kernel_steps": assumed}
        for scheduled in schedule:
            if isinstance(scheduled.op, SparseProduct):
                said |= {
                    "matrices": _matrices(scheduled.op),
                    "fabric": fabric_card(*_tally(runs.timing(scheduled.programs[0])), spec),
                }
        return said

    def parts(self, schedule: Schedule, options: FabricOptions) -> Mapping[str, str]:
        """The kernel."""
        return {options.kernel: KERNELS}


FABRIC = FabricCompiler()


def _kernel(options: FabricOptions) -> Kernel:
    return load_part(KERNELS, "kernel", options.kernel, Kernel)


def _product(product: SparseProduct, spec: FabricArch, options: FabricOptions, runs: Runs) -> ScheduledOp:
    """A product as it is; it is run at once, because how it was cut is a part of what is said of it."""
    program = FabricProduct(product, spec, _kernel(options), options)
    _, tally = _tally(runs.timing(program))
    count = tally.multiplies
    return ScheduledOp(
        op=product,
        programs=(program,),
        dataflow=options.kernel,
        detail=f"{tally.windows} units of work, {tally.split_rows} rows split",
        macs_useful=count,
        macs_skipped=product.left.rows * product.right.cols * product.left.cols - count,
        pes=spec.cores * spec.pipeline.mtps,
        pads=False,
    )


def _scheduled(workload: Workload, op: Op, spec: FabricArch, options: FabricOptions, runs: Runs) -> ScheduledOp:
    pes = spec.cores * spec.pipeline.mtps
    if not isinstance(op, MatrixOp):
        streams: dict[Stream, Stream] = runs.memory("streams")
        work = Stream.of(spec, op)
        work = streams.setdefault(work, work)  # ops of one size are run once
        found = runs.timing(work).detail
        assert isinstance(found, FabricTiming)
        said = f"{cycles_of(found):,} cycles x {work.times:.4g}"
        return ScheduledOp(op, (work,), "stream", said, pes=pes, pads=False)
    block = traced_block(workload, op)
    left, right = block.product.left, block.product.right
    source = "sampled tensors" if block.sampled else "measured zeros"
    return ScheduledOp(
        op=op,
        programs=(FabricProduct(block.product, spec, _kernel(options), options, block.times),),
        dataflow=options.kernel,
        detail=f"block {left.rows}x{right.cols}x{left.cols} of {source}, x {block.times:.4g}",
        macs_useful=min(op.macs, block.multiplies),
        macs_skipped=max(0, op.macs - block.multiplies),
        pes=pes,
        pads=False,
    )


def _tally(timing: Timing) -> tuple[FabricTiming, Tally]:
    """What a run took, and what its kernel counted."""
    done = timing.detail
    assert isinstance(done, Multiplied) and isinstance(done.tally, Tally)
    return done.timing, done.tally


def _matrices(product: SparseProduct) -> dict[str, object]:
    return {
        name: {"name": each.name, "rows": each.rows, "cols": each.cols, "nonzeros": each.nonzeros}
        for name, each in (("left", product.left), ("right", product.right))
    }
