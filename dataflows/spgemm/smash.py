"""SMASH (arXiv 2105.14156): row-wise products merged as they are made, with atomic operations on a hash table.

Published are the scheme (windows of rows, hashing, write-back) and what each version adds; how exactly is not, so what
follows is one reading of it. V1 deals windows to cores and rows to threads beforehand. V2 hands both out as tokens. V3
splits a table's storage into keys and, for each row, a dense run of columns and of values, which DMA engines carry away
while the threads hash into a second table.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dataflows.spgemm.dealt import RESERVED, Cut, deal, distribute, distribution_stage, evenly, in_line
from dataflows.spgemm.hashing import HASHES, Table, Window, bank_skew, empty_table, hash_window
from dataflows.spgemm.kernel import (
    ROW_BY_ROW,
    Costs,
    Feature,
    Kernel,
    Piece,
    Recipe,
    Step,
    Task,
    merged,
    results,
    rows_of,
)
from dataflows.spgemm.options import FabricOptions
from simulator.fabric.program import WORD_BYTES, Counts, Instruction, Move, Phase, Stage
from simulator.fabric.rates import Rates
from simulator.machines.piuma import FabricArch
from workloads.errors import UserError
from workloads.sparse.matrix import Index

KEY_BYTES = SUM_BYTES = 8
LEAST_PIECE = 16  # products a thread takes at least
PIECES = 4  # a thread gets at least of a window, where they are not too small
DEALT = {
    "rows": "gives whole rows to threads, so that the longest row is the work of one thread",
    "pieces": "gives pieces of rows to threads",
}
BROUGHT = {"table": "", "operands": " and bring rows of the right operand"}
HASH_INSTRUCTIONS = {"multiplicative": 2, "low-bits": 1, "high-bits": 2}
SERIAL = Costs.of({Feature.ROW: Step(integer=3, scratchpad=2), Feature.ELEMENT: Step(remote_atomic=1)})


@dataclass(frozen=True)
class Smash(Kernel):
    """One version. `tokens`: cores take windows, and threads pieces of them, from counters, instead of being dealt.
    `split`: keys and dense rows are stored apart, and DMA engines carry the latter away.
    """

    name: str
    tokens: bool
    split: bool

    @property
    def buffers(self) -> int:
        """Tables a core has."""
        return 2 if self.split else 1

    def slots(self, arch: FabricArch, options: FabricOptions) -> int:
        """Slots of one table: a power of two. Raises UserError for a table the scratchpad has no room for."""
        slot_bytes = KEY_BYTES + SUM_BYTES  # or a key and where its sum lies, and sums and columns as they come
        slot_bytes += math.ceil(options.fill * (SUM_BYTES + KEY_BYTES)) if self.split else 0
        room = arch.scratchpad_bytes * (1 - RESERVED) / self.buffers / slot_bytes
        most = 1 << max(0, int(room).bit_length() - 1)
        if room < 2:
            raise UserError(f"scratchpad.kib: {arch.scratchpad.kib:g} KiB have no room for a table of {self.name}")
        if options.slots > most:
            raise UserError(
                f"--option slots={options.slots}: the scratchpad has room for {most} slots of {self.name} "
                f"(scratchpad.kib)"
            )
        return options.slots or most

    def recipes(self, arch: FabricArch, options: FabricOptions) -> dict[str, Recipe]:
        hashing = merged(ROW_BY_ROW, _hashing(options))
        if not self.split:
            return {"hash": hashing, "write-back": merged(WRITE_BACK, results(arch.data))}
        hashing = merged(hashing, SPLIT)
        if options.dma == "operands":
            hashing = {**hashing, Feature.PRODUCT: _in_scratchpad(hashing[Feature.PRODUCT])}
            hashing = merged(hashing, {Feature.ELEMENT: Step(integer=4)})  # two descriptors
        return {"hash": hashing, "write-back": results(arch.data)}  # what DMA engines carry

    def does(self, options: FabricOptions) -> str:
        shared = f"deals windows of rows to cores beforehand, and {DEALT[options.deal]}"
        if self.tokens:
            shared = "hands out windows of rows to cores, and pieces of rows to threads, as they ask for them"
        carried = f"DMA engines carry the results away{BROUGHT[options.dma]}" if self.split else "threads write results"
        return f"{shared}; products are added up in a hash table by atomic operations, and {carried}"

    def stages(self, task: Task) -> Sequence[Stage]:
        slots = self.slots(task.arch, task.options)
        capacity = max(1, int(slots * task.options.fill))
        multiplies, columns = task.product.row_multiplies(), task.product.right.cols
        found = distribute(multiplies, columns, capacity, task.arch.cores, task.options)
        task.tally.split_rows = found.split_rows
        if not task.options.slots:  # no larger than the windows need
            slots = min(slots, 1 << int(found.largest / task.options.fill).bit_length())
        table = Table.empty(slots, columns)
        costs = {phase: Costs.of(recipe) for phase, recipe in self.recipes(task.arch, task.options).items()}
        work = np.maximum(1, multiplies)  # an empty row is looked at too
        units = [HashUnit(self, task, costs, work[each.first : each.last], each, table) for each in found.windows]
        homes = None if self.tokens else found.homes(task.arch.cores)
        return distribution_stage(task), Stage("multiply", units, homes, self.buffers)


# A product makes its key, hashes it and adds its value; a probe compares and swaps a key; a new key counts in its row.
def _hashing(options: FabricOptions) -> Recipe:
    return {
        Feature.PRODUCT: Step(integer=1 + HASH_INSTRUCTIONS[options.hash], atomic=1),
        Feature.STEP: Step(integer=1, atomic=1),
        Feature.CLAIM: Step(atomic=1),
    }


# Where the sum lies is read; a new key has a column and a place of its own.
SPLIT: Recipe = {Feature.PRODUCT: Step(scratchpad=1), Feature.CLAIM: Step(integer=2, scratchpad=2)}

WRITE_BACK: Recipe = {
    Feature.ROW: Step(integer=2, scratchpad=1),  # its pointer
    Feature.STEP: Step(integer=2, scratchpad=1),  # a slot looked at
    Feature.CLAIM: Step(integer=4, scratchpad=2, atomic=1),  # one taken: its place in the row
}


@dataclass(frozen=True)
class Hashed:
    """A window multiplied. slots_of: (claims,), the slots taken, a view that the next window overwrites; busiest: most
    atomic operations on one address.
    """

    piece: Piece
    slots: int
    slots_of: Index
    skew: float
    busiest: int

    @property
    def rows(self) -> int:
        return len(self.piece.sizes)


@dataclass(frozen=True)
class HashUnit:
    """One window. work: (rows,), products of each row, whatever their columns."""

    kernel: Smash
    task: Task
    costs: Mapping[str, Costs]
    work: Counts
    window: Window
    table: Table

    def phases(self) -> Sequence[Phase]:
        task, kernel, (cut, size) = self.task, self.kernel, self.cut()
        features = np.zeros((len(cut.threads), len(Feature)), dtype=np.int64)
        sizes = np.zeros(len(cut.first), dtype=np.int64)
        used = hash_window(
            rows_of(task.product.left),
            rows_of(task.product.right),
            self.window,
            self.table,
            HASHES.index(task.options.hash),
            (cut.first, cut.offset, size),
            kernel.tokens or task.options.deal == "pieces",
            features,
            sizes,
        )
        if used < 0:
            raise RuntimeError(f"{kernel.name}: a table of {len(self.table.taken)} slots overflowed")
        hashed = self._emptied(used, sizes)
        task.tally.note(features, used / len(self.table.taken))
        task.finish(hashed.piece)
        after = self._carried(hashed) if kernel.split else self._written(hashed)
        return self._hash_phase(cut, features, hashed), *after

    def cut(self) -> tuple[Cut, int]:
        """Events of the window's rows, and their size."""
        work, options, threads = self.work, self.task.options, self.task.arch.threads_per_core
        if not self.kernel.tokens and options.deal == "rows":
            return deal(work, threads, options.event), options.event
        most = options.token if self.kernel.tokens else options.event
        size = min(most, max(LEAST_PIECE, int(work.sum()) // (PIECES * threads)))
        return in_line(work, threads, size), size

    def _emptied(self, used: int, sizes: Counts) -> Hashed:
        banks, split, table = self.task.arch.scratchpad.banks, self.kernel.split, self.table
        piece = Piece(self.window.first, sizes, table.columns[:used].copy(), table.sums[:used].copy())
        busiest = max(table.products[:used].max(initial=0), sizes.max(initial=0))  # a sum, or the counter of a row
        accesses = np.zeros((banks, 2), dtype=np.int64)
        empty_table(table, used, accesses, self.task.tally.lengths)
        return Hashed(piece, len(table.taken), table.slots[:used], bank_skew(accesses, banks, split), int(busiest))

    def _hash_phase(self, cut: Cut, features: Counts, hashed: Hashed) -> Phase:
        task, costs = self.task, self.costs["hash"]
        taking = _TOKEN if self.kernel.tokens else 0
        instructions = costs.counts(features) + taking
        moved = dict(costs.traffic(features, Rates(task.arch).access_bytes))
        fetches = None
        if self.kernel.split and task.options.dma == "operands":
            fetches = _operand_fetches(task, features)
            moved["dram.read", "right"] = moved.get(("dram.read", "right"), 0) + int(fetches[:, 0].sum())
        return Phase(
            "hash",
            instructions,
            None if self.kernel.tokens else cut.threads,
            moved,
            bank_skew=hashed.skew,
            hot_share=hashed.busiest / max(1, int(instructions[:, Instruction.ATOMIC].sum())),
            fetches=fetches,
        )

    def _written(self, hashed: Hashed) -> list[Phase]:
        """Threads look at all slots, and write and empty those that are taken."""
        task, threads = self.task, self.task.arch.threads_per_core
        features = np.zeros((threads, len(Feature)), dtype=np.int64)
        share = -(-hashed.slots // threads)
        features[:, Feature.STEP] = np.clip(hashed.slots - share * np.arange(threads), 0, share)
        features[:, Feature.ROW] = evenly(hashed.rows, threads)
        features[:, Feature.CLAIM] = np.bincount(hashed.slots_of // share, minlength=threads)
        largest = hashed.piece.sizes.max(initial=0) / max(1, len(hashed.slots_of))
        costs, word = self.costs["write-back"], Rates(task.arch).access_bytes
        owners = np.arange(threads, dtype=np.int32)
        moved = costs.traffic(features, word)
        writing = Phase("write-back", costs.counts(features), owners, moved, hot_share=float(largest))
        return [_row_sizes(task, hashed.rows), writing]

    def _carried(self, hashed: Hashed) -> list[Phase]:
        """DMA engines write the rows and empty the keys."""
        features = np.zeros((1, len(Feature)), dtype=np.int64)
        features[0, Feature.ROW], features[0, Feature.CLAIM] = hashed.rows, len(hashed.piece.indices)
        written = self.costs["write-back"].traffic(features, WORD_BYTES)["dram.write", "result"]
        filled = int((hashed.piece.sizes > 0).sum())
        moves = (
            Move("dram.write", "result", written, 2 * filled + 1),
            Move("scratchpad.fill", "table", hashed.slots * KEY_BYTES, 1),
        )
        return [replace(_row_sizes(self.task, hashed.rows), moves=moves)]


_TOKEN = np.array(Step(integer=2, atomic=1).instructions(), dtype=np.int64)  # taking one


def _row_sizes(task: Task, rows: int) -> Phase:
    """One thread adds up row sizes, and takes room for the window's result from a counter in memory."""
    features = np.zeros((1, len(Feature)), dtype=np.int64)
    features[0, Feature.ROW], features[0, Feature.ELEMENT] = rows, 1
    moved = SERIAL.traffic(features, Rates(task.arch).access_bytes)
    return Phase("row sizes", SERIAL.counts(features), traffic=moved, serial=True)


def _operand_fetches(task: Task, features: Counts) -> Counts:
    """Bytes and descriptors of the rows of the right operand that each event needs, columns and values: (events, 2)."""
    data = task.arch.data
    size_bytes = features[:, Feature.PRODUCT] * (data.value_bytes + data.index_bytes)
    return np.stack([size_bytes, 2 * features[:, Feature.ELEMENT]], axis=1)


def _in_scratchpad(step: Step) -> Step:
    """The same with what it read from the right operand brought by DMA."""
    words = step.reads.get("right", 0)
    rest: Mapping[str, int] = {tensor: count for tensor, count in step.reads.items() if tensor != "right"}
    return Step(step.integer, step.float, step.scratchpad + words, step.atomic, step.remote_atomic, rest, step.writes)


V1 = Smash("smash-v1", tokens=False, split=False)
V2 = Smash("smash-v2", tokens=True, split=False)
V3 = Smash("smash-v3", tokens=True, split=True)
