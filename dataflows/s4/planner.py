"""Which mapping, how many samples at a time, and how every layer's weights come: all tried, the fastest taken.

Every candidate whose floor is below the best is timed and none is left out for being close to another, so that a higher
ratio or more bandwidth, which only add candidates and shorten commands, never make a step slower. A larger L2 may, by
little: the numbers of samples that are tried follow from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from dataflows.s4.jobs import Job, JobWriter, Layout, Pass, by_samples, passes, useful_macs
from dataflows.s4.programs import (
    HOST,
    How,
    Machine,
    StageWriter,
    Weights,
    floor_cycles,
    host_program,
    landing,
    program_of,
)
from dataflows.s4.stages import (
    FOR_WEIGHTS,
    Spill,
    cost_of,
    l2_bytes,
    reserves,
    room_bytes,
    spills,
    stages_of,
    usable,
    working_sets,
)
from simulator.compiler import Compiler, StepOptions
from simulator.machines.s4 import S4Arch
from simulator.program import Program
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp
from workloads.errors import UserError
from workloads.op import MatrixOp, Op, Phase, VectorKind, VectorOp
from workloads.workload import Mode, Workload

CHUNKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
BLOCKS = (1, 4, 16)
LATE = 8  # times as many samples at once, where maps have become small
TOKEN_BYTES = 4
SPILLED = Spill(1.0, 1.0, 1.0)


class S4Compiler(Compiler[S4Arch, StepOptions]):
    """Plans a step for a card of bank-sparse chips."""

    Options = StepOptions
    engines: ClassVar[Mapping[str, str]] = {"units": "compute", "special": "vector", "noc": "NoC", "dram": "DRAM"}

    def check(self, workload: Workload, spec: S4Arch, options: StepOptions) -> None:
        """Raises UserError for what the card cannot take, and for a pattern the banks cannot hold."""
        super().check(workload, spec, options)
        for op in workload.ops:
            if isinstance(op, MatrixOp):
                usable(op, spec)

    def compile(self, workload: Workload, spec: S4Arch, options: StepOptions, runs: Runs) -> Schedule:
        """Raises UserError where the weights of a few columns are too large for L2."""
        return _Planner(spec, workload, spec.operand_bytes(workload.mode), runs).plan()


S4 = S4Compiler()


@dataclass(frozen=True)
class _Choice:
    program: Program
    how: How
    cycles: int


class _Search:
    """The candidates of one stage, those that could be fastest first. Not frozen: it remembers what it found."""

    def __init__(self, drafts: list[tuple[int, list[tuple[StageWriter, int]]]], host: int) -> None:
        self.drafts, self.host = drafts, host
        self.floor = drafts[0][0]
        self._found: _Choice | None = None

    def choice(self, machine: Machine, runs: Runs) -> _Choice:
        """The fastest, by simulation; what its engines alone already make slower is not run."""
        if self._found is not None:
            return self._found
        best: _Choice | None = None
        for floor, writers in self.drafts:
            if best is not None and floor >= best.cycles:
                break
            program = program_of(writers, landing(machine, self.host))
            cycles = runs.cycles(program)
            if best is None or cycles < best.cycles:
                best = _Choice(program, writers[0][0].how, cycles)
        assert best is not None
        self._found, self.drafts = best, []
        return best


class _Planner:
    """Plans one step. What was planned for like stages is kept with the runs."""

    def __init__(self, arch: S4Arch, workload: Workload, size: int, runs: Runs) -> None:
        self.arch, self.size, self.runs = arch, size, runs
        self.machine = Machine.of(arch)
        self.notes: list[str] = []
        self.workload = replace(workload, ops=tuple(self._usable(op) for op in workload.ops))
        self.stages = stages_of(self.workload.ops, workload.mode)
        self.waiting = reserves(self.stages)
        self.costs = [cost_of(each, arch.vector, workload.mode, size == 1) for each in self.stages]
        self.host = self._host_shares()
        self.known: dict[object, _Search] = runs.memory(("s4", arch))

    def plan(self) -> tuple[ScheduledOp, ...]:
        """The fastest layout; one whose floor, or whose start and the floor of the rest, is slower is left."""
        best: tuple[int, Layout, list[_Choice]] | None = None
        drafted = [(layout, self._searches(layout)) for layout in self._layouts()]
        for layout, searches in sorted(drafted, key=lambda each: sum(search.floor for search in each[1])):
            choices = self._fastest(searches, best[0] if best else None)
            if choices is not None:
                best = sum(choice.cycles for choice in choices), layout, choices
        assert best is not None
        return (*self._scheduled(best[1], best[2]), self._host_row(best[0]))

    def _fastest(self, searches: Sequence["_Search"], most: int | None) -> list[_Choice] | None:
        """The choice of every stage; None as soon as they cannot take fewer than `most` cycles together."""
        expected, choices = sum(search.floor for search in searches), []
        for search in searches:
            if most is not None and expected >= most:
                return None
            choices.append(search.choice(self.machine, self.runs))
            expected += choices[-1].cycles - search.floor
        return choices if most is None or expected < most else None

    def _usable(self, op: Op) -> Op:
        if not isinstance(op, MatrixOp):
            self.notes.append("")
            return op
        taken, note = usable(op, self.arch)
        self.notes.append(note)
        return taken

    def _layouts(self) -> Iterator[Layout]:
        arch, asked = self.arch, self.arch.schedule.mapping
        for name, cores in (("single-core", 1), ("four-core", arch.cores)):
            if asked in ("best", name):
                most = Layout(name, cores, -(-self.workload.batch // (arch.chips * arch.cores // cores)))
                yield from (replace(most, samples=samples) for samples in self._samples(most))

    def _samples(self, most: Layout) -> list[int]:
        """Samples of a lane at a time: all, and numbers about the most of which nothing spills."""
        if self.workload.mode is Mode.TRAINING:
            return [most.samples]
        fits = most.samples
        while fits > 1 and max(self._sets(fits)) > room_bytes(self.arch):
            fits = -(-fits // 2)
        return sorted({most.samples, *(min(most.samples, max(1, fits * part // 2)) for part in (1, 2, 4))})

    def _sets(self, samples: int) -> list[int]:
        return working_sets(self.stages, self.waiting, self.workload.batch, samples, self.size)

    def _late(self, layout: Layout, lanes: int) -> tuple[int, int]:
        """(The stage from which on, how many) samples of a lane go together once their maps are small enough."""
        more = min(-(-self.workload.batch // lanes), LATE * layout.samples)
        few, many = self._sets(layout.samples), self._sets(more)
        start, room = len(many), room_bytes(self.arch)
        while start > 0 and many[start - 1] <= room:
            start -= 1
        while start < len(many) and max(few[:start], default=0) + many[start] > room:
            start += 1
        return start, more

    def _searches(self, layout: Layout) -> list["_Search"]:
        batch, training = self.workload.batch, self.workload.mode is Mode.TRAINING
        writer = JobWriter(self.arch, self.workload, layout)
        start, more = (len(self.stages), layout.samples) if training else self._late(layout, writer.lanes)
        sets = [*self._sets(layout.samples)[:start], *self._sets(more)[start:]]
        spilled = [SPILLED] * len(sets)
        if not training:
            spilled = spills(self.stages, self.waiting, sets, layout.samples / batch * self.size, self.arch)
        few, many = passes(batch, writer.lanes, layout.samples), passes(batch, writer.lanes, more)
        whole = [Pass(-(-batch // writer.lanes), batch, 1)]
        jobs = []
        for number, (stage, cost, spill) in enumerate(zip(self.stages, self.costs, spilled, strict=True)):
            portions = (few if number < start else many) if by_samples(stage.op, batch) else whole
            jobs.append(tuple((writer.job(stage, cost, spill, each), each.count) for each in portions))
        resident = not training and self._all_fit(jobs, sets, layout)
        return [
            self._stage_search(layout, each, host, held, resident)
            for each, host, held in zip(jobs, self.host, sets, strict=True)
        ]

    def _all_fit(self, jobs: Sequence[tuple[tuple[Job, int], ...]], sets: Sequence[int], layout: Layout) -> bool:
        """Whether all weights of the step stay in L2 from step to step, beside the largest working set."""
        weights = sum(-(-each[0][0].weight_bytes // layout.cores_a_lane) for each in jobs)
        return weights + max(sets) <= l2_bytes(self.arch)

    def _stage_search(
        self, layout: Layout, jobs: tuple[tuple[Job, int], ...], host: int, held: int, resident: bool
    ) -> "_Search":
        room = max(l2_bytes(self.arch) - held, l2_bytes(self.arch) // FOR_WEIGHTS)
        job = jobs[0][0]
        stay = -(-job.weight_bytes // layout.cores_a_lane) <= room
        key = (layout.cores_a_lane, jobs, host, stay, resident)
        if key not in self.known:
            drafts = []
            for how in self._hows(layout, job, stay, resident):
                writers = [(StageWriter(self.machine, layout, job, how), count) for job, count in jobs]
                drafts.append((floor_cycles(writers), writers))
            self.known[key] = _Search(sorted(drafts, key=lambda draft: draft[0]), host)
        return self.known[key]

    def _hows(self, layout: Layout, job: Job, stay: bool, resident: bool) -> Iterator[How]:
        if not job.is_product:
            yield from (How(Weights.NONE, 1, blocks, False) for blocks in (1, 8))
            return
        blocks = [number for number in BLOCKS if number <= job.items]
        if not job.weight_bytes or resident:
            source = Weights.RESIDENT if job.weight_bytes else Weights.NONE
            yield from (How(source, 1, number, False) for number in blocks)
            return
        sources = [Weights.STREAMED] if layout.cores_a_lane > 1 else [Weights.STREAMED, Weights.BROADCAST]
        for chunks in self._chunks(layout, job):
            yield from (How(source, chunks, number, stay) for source in sources for number in blocks)

    def _chunks(self, layout: Layout, job: Job) -> list[int]:
        """Numbers of chunks whose weights fit the units' L1 and, twice, the part of L2 that is kept for them.

        Where no chunk does, the finest, if it fits L2 twice at all. Raises UserError if it does not.
        """
        arch = self.arch
        room = min(arch.units.per_core * arch.units.l1_kib * 1024 / 2, l2_bytes(arch) / FOR_WEIGHTS / 2)
        tile = -(-job.weight_bytes // (layout.cores_a_lane * job.cols)) * arch.units.cols
        tiles = -(-job.cols // arch.units.cols)
        fitting = [number for number in CHUNKS if number < 2 * tiles and -(-tiles // number) * tile <= room]
        if not fitting and 2 * tile > l2_bytes(arch):
            raise UserError(
                f"the weights of {arch.units.cols} columns take {tile / 1024:.0f} KiB, more than half of a core's L2: "
                f"l2_mib={arch.l2_mib:g} is too small for this step"
            )
        return fitting or [tiles]

    def _host_shares(self) -> list[int]:
        """Bytes of the next step's input that arrive during each stage: spread over the products."""
        macs = [stage.op.macs if isinstance(stage.op, MatrixOp) else 0 for stage in self.stages]
        total, first = self._input_bytes(), next((at for at, each in enumerate(macs) if each), 0)
        shares = [total * each // max(1, sum(macs)) for each in macs]
        shares[first] += total - sum(shares)
        return shares

    def _input_bytes(self) -> int:
        """Bytes of a step's input: tokens where the step begins with looking them up, otherwise what it reads first."""
        first = self.stages[0]
        if isinstance(first.op, VectorOp) and first.op.kind is VectorKind.EMBEDDING:
            return self.workload.batch * self.workload.sequence * TOKEN_BYTES
        return first.inputs * self.size

    def _host_row(self, covered: int) -> ScheduledOp:
        """The next step's input on its way over the host link, behind all ops of this step."""
        elements = self._input_bytes() // self.size
        op = VectorOp("host input", Phase.FF, VectorKind.ELEMENTWISE, elements, elements, elements)
        return ScheduledOp(op, (host_program(self.machine, self._input_bytes(), covered),), HOST, "behind all ops")

    def _scheduled(self, layout: Layout, choices: Sequence[_Choice]) -> Iterator[ScheduledOp]:
        notes = iter(self.notes)
        for stage, choice in zip(self.stages, choices, strict=True):
            note = next(notes)
            said = f"samples={layout.samples} {choice.how.describe()}" + (f" ({note})" if note else "")
            yield self._row(stage.op, (choice.program,), layout.mapping, said)
            for op in stage.fused:
                next(notes)
                yield self._row(op, (), "fused", f"behind {stage.op.layer}")

    def _row(self, op: Op, programs: tuple[Program, ...], mapping: str, said: str) -> ScheduledOp:
        if not isinstance(op, MatrixOp):
            return ScheduledOp(op, programs, mapping, said)
        useful = useful_macs(op, self.workload.batch)
        return ScheduledOp(
            op=op,
            programs=programs,
            dataflow=mapping,
            detail=said,
            macs_useful=useful,
            macs_skipped=op.macs - useful,
            pes=self.arch.macs_per_cycle(self.arch.precision_of(self.workload.mode)),
        )
