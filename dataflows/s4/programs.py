"""The program of a pass of a stage: weights and activations in, sparse units, vector units, results out.

Blocks of rows (or of whole products) go through the units one after the other; inside a block the columns come in
chunks, whose weights arrive through DRAM, or through DRAM and network. What the units have made, the special-function
and vector units work on while the units do the next block.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from dataflows.s4.jobs import Job, Layout
from dataflows.systolic.target import cut, places, repeat
from simulator.machines.s4 import S4Arch
from simulator.program import Action, Buffer, Channel, Command, Node, Program, Stall, delay_stores

UNITS, VECTOR, SPECIAL, DRAM, NOC, HOST = "units", "vector", "special", "dram", "noc", "host"


class Weights(StrEnum):
    """How weights come to the cores."""

    NONE = "none"  # both operands are activations
    RESIDENT = "resident"  # they have been in L2 since an earlier step
    STREAMED = "streamed"  # every lane reads them from DRAM
    BROADCAST = "broadcast"  # they are read once a chip and sent to all cores


@dataclass(frozen=True)
class How:
    """Choices of one stage: where weights come from, chunks of columns, blocks, and whether a pass reads weights once
    (`stay`) or again for every block."""

    weights: Weights
    chunks: int
    blocks: int
    stay: bool

    def describe(self) -> str:
        again = "" if self.stay or self.weights in (Weights.NONE, Weights.RESIDENT) else " again-each-block"
        return f"weights={self.weights}{again} chunks={self.chunks} blocks={self.blocks}"


@dataclass(frozen=True)
class Machine:
    """A card in ticks: the channels of one chip."""

    arch: S4Arch
    dram: Channel
    noc: Channel
    host: Channel
    vector: Channel
    special: Channel

    @classmethod
    def of(cls, arch: S4Arch) -> "Machine":
        channels = (arch.dram_channel(), arch.noc_channel(), arch.host_channel())
        return cls(arch, *channels, arch.vector_channel(), arch.special_channel())


@dataclass(frozen=True)
class StageWriter:
    """Times and writes the nodes of one pass of one stage."""

    machine: Machine
    layout: Layout
    job: Job
    how: How

    @property
    def chunk(self) -> int:
        """Columns of a chunk: whole tiles."""
        wide = self.machine.arch.units.cols
        return max(1, -(-self.job.cols // self.how.chunks // wide)) * wide

    def buffers(self) -> tuple[Buffer, ...]:
        chunks = sum(run.count for run in cut(self.job.cols, self.chunk)) if self.job.is_product else 1
        slots = chunks if self.how.stay else 2
        part = self._weight_part(min(self.chunk, max(1, self.job.cols)))
        own = -(-part // self.layout.cores_a_lane) if self._has_weights else 0
        names = ("in", "raw", "sums", "mid", "done", "sent")
        return (Buffer("weights", slots, "l2", own), *(Buffer(name, 2) for name in names))

    def nodes(self) -> tuple[Node, ...]:
        if not self.job.is_product:
            return self._vector_nodes()
        out: list[Node] = []
        for number, run in enumerate(cut(self.job.items, self._block)):
            first = number == 0 or not self.how.stay
            if first and self.how.stay:
                out.extend(self._block_nodes(run.size, loads=self._has_weights))
                out.extend(repeat(run.count - 1, self._block_nodes(run.size, loads=False)))
            else:
                out.extend(repeat(run.count, self._block_nodes(run.size, loads=self._has_weights and first)))
        if self._has_weights and self.how.stay:
            chunks = sum(run.count for run in cut(self.job.cols, self.chunk))
            out.extend(repeat(chunks, (Command(UNITS, 0, Stall.ARRAY, frees=("weights",)),)))
        return tuple(out)

    @property
    def _has_weights(self) -> bool:
        return self.how.weights in (Weights.STREAMED, Weights.BROADCAST)

    @property
    def _block(self) -> int:
        return -(-self.job.items // self.how.blocks)

    def _weight_part(self, cols: int) -> int:
        """Weight bytes of a lane for so many of a core's columns."""
        return -(-self.job.weight_bytes * cols // max(1, self.job.cols))

    def _block_nodes(self, size: int, loads: bool) -> tuple[Node, ...]:
        job, out = self.job, list[Node]()
        part = (size, job.items)
        if job.in_bytes + job.beside_bytes:
            moved = _part(job.in_bytes, *part) + _part(job.beside_bytes, *part)
            out.append(self._dram(moved, fills=("in",)))
        for (cols, first, last), count in places(cut(job.cols, self.chunk)):
            nodes = (*(self._load_weights(cols) if loads else ()), self._compute(size, cols, first, last, loads))
            out.extend(repeat(count, nodes))
        return (*out, *self._epilogue(part, "sums"))

    def _load_weights(self, cols: int) -> tuple[Command, ...]:
        part = self._weight_part(cols)
        arch = self.machine.arch
        if self.how.weights is Weights.STREAMED:
            return (self._dram(part * self._lanes_reading, fills=("weights",)),)
        copies = 1 if arch.noc.multicast else arch.cores - 1
        ticks = self.machine.noc.ticks(part * copies)
        send = Command(NOC, ticks, Stall.NETWORK, takes=("raw",), frees=("raw",), fills=("weights",))
        return self._dram(part, fills=("raw",)), send

    def engine_ticks(self) -> tuple[int, int, int]:
        """What a pass takes of the units, of the slower vector engine, and of the DRAM."""
        job, machine = self.job, self.machine
        blocks = self.how.blocks if job.is_product else 1
        reads = (1 if self.how.stay else blocks) * self._lanes_reading * job.weight_bytes
        dram = machine.dram.ticks(reads + job.in_bytes + job.beside_bytes + job.out_bytes)
        return self._unit_ticks, max(machine.special.ticks(job.special), machine.vector.ticks(job.operations)), dram

    @property
    def lead_ticks(self) -> int:
        """Before the units can begin: the first block's operands and the first chunk's weights."""
        job = self.job
        first = cut(job.items, self._block)[0].size if job.is_product else 1
        moved = job.in_bytes + job.beside_bytes
        commands = [self._dram(_part(moved, first, max(1, job.items)), ())] if moved else []
        if self._has_weights:
            commands += self._load_weights(min(self.chunk, job.cols))
        return sum(command.ticks for command in commands) + (commands[-1].latency if commands else 0)

    @property
    def tail_ticks(self) -> int:
        """Behind the units' last block: what the engines after them still do, one after the other."""
        if not self.job.is_product:
            return 0
        part = (cut(self.job.items, self._block)[-1].size, self.job.items)
        return sum(command.ticks for command in self._epilogue(part, "sums"))

    @property
    def _lanes_reading(self) -> int:
        if not self._has_weights:
            return 0
        return self.layout.lanes_a_chip(self.machine.arch) if self.how.weights is Weights.STREAMED else 1

    @cached_property
    def _unit_ticks(self) -> int:
        total = 0
        if not self.job.is_product:
            return total
        for rows in cut(self.job.items, self._block):
            for cols in cut(self.job.cols, self.chunk):
                total += rows.count * cols.count * sum(self._ticks(rows.size, cols.size))
        return total

    def _ticks(self, size: int, cols: int) -> tuple[int, int, int]:
        """Ticks of the units for a block and a chunk: at work, waiting for operands, idle for other reasons."""
        job, units = self.job, self.machine.arch.units
        if job.rows:
            tiles = size * -(-job.rows // units.rows) * -(-cols // units.cols)
        else:
            tiles = job.groups * -(-size // units.rows) * -(-cols // units.cols)
        rounds = -(-tiles // units.per_core)
        work = rounds * -(-job.slots * job.operand_bytes // units.depth)
        fed = rounds * math.ceil(units.rows * job.inner * job.operand_bytes / units.operand_bytes_per_cycle)
        links = max(0, fed - work)
        return work, links, math.ceil((work + links) / units.efficiency) - work - links

    def _compute(self, size: int, cols: int, first: bool, last: bool, loads: bool) -> Command:
        work, links, idle = self._ticks(size, cols)
        brought = self.job.in_bytes + self.job.beside_bytes > 0
        return Command(
            UNITS,
            work + links + idle,
            Stall.ARRAY,
            takes=(*(("in",) if first and brought else ()), *(("weights",) if loads else ())),
            frees=(*(("in",) if last and brought else ()), *(("weights",) if loads and not self.how.stay else ())),
            fills=("sums",) if last else (),
            inner_stalls=((Stall.LINKS, links), (Stall.FILL_DRAIN, idle)),
        )

    def _epilogue(self, part: tuple[int, int], buffer: str) -> Iterator[Command]:
        """Special functions, vector work, exchange between cores, and the store of what does not stay."""
        job, machine = self.job, self.machine
        steps = [
            (SPECIAL, machine.special.ticks(_part(job.special, *part)), Stall.VECTOR, "mid"),
            (VECTOR, machine.vector.ticks(_part(job.operations, *part)), Stall.VECTOR, "done"),
            (NOC, machine.noc.ticks(_part(job.exchange_bytes, *part)), Stall.NETWORK, "sent"),
            (DRAM, machine.dram.ticks(_part(job.out_bytes, *part)), Stall.MEMORY, ""),
        ]
        real = [step for step in steps if step[1]]
        for number, (engine, ticks, cause, fills) in enumerate(real):
            last = number == len(real) - 1
            yield Command(engine, ticks, cause, takes=(buffer,), frees=(buffer,), fills=() if last else (fills,))
            buffer = fills
        if not real:
            yield Command(VECTOR, 0, Stall.VECTOR, takes=(buffer,), frees=(buffer,))

    def _vector_nodes(self) -> tuple[Node, ...]:
        """Vector work on its own: in from DRAM where it is not on chip, the lanes, out."""
        part = (1, self.how.blocks)
        brought = _part(self.job.in_bytes + self.job.beside_bytes, *part)
        return repeat(self.how.blocks, (self._dram(brought, fills=("in",)), *self._epilogue(part, "in")))

    def _dram(self, size_bytes: int, fills: tuple[str, ...]) -> Command:
        channel = self.machine.dram
        latency = channel.latency_ticks if size_bytes else 0
        return Command(DRAM, channel.ticks(size_bytes), Stall.MEMORY, fills=fills, latency=latency)

    def actions(self) -> tuple[Action, ...]:
        """What a pass does on the whole card, weights included."""
        arch, job = self.machine.arch, self.job
        blocks = sum(run.count for run in cut(job.items, self._block)) if job.is_product else 1
        reads = (1 if self.how.stay else blocks) * job.weight_bytes * arch.chips if self._has_weights else 0
        lanes = self.layout.lanes_a_chip(arch)
        parts = [*job.totals, ("l2.read", "weight", job.weight_bytes * arch.chips * lanes * blocks)]
        if self.how.weights is Weights.STREAMED:
            parts.append(("dram.read", "weight", reads * lanes))
        if self.how.weights is Weights.BROADCAST:
            copies = 1 if arch.noc.multicast else arch.cores - 1
            parts += [("dram.read", "weight", reads), ("noc.write", "weight", reads * copies)]
        return tuple(Action(*part) for part in parts if part[2])


def floor_cycles(writers: Sequence[tuple[StageWriter, int]]) -> int:
    """No run of these passes is shorter: each engine's work, with what must come before it begins and after it ends."""
    units = vector = dram = 0
    for writer, count in writers:
        ticks = writer.engine_ticks()
        units, vector, dram = units + ticks[0] * count, vector + ticks[1] * count, dram + ticks[2] * count
    lead = writers[0][0].lead_ticks
    return max(lead + units + writers[-1][0].tail_ticks, lead + vector, dram)


def program_of(writers: Sequence[tuple[StageWriter, int]], background: tuple[Command, ...]) -> Program:
    """All passes of a stage, each (writer, how often), behind what arrives meanwhile for the step after."""
    body: list[Node] = list(background)
    lead = UNITS if writers[0][0].job.is_product else VECTOR
    for writer, count in writers:
        start = Command(lead, 0, Stall.ARRAY, actions=writer.actions())
        body.extend(repeat(count, (start, *writer.nodes())))
    stored = {buffer for command in _commands(body) if command.engine == DRAM for buffer in command.frees}
    done = tuple(body)
    for buffer in stored:
        done = delay_stores(done, buffer)
    return Program(lead, writers[0][0].buffers(), done)


def landing(machine: Machine, size_bytes: int) -> tuple[Command, ...]:
    """So many bytes of the next step's input arrive in DRAM."""
    if not size_bytes:
        return ()
    a_chip = -(-size_bytes // machine.arch.chips)
    moved = (Action("dram.write", "activation", size_bytes),)
    return (Command(DRAM, machine.dram.ticks(a_chip), Stall.HOST, actions=moved),)


def host_program(machine: Machine, size_bytes: int, covered_ticks: int) -> Program:
    """What the ops of a step do not cover of the next input's way over the host link."""
    left = max(0, machine.host.ticks(size_bytes) - covered_ticks)
    actions = (Action("host.read", "activation", size_bytes),) if size_bytes else ()
    sent = Command(HOST, left, Stall.HOST, inner_stalls=((Stall.HOST, left),), actions=actions)
    return Program(HOST, (), (sent,))


def _commands(body: Sequence[Node]) -> Iterator[Command]:
    for node in body:
        if isinstance(node, Command):
            yield node
        else:
            yield from _commands(node.body)


def _part(amount: int, size: int, of: int) -> int:
    return -(-amount * size // of)
