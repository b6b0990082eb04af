"""The reference for small products: every instruction of every thread in turn, on one core.

Where the event model counts what an event does and asks for it at once, here each access goes to its own bank, address
and channel when its turn comes, keys are compared and swapped in that order, sums are added in it, and threads take
tokens as they get there. Too slow for more than some thousand products; it says how far the event model is off.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dataflows.spgemm.hashing import EMPTY, HASHES, Window
from dataflows.spgemm.kernel import Collector, Feature, Piece, Recipe, Step, Tally, Task, rows_of
from dataflows.spgemm.options import FabricOptions
from dataflows.spgemm.smash import HashUnit, Smash
from simulator.fabric.program import Counts, Instruction
from simulator.fabric.rates import ATOMIC_ACCESSES, TICKS, Rates
from simulator.fabric.run import FabricRun
from simulator.machines.piuma import FabricArch
from workloads.kernels import compiled
from workloads.sparse.matrix import SparseProduct, Values

INTEGER, FLOAT, LOAD, STORE, SCRATCHPAD, ATOMIC, REMOTE = range(len(Instruction))
ROW, ELEMENT, PRODUCT, STEP, CLAIM, SEARCH = range(6)
SWAP = len(Instruction)  # a compare-and-swap of a key, which says what comes next
TOKEN = len(Feature)  # taking one
LONGEST = 64  # instructions a thread has decided on at once, at most


class Machine(NamedTuple):
    """One core in cycles. latencies: by class; loads: in flight a thread; engine, channel: cycles a word takes."""

    threads: int
    loads: int
    pipelines: int
    banks: int
    latencies: Values
    engine: float
    same_address: float
    channel: float


class Steps(NamedTuple):
    """Work of a phase in order. kinds, keys, values: (steps,), key and value of a product, row of a claim, slot of a
    step. starts: (events + 1,); owners: (events,), -1 where any thread takes it.
    """

    kinds: Counts
    keys: Counts
    values: Values
    starts: Counts
    owners: Counts


@dataclass(frozen=True)
class Interleaved:
    """Cycles of a window's phases, and what its threads did."""

    hash_cycles: float
    write_cycles: float
    instructions: Counts
    probes: int


@dataclass(frozen=True)
class Comparison:
    """Cycles of all hash and write-back phases in both models, and instructions and probes in both."""

    hash_cycles: tuple[float, float]
    write_cycles: tuple[float, float]
    instructions: tuple[int, int]
    probes: tuple[int, int]

    @property
    def cycles(self) -> tuple[float, float]:
        """Of both phases together, in the event model and interleaved."""
        return self.hash_cycles[0] + self.write_cycles[0], self.hash_cycles[1] + self.write_cycles[1]

    @property
    def error(self) -> float:
        """Of the event model's cycles."""
        ours, exact = self.cycles
        return ours / exact - 1


def compare(
    product: SparseProduct, arch: FabricArch, kernel: Smash, options: FabricOptions
) -> tuple[Comparison, Collector]:
    """A product on one core in both models, and the rows that the interleaved one added up."""
    one = replace(arch, chips=1, cores_per_chip=1)
    found = Collector()
    task = Task(product, one, options, Tally(), Collector())
    run = FabricRun(one)
    stages = kernel.stages(task)
    timing = run.run(stages)
    exact = [_window(unit, found) for unit in stages[-1].units if isinstance(unit, HashUnit)]
    ours = {
        name: sum(r.end - r.start for r in timing.records if r.phase == name) / TICKS for name in ("hash", "write-back")
    }
    counted = sum(r.instructions for r in timing.records if r.phase in ours)
    comparison = Comparison(
        (ours["hash"], sum(each.hash_cycles for each in exact)),
        (ours["write-back"], sum(each.write_cycles for each in exact)),
        (counted, int(sum(each.instructions.sum() for each in exact))),
        (task.tally.steps, sum(each.probes for each in exact)),
    )
    return comparison, found


