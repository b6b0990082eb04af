"""The default reader of a program: start times are maxima of sums, computed in program order, in numba.

At the end of every round of a loop the whole state the loop can see (engines, free and filled slots, transfers in
flight, and what each would be waited for) is compared with that of an earlier round. Where the two differ by a shift
of time alone, the rounds between them repeat until the loop ends, so the rest is a multiplication. Earlier rounds are
picked by Brent's rule (the round of the last power of two), so that a period of any length is found.
"""

from typing import Any, NamedTuple

import numpy as np

from simulator.kernel.tables import COMMAND, DIGIT, END, HEAD, LINE, LOOP, RUN, Table, Tables
from workloads.kernels import compiled

FILLED, FREE = 0, 1
NOT_LATE = -1
LEAD = 0
LOWEST = (1 << DIGIT) - 1


class State(NamedTuple):
    """Everything the future depends on. Slots are rings, [side, buffer, place], with the oldest at the head."""

    engine_free: Table
    last_cause: Table
    late: Table  # the cause, where an engine's last command waited for its input longer than it worked
    times: Table
    causes: Table
    heads: Table
    counts: Table
    slots: Table


class Marks(NamedTuple):
    """For every depth of loops: rounds left and done, and the state of the round it is compared with."""

    left: Table
    done: Table
    key: Table
    saved_key: Table
    saved_waits: Table
    saved_time: Table
    saved_round: Table


def evaluate(tables: Tables, jump: bool = True) -> tuple[Table, Table, int]:
    """The tick at which each engine is done, waits of the lead engine by cause, and commands really evaluated.

    Engines and causes are in the order of `tables`; a program takes as long as the last of its engines.

    Raises ValueError when a command takes a slot nobody has filled, needs one nobody has freed, or frees one nobody has
    taken.
    """
    waits = np.zeros(max(1, len(tables.causes)), dtype=np.int64)  # one at least: numba looks at no bounds
    ends = np.zeros(len(tables.engines), dtype=np.int64)
    stuck, steps = _evaluate(tables.words, jump, waits, ends)
    if stuck >= 0:
        command = tables.sources[stuck]
        slots = f"takes {command.takes}, fills {command.fills}, frees {command.frees}"
        raise ValueError(f"the program can never go on at a command of {command.engine}: {slots}")
    return ends, waits[: len(tables.causes)], steps


@compiled()
def _evaluate(words: Any, jump: Any, waits: Any, ends: Any) -> Any:
    """The command at which the program can not go on (or -1), and commands evaluated. Fills `waits` and `ends`."""
    engines, buffers, lines, commands, nest = words[:HEAD]
    start = HEAD + buffers
    code = words[start : start + LINE * lines].reshape(lines, LINE)
    start += LINE * lines
    work = words[start:].reshape(commands, COMMAND)
    state = _fresh(engines, words[HEAD : HEAD + buffers])
    marks = _marks(engines, state.slots, nest, waits.size)
    depth, row, steps = -1, 0, 0
    while row < lines:
        operation, argument = code[row, 0], code[row, 1]
        row += 1
        if operation == RUN:
            steps += 1
            if not _carry_out(work[argument], state, waits):
                return argument, steps
        elif operation == LOOP:
            depth += 1
            marks.left[depth], marks.done[depth], marks.saved_round[depth] = argument, 0, 0
        elif operation == END:
            marks.left[depth] -= 1
            marks.done[depth] += 1
            if jump and code[row - 1, 2] and marks.left[depth] > 0:
                _jump(depth, state, marks, code[row - 1, 2], code[row - 1, 3], waits)
            if marks.left[depth] > 0:
                row = argument + 1
            else:
                depth -= 1
    last = np.argmax(state.engine_free)
    waits[state.last_cause[last]] += state.engine_free[last] - state.engine_free[LEAD]
    ends[:] = state.engine_free
    return -1, steps


@compiled()
def _fresh(engines: Any, slots: Any) -> Any:
    buffers, widest = slots.size, max(1, slots.max()) if slots.size else 1
    counts = np.zeros((2, buffers), dtype=np.int64)
    counts[FREE] = slots
    return State(
        np.zeros(engines, dtype=np.int64),
        np.zeros(engines, dtype=np.int64),
        np.full(engines, NOT_LATE, dtype=np.int64),
        np.zeros((2, buffers, widest), dtype=np.int64),
        np.zeros((2, buffers, widest), dtype=np.int64),
        np.zeros((2, buffers), dtype=np.int64),
        counts,
        slots,
    )


@compiled()
def _marks(engines: Any, slots: Any, nest: Any, causes: Any) -> Any:
    width = 2 * engines + 2 * slots.size + 4 * slots.sum()
    return Marks(
        np.zeros(nest, dtype=np.int64),
        np.zeros(nest, dtype=np.int64),
        np.zeros(width, dtype=np.int64),
        np.zeros((nest, width), dtype=np.int64),
        np.zeros((nest, causes), dtype=np.int64),
        np.zeros(nest, dtype=np.int64),
        np.zeros(nest, dtype=np.int64),
    )


