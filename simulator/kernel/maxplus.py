"""The default reader of a program: start times are maxima of sums, computed in program order, in numba.

At the end of every round of a loop the whole state the loop can see (engines, free and filled slots, transfers in
flight, and what each would be waited for) is compared with that of an earlier round. Where the two differ by a shift
of time alone, the rounds between them repeat until the loop ends, so the rest is a multiplication. Earlier rounds are
picked by Brent's rule (the round of the last power of two), so that a period of any length is found.
"""

import numpy as np
from numba import njit

from simulator.kernel.tables import CAUSES, END, LOOP, Table, Tables

MAX_DEPTH = 16


def evaluate(tables: Tables, jump: bool = True) -> tuple[int, Table, int]:
    """Cycles, waits of the lead engine by cause (in the order of `Stall`), and commands really evaluated.

    Raises ValueError when a command takes a slot nobody fills, or needs one nobody frees.
    """
    waits = np.zeros(len(CAUSES), dtype=np.int64)
    cycles, steps = _evaluate(
        tables.code,
        tables.commands,
        tables.takes,
        tables.frees,
        tables.fills,
        tables.slots,
        tables.uses_engine,
        tables.uses_buffer,
        tables.can_jump if jump else np.zeros_like(tables.can_jump),
        len(tables.engines),
        tables.lead,
        waits,
    )
    if cycles < 0:
        command = tables.sources[-cycles - 1]
        raise ValueError(f"the program can never go on: {command.engine} waits for {command.takes or command.fills}")
    return int(cycles), waits, int(steps)


@njit(cache=True)
def _snapshot(key, engine_free, times, causes, heads, counts, uses_engine, uses_buffer):  # type: ignore[no-untyped-def]
    """Write the state a loop can see into `key`, relative to its latest engine; return that engine's time.

    A slot that has been ready since before every engine was free can hold nobody up: its age is forgotten.
    """
    latest = np.int64(-1)
    earliest = np.int64(np.iinfo(np.int64).max)
    for engine in range(engine_free.size):
        if uses_engine[engine]:
            latest = max(latest, engine_free[engine])
            earliest = min(earliest, engine_free[engine])
    place = 0
    for engine in range(engine_free.size):
        if uses_engine[engine]:
            key[place] = engine_free[engine] - latest
            place += 1
    for side in range(2):
        for buffer in range(heads.shape[1]):
            if not uses_buffer[buffer]:
                continue
            key[place] = counts[side, buffer]
            place += 1
            for index in range(counts[side, buffer]):
                slot = (heads[side, buffer] + index) % times.shape[2]
                binding = times[side, buffer, slot] > earliest
                key[place] = times[side, buffer, slot] - latest if binding else earliest - latest
                key[place + 1] = causes[side, buffer, slot] if binding else 0
                place += 2
    key[place:] = 0
    return latest


@njit(cache=True)
def _shift(by, engine_free, times, uses_engine, uses_buffer):  # type: ignore[no-untyped-def]
    for engine in range(engine_free.size):
        if uses_engine[engine]:
            engine_free[engine] += by
    for buffer in range(times.shape[1]):
        if uses_buffer[buffer]:
            times[:, buffer, :] += by


@njit(cache=True)
def _evaluate(  # type: ignore[no-untyped-def]
    code, commands, takes, frees, fills, slots, uses_engine, uses_buffer, can_jump, engines, lead, waits
):
    widest = slots.max()
    buffers = slots.size
    filled, free = 0, 1
    engine_free = np.zeros(engines, dtype=np.int64)
    last_cause = np.zeros(engines, dtype=np.int64)
    times = np.zeros((2, buffers, widest), dtype=np.int64)
    causes = np.zeros((2, buffers, widest), dtype=np.int64)
    heads = np.zeros((2, buffers), dtype=np.int64)
    counts = np.zeros((2, buffers), dtype=np.int64)
    counts[free] = slots
    width = engines + 2 * buffers + 4 * slots.sum()
    key = np.zeros(width, dtype=np.int64)
    saved = np.zeros((MAX_DEPTH, width), dtype=np.int64)
    saved_waits = np.zeros((MAX_DEPTH, waits.size), dtype=np.int64)
    saved_time = np.zeros(MAX_DEPTH, dtype=np.int64)
    saved_round = np.zeros(MAX_DEPTH, dtype=np.int64)
    left = np.zeros(MAX_DEPTH, dtype=np.int64)
    done = np.zeros(MAX_DEPTH, dtype=np.int64)
    depth, row, steps = -1, 0, 0
    while row < code.shape[0]:
        operation, argument = code[row, 0], code[row, 1]
        if operation == LOOP:
            depth += 1
            left[depth], done[depth], saved_round[depth] = argument, 0, 0
            row += 1
            continue
        if operation == END:
            left[depth] -= 1
            done[depth] += 1
            if can_jump[argument] and left[depth] > 0:
                now = _snapshot(
                    key, engine_free, times, causes, heads, counts, uses_engine[argument], uses_buffer[argument]
                )
                if saved_round[depth] > 0 and np.array_equal(key, saved[depth]):
                    period = done[depth] - saved_round[depth]
                    jumps = left[depth] // period
                    _shift(
                        jumps * (now - saved_time[depth]), engine_free, times,
                        uses_engine[argument], uses_buffer[argument],
                    )  # fmt: skip
                    waits += jumps * (waits - saved_waits[depth])
                    left[depth] -= jumps * period
                    done[depth] += jumps * period
                    saved_round[depth] = 0
                elif done[depth] & (done[depth] - 1) == 0:
                    saved[depth] = key
                    saved_waits[depth] = waits
                    saved_time[depth] = now
                    saved_round[depth] = done[depth]
            if left[depth] > 0:
                row = argument + 1
            else:
                depth -= 1
                row += 1
            continue
        steps += 1
        engine, ticks, latency, cause = commands[argument]
        begin = engine_free[engine]
        made_by = cause
        for side in range(2):
            wanted = takes[argument] if side == filled else fills[argument]
            for buffer in wanted:
                if buffer < 0:
                    break
                if counts[side, buffer] == 0:
                    return -argument - 1, steps
                head = heads[side, buffer]
                heads[side, buffer] = (head + 1) % widest
                counts[side, buffer] -= 1
                if times[side, buffer, head] > begin:
                    if engine == lead:
                        waits[causes[side, buffer, head]] += times[side, buffer, head] - begin
                    begin = times[side, buffer, head]
                    if side == filled:
                        made_by = causes[side, buffer, head]
        end = begin + ticks
        engine_free[engine] = end
        last_cause[engine] = cause
        for buffer in fills[argument]:
            if buffer < 0:
                break
            tail = (heads[filled, buffer] + counts[filled, buffer]) % widest
            times[filled, buffer, tail], causes[filled, buffer, tail] = end + latency, made_by
            counts[filled, buffer] += 1
        for buffer in frees[argument]:
            if buffer < 0:
                break
            tail = (heads[free, buffer] + counts[free, buffer]) % widest
            times[free, buffer, tail], causes[free, buffer, tail] = end, cause
            counts[free, buffer] += 1
        row += 1
    cycles = engine_free.max()
    waits[last_cause[engine_free.argmax()]] += cycles - engine_free[lead]
    return cycles, steps