def _window(unit: HashUnit, found: Collector) -> Interleaved:
    task, kernel = unit.task, unit.kernel
    machine, slots = _machine(task.arch), len(unit.table.taken)
    recipes = kernel.recipes(task.arch, task.options)
    tags, sums = np.full(slots, EMPTY, dtype=np.int64), np.zeros(slots)
    width = unit.window.right - unit.window.left
    shape = (width, HASHES.index(task.options.hash), (unit.window.last - unit.window.first) * width, kernel.split)
    cycles, counted = _run(machine, _hash_steps(unit), _costs(recipes["hash"]), shape, tags, sums)
    probes = int(counted[SWAP])
    written = 0.0
    if not kernel.split:
        steps = _write_steps(unit, tags)
        written, more = _run(machine, steps, _costs(recipes["write-back"]), shape, tags, sums)
        counted = counted + more
    counted[ATOMIC] += counted[SWAP]
    found.put(_piece(unit.window, tags, sums))
    return Interleaved(cycles, written, counted[: len(Instruction)], probes)


def _machine(arch: FabricArch) -> Machine:
    rates = Rates(arch)
    word = rates.access_bytes
    return Machine(
        threads=arch.threads_per_core,
        loads=arch.pipeline.loads_in_flight,
        pipelines=arch.pipeline.mtps,
        banks=arch.scratchpad.banks * arch.scratchpad.ports,
        latencies=rates.latencies / TICKS,
        engine=1 / arch.atomic.ops_per_cycle,
        same_address=float(arch.atomic.same_address_cycles),
        channel=word / arch.dram_bytes_per_cycle,
    )


def _costs(recipe: Recipe) -> Counts:
    """Instructions of each kind of step by class: (len(Feature) + 1, len(Instruction))."""
    token = Step(integer=2, atomic=1)
    return np.array([*(recipe.get(each, Step()).instructions() for each in Feature), token.instructions()])


def _hash_steps(unit: HashUnit) -> Steps:
    cut, size = unit.cut()
    shared = unit.kernel.tokens or unit.task.options.deal == "pieces"
    product = unit.task.product
    left, right = rows_of(product.left), rows_of(product.right)
    kinds, keys, values, events = _line_up(left, right, unit.window, cut.first, cut.offset, size, shared)
    starts = np.searchsorted(events, np.arange(len(cut.threads) + 1))
    if unit.kernel.tokens:
        taking = starts[:-1]
        kinds, keys, values = np.insert(kinds, taking, TOKEN), np.insert(keys, taking, 0), np.insert(values, taking, 0)
        starts = starts + np.arange(len(starts))
    owners = np.full(len(cut.threads), -1) if unit.kernel.tokens else cut.threads.astype(np.int64)
    return Steps(kinds, keys, values, starts, owners)


@compiled()
def _line_up(left: Any, right: Any, window: Any, first: Any, offsets: Any, size: Any, shared: Any) -> Any:
    """The steps of a window by event: kinds, keys, values, events; sorted by event."""
    lined = [(np.int64(0), np.int64(0), 0.0, np.int64(0))]
    lined.clear()
    width = window.right - window.left
    for row in range(window.first, window.last):
        place = np.int64(row - window.first)
        event, room = first[place], size - offsets[place]
        lined.append((np.int64(ROW), place, 0.0, event))
        for element in range(left.starts[row], left.starts[row + 1]):
            lined.append((np.int64(ELEMENT), place, 0.0, event))
            inner = left.indices[element]
            low, high = right.starts[inner], right.starts[inner + 1]
            while window.left > 0 and low < high:
                middle = (low + high) // 2
                lined.append((np.int64(SEARCH), place, 0.0, event))
                if right.indices[middle] < window.left:
                    low = middle + 1
                else:
                    high = middle
            for other in range(low, right.starts[inner + 1]):
                if right.indices[other] >= window.right:
                    break
                if room == 0:
                    event, room = event + 1, size
                    if shared:
                        lined.append((np.int64(ROW), place, 0.0, event))
                        lined.append((np.int64(ELEMENT), place, 0.0, event))
                room -= 1
                key = place * width + right.indices[other] - window.left
                lined.append((np.int64(PRODUCT), key, left.values[element] * right.values[other], event))
    order = np.argsort(np.array([each[3] for each in lined]), kind="mergesort")
    kinds = np.array([each[0] for each in lined])[order]
    keys = np.array([each[1] for each in lined])[order]
    return kinds, keys, np.array([each[2] for each in lined])[order], np.array([each[3] for each in lined])[order]