@compiled()
def _carry_out(command: Any, state: Any, waits: Any) -> Any:
    """One command; False where it waits for a slot that nobody can give, or gives back one that nobody took.

    Nobody is to blame for what the lead engine makes: waiting for it is not what a stall of the lead can come from.
    """
    engine, ticks, latency, cause, takes, fills, frees = command
    begin, late = state.engine_free[engine], np.int64(NOT_LATE)
    made_by = cause if state.late[engine] == NOT_LATE else state.late[engine]
    for side in range(2):
        digits = takes if side == FILLED else fills
        while digits:
            buffer = (digits & LOWEST) - 1
            digits >>= DIGIT
            if state.counts[side, buffer] == 0:
                return False
            head = state.heads[side, buffer]
            state.heads[side, buffer] = (head + 1) % state.times.shape[2]
            state.counts[side, buffer] -= 1
            if state.times[side, buffer, head] > begin:
                waited = state.times[side, buffer, head] - begin
                begin = state.times[side, buffer, head]
                blame = state.causes[side, buffer, head]
                if engine == LEAD:
                    waits[cause if blame == NOT_LATE else blame] += waited
                if side == FILLED and waited > ticks and blame != NOT_LATE:
                    made_by = late = blame
    end = begin + ticks
    state.engine_free[engine], state.last_cause[engine], state.late[engine] = end, made_by, late
    while fills:
        _give(FILLED, (fills & LOWEST) - 1, end + latency, NOT_LATE if engine == LEAD else made_by, state)
        fills >>= DIGIT
    while frees:
        buffer = (frees & LOWEST) - 1
        frees >>= DIGIT
        if state.counts[FREE, buffer] == state.slots[buffer]:
            return False
        _give(FREE, buffer, end, cause, state)
    return True


@compiled()
def _give(side: Any, buffer: Any, time: Any, cause: Any, state: Any) -> None:
    tail = (state.heads[side, buffer] + state.counts[side, buffer]) % state.times.shape[2]
    state.times[side, buffer, tail], state.causes[side, buffer, tail] = time, cause
    state.counts[side, buffer] += 1


@compiled()
def _jump(depth: Any, state: Any, marks: Any, engines: Any, buffers: Any, waits: Any) -> None:
    """Skip whole periods when the state is an earlier one again; otherwise remember it every power of two rounds."""
    now = _snapshot(state, marks.key, engines, buffers)
    done = marks.done[depth]
    if marks.saved_round[depth] > 0 and np.array_equal(marks.key, marks.saved_key[depth]):
        period = done - marks.saved_round[depth]
        jumps = marks.left[depth] // period
        _shift(jumps * (now - marks.saved_time[depth]), state, engines, buffers)
        waits += jumps * (waits - marks.saved_waits[depth])
        marks.left[depth] -= jumps * period
        marks.done[depth] += jumps * period
        marks.saved_round[depth] = 0
    elif done & (done - 1) == 0:
        marks.saved_key[depth] = marks.key
        marks.saved_waits[depth] = waits
        marks.saved_time[depth] = now
        marks.saved_round[depth] = done


@compiled()
def _snapshot(state: Any, key: Any, engines: Any, buffers: Any) -> Any:
    """Write the state a loop can see into `key`, relative to its latest engine; return that engine's time.

    A slot that has been ready since before every engine was free can hold nobody up: its age is forgotten.
    """
    latest, earliest = np.int64(-1), np.int64(np.iinfo(np.int64).max)
    for engine in range(state.engine_free.size):
        if engines >> engine & 1:
            latest = max(latest, state.engine_free[engine])
            earliest = min(earliest, state.engine_free[engine])
    place = 0
    for engine in range(state.engine_free.size):
        if engines >> engine & 1:
            key[place] = state.engine_free[engine] - latest
            key[place + 1] = state.late[engine]
            place += 2
    for side in range(2):
        for buffer in range(state.counts.shape[1]):
            if buffers >> buffer & 1:
                key[place] = state.counts[side, buffer]
                place = _slots_of(side, buffer, state, key, place + 1, latest, earliest)
    key[place:] = 0
    return latest


@compiled()
def _slots_of(side: Any, buffer: Any, state: Any, key: Any, place: Any, latest: Any, earliest: Any) -> Any:
    for index in range(state.counts[side, buffer]):
        slot = (state.heads[side, buffer] + index) % state.times.shape[2]
        binding = state.times[side, buffer, slot] > earliest
        key[place] = state.times[side, buffer, slot] - latest if binding else earliest - latest
        key[place + 1] = state.causes[side, buffer, slot] if binding else 0
        place += 2
    return place


@compiled()
def _shift(by: Any, state: Any, engines: Any, buffers: Any) -> None:
    for engine in range(state.engine_free.size):
        if engines >> engine & 1:
            state.engine_free[engine] += by
    for buffer in range(state.times.shape[1]):
        if buffers >> buffer & 1:
            state.times[:, buffer, :] += by