def _write_steps(unit: HashUnit, tags: Counts) -> Steps:
    """Each thread looks at its share of the slots; rows are dealt one by one."""
    threads, slots = unit.task.arch.threads_per_core, len(tags)
    share, width = -(-slots // threads), unit.window.right - unit.window.left
    rows = unit.window.last - unit.window.first
    kinds: list[int] = []
    keys: list[int] = []
    starts = [0]
    for thread in range(threads):
        for slot in range(min(slots, thread * share), min(slots, (thread + 1) * share)):
            kinds.append(STEP)
            keys.append(slot)
            if tags[slot] != EMPTY:
                kinds.append(CLAIM)
                keys.append(int(tags[slot]) // width)
        mine = range(thread, rows, threads)
        kinds += [ROW] * len(mine)
        keys += list(mine)
        starts.append(len(kinds))
    values = np.zeros(len(kinds))
    return Steps(np.array(kinds), np.array(keys), values, np.array(starts), np.arange(threads))


def _piece(window: Window, tags: Counts, sums: Values) -> Piece:
    width = window.right - window.left
    kept = np.flatnonzero(tags != EMPTY)
    kept = kept[np.argsort(tags[kept])]
    rows = np.bincount(tags[kept] // width, minlength=window.last - window.first)
    return Piece(window.first, rows, (tags[kept] % width + window.left).astype(np.int32), sums[kept])


def _run(machine: Machine, steps: Steps, costs: Counts, shape: Any, tags: Counts, sums: Values) -> tuple[float, Counts]:
    """Cycles until the last thread is done, and instructions by class, compare-and-swaps of keys apart."""
    counted = np.zeros(len(Instruction) + 1, dtype=np.int64)
    return _interleave(machine, steps, costs, shape, tags, sums, counted), counted


@compiled()
def _interleave(machine: Any, steps: Any, costs: Any, shape: Any, tags: Any, sums: Any, counted: Any) -> Any:
    """Whoever is due first issues its next instruction, or is served with the one it has issued."""
    threads, slots = machine.threads, len(tags)
    classes, places = np.zeros((threads, LONGEST), np.int64), np.zeros((threads, LONGEST), np.int64)
    head, tail = np.zeros(threads, np.int64), np.zeros(threads, np.int64)
    event, step = np.full(threads, -1), np.zeros(threads, np.int64)
    busy = (
        np.zeros(machine.pipelines),
        np.zeros(machine.banks),
        np.zeros(2),  # atomic engine, channel
        np.zeros(3 * slots + 1 + (steps.keys.max() if len(steps.keys) else 0)),
    )
    times, serving = np.zeros(threads), np.zeros(threads, np.bool_)
    loads, back = np.zeros(threads, np.int64), np.zeros(threads)  # under way, and when the last of them is back
    alive, upcoming, end = threads, 0, 0.0
    while alive:
        thread = np.argmin(times)
        now = times[thread]
        if head[thread] == tail[thread] and not serving[thread]:
            head[thread] = tail[thread] = 0
            if event[thread] < 0 or step[thread] == steps.starts[event[thread] + 1]:
                if back[thread] > now:
                    times[thread], loads[thread] = back[thread], 0
                    continue
                number = _next_event(steps.owners, event[thread], thread, upcoming)
                if number < 0:
                    times[thread], alive, end = np.inf, alive - 1, max(end, now)
                    continue
                upcoming = max(upcoming, number + 1)
                event[thread], step[thread] = number, steps.starts[number]
                if step[thread] == steps.starts[number + 1]:
                    continue
            _decide(
                steps.kinds[step[thread]], steps.keys[step[thread]], costs, shape, slots, thread, classes, places, tail
            )
            step[thread] += 1
            if head[thread] == tail[thread]:
                continue
        if not serving[thread]:
            pipeline = thread % machine.pipelines
            start = max(now, busy[0][pipeline])
            busy[0][pipeline] = start + 1
            times[thread], serving[thread] = start, True
            continue
        kind, place = classes[thread, head[thread]], places[thread, head[thread]]
        head[thread] += 1
        counted[kind] += 1
        times[thread], serving[thread] = _serve(machine, busy, now, kind, place), False
        if kind == LOAD:
            loads[thread], back[thread] = loads[thread] + 1, max(back[thread], times[thread])
            times[thread] = now + 1 if loads[thread] < machine.loads else back[thread]
            loads[thread] %= machine.loads
        if kind == SWAP:
            key, value = steps.keys[step[thread] - 1], steps.values[step[thread] - 1]
            _swapped(key, value, place // 2, costs, shape, tags, sums, thread, classes, places, head, tail)
    return end


@compiled()
def _next_event(owners: Any, before: Any, thread: Any, upcoming: Any) -> Any:
    """The event a thread does next: its own next one, or the next that nobody has; -1 where there is none."""
    if len(owners) == 0:
        return -1
    if owners[0] < 0:
        return upcoming if upcoming < len(owners) else -1
    for number in range(before + 1, len(owners)):
        if owners[number] == thread:
            return number
    return -1


@compiled()
def _serve(machine: Any, busy: Any, now: Any, kind: Any, place: Any) -> Any:
    """When the thread's next instruction may issue."""
    done = now + machine.latencies[ATOMIC if kind == SWAP else kind]
    if kind in (LOAD, STORE):
        begin = max(now, busy[2][1])
        busy[2][1] = begin + machine.channel
        return done + begin - now if kind == LOAD else done
    if kind == SCRATCHPAD:
        bank = place % machine.banks
        begin = max(now, busy[1][bank])
        busy[1][bank] = begin + 1
        return done + begin - now
    if kind in (ATOMIC, SWAP):
        bank = place % machine.banks
        taken = max(now, busy[1][bank], busy[2][0])
        busy[1][bank], busy[2][0] = taken + ATOMIC_ACCESSES, taken + machine.engine
        begin = max(taken, busy[3][place])  # who waits for an address does not hold up the others
        busy[3][place] = begin + machine.same_address
        return done + begin - now
    return done


@compiled()
def _decide(
    kind: Any, key: Any, costs: Any, shape: Any, slots: Any, thread: Any, classes: Any, places: Any, tail: Any
) -> None:
    """The instructions of a step. Addresses: key and sum of each slot, further words, counters of rows, of tokens."""
    place = 2 * slots + key if kind != PRODUCT else 0
    if kind == TOKEN:
        place = 3 * slots  # a word of its own
    for each in range(len(costs[kind])):
        if kind == PRODUCT and each == ATOMIC:
            continue
        _push(each, costs[kind, each], place if kind != PRODUCT else key, thread, classes, places, tail)
    if kind == PRODUCT:
        slot = _first_slot(key, shape, slots)
        _push(INTEGER, costs[STEP, INTEGER], 0, thread, classes, places, tail)
        _push(SWAP, 1, 2 * slot, thread, classes, places, tail)


@compiled()
def _swapped(
    key: Any, value: Any, slot: Any, costs: Any, shape: Any, tags: Any, sums: Any, thread: Any, classes: Any,
    places: Any, head: Any, tail: Any,
) -> None:  # fmt: skip
    """What a compare-and-swap leads to: the next probe, or a new key counted, and the sum added to."""
    slots, width = len(tags), shape[0]
    head[thread] = tail[thread] = 0
    if tags[slot] != key and tags[slot] != EMPTY:
        _push(INTEGER, costs[STEP, INTEGER], 0, thread, classes, places, tail)
        _push(SWAP, 1, 2 * ((slot + 1) % slots), thread, classes, places, tail)
        return
    if tags[slot] == EMPTY:
        tags[slot] = key
        for each in range(len(costs[CLAIM])):
            _push(each, costs[CLAIM, each], 2 * slots + key // width, thread, classes, places, tail)
    sums[slot] += value
    _push(ATOMIC, costs[PRODUCT, ATOMIC], 2 * slot + 1, thread, classes, places, tail)


@compiled()
def _push(kind: Any, count: Any, place: Any, thread: Any, classes: Any, places: Any, tail: Any) -> None:
    for number in range(count):
        classes[thread, tail[thread]] = kind
        places[thread, tail[thread]] = place + (number if kind == SCRATCHPAD else 0)
        tail[thread] += 1


@compiled()
def _first_slot(key: Any, shape: Any, slots: Any) -> Any:
    """As `hashing._slot` has it."""
    if shape[1] == 1:
        return key & (slots - 1)
    if shape[1] == 2:
        return np.int64(np.float64(key) * slots / shape[2])
    return np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) * slots >> 32
