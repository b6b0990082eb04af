"""The default reader of a program: start times are maxima of sums, computed command by command in program order.

One source with two forms. Python reads it on lists, which takes no time to begin; numba compiles it for arrays, which
takes seconds once on a machine and half a second in every process. `maxplus` picks the form.

At the end of every round of a loop the whole state the loop can see (engines, free and filled slots, transfers in
flight, and what each would be waited for) is compared with that of an earlier round. Where the two differ by a shift
of time alone, the rounds between them repeat until the loop ends, so the rest is a multiplication. Earlier rounds are
picked by Brent's rule (the round of the last power of two), so that a period of any length is found.

Everything is a flat row of integers, so that a list and an array are indexed alike. `words` is described in `tables`.
The free slots of buffer b are ring b, its filled slots ring `buffers + b`; place p of ring r is at r * widest + p.
"""

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

from simulator.kernel.tables import COMMAND, DIGIT, END, HEAD, LINE, LOOP, RUN

NOT_LATE = -1
LEAD = 0
Row = MutableSequence[int]  # a list for Python, an array for numba
LOWEST = (1 << DIGIT) - 1
GOES_ON, TOO_LONG = -1, -2  # in place of a command at which a program is stuck


class State(NamedTuple):
    """Everything the future depends on, and the waits of the lead engine by cause.

    `late` is the cause where an engine's last command waited for its input longer than it worked.
    """

    free_at: Row
    last_cause: Row
    late: Row
    heads: Row
    counts: Row
    times: Row
    causes: Row
    waits: Row


class Marks(NamedTuple):
    """For every depth of loops: rounds left and done, and the state of the round it is compared with."""

    left: Row
    done: Row
    saved_round: Row
    saved_time: Row
    saved_key: Row
    saved_waits: Row
    key: Row


def sizes(words: Sequence[int], causes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The lengths of the rows of a state and of its marks, all of which begin as zeros."""
    engines, buffers, _, _, nest = words[:HEAD]
    slots = words[HEAD : HEAD + buffers]
    rings, places = 2 * buffers, 2 * buffers * max([1, *slots])
    width = 2 * engines + 2 * buffers + 4 * sum(slots)
    state = (engines, engines, engines, rings, rings, places, places, max(1, causes))
    return state, (nest, nest, nest, nest, nest * width, nest * max(1, causes), width)


def walk(words: Sequence[int], is_jumping: bool, most: int, state: State, marks: Marks) -> tuple[int, int]:
    """The command at which the program can not go on (or GOES_ON, or TOO_LONG), and commands evaluated.

    Fills the state. is_jumping: whether rounds that repeat are skipped. most: commands to evaluate before giving up.
    """
    engines, buffers, lines = words[0], words[1], words[2]
    code, widest = HEAD + buffers, len(state.times) // max(1, 2 * buffers)
    work = code + LINE * lines
    for engine in range(engines):
        state.late[engine] = NOT_LATE
    for buffer in range(buffers):
        state.counts[buffer] = words[HEAD + buffer]
    depth, row, steps = -1, 0, 0
    while row < lines:
        at = code + LINE * row
        operation, argument = words[at], words[at + 1]
        row += 1
        if operation == RUN:
            if steps == most:
                return TOO_LONG, steps
            steps += 1
            if not carry_out(words, work + COMMAND * argument, buffers, widest, state):
                return argument, steps
        elif operation == LOOP:
            depth += 1
            marks.left[depth], marks.done[depth], marks.saved_round[depth] = argument, 0, 0
        elif operation == END:
            if has_more(depth, words, at, is_jumping, state, marks):
                row = argument + 1
            else:
                depth -= 1
    blame_the_last(state)
    return GOES_ON, steps


def has_more(depth: int, words: Sequence[int], at: int, is_jumping: bool, state: State, marks: Marks) -> bool:
    """Whether the loop whose round has ended at `at` has another one."""
    marks.left[depth] -= 1
    marks.done[depth] += 1
    if is_jumping and words[at + 2] != 0 and marks.left[depth] > 0:
        jump(depth, words, at, state, marks)
    return marks.left[depth] > 0


def blame_the_last(state: State) -> None:
    """The lead waits at the end for the engine that is done last."""
    last = 0
    for engine in range(len(state.free_at)):
        if state.free_at[engine] > state.free_at[last]:
            last = engine
    state.waits[state.last_cause[last]] += state.free_at[last] - state.free_at[LEAD]


def carry_out(words: Sequence[int], at: int, buffers: int, widest: int, state: State) -> bool:
    """The command that begins at `at`; False where it waits for a slot that nobody can give, or gives one too many.

    Nobody is to blame for what the lead engine makes: waiting for it is not what a stall of the lead can come from.
    """
    free_at, last_cause, late_of, heads, counts, times, causes, waits = state
    engine, ticks, latency, cause = words[at], words[at + 1], words[at + 2], words[at + 3]
    takes, fills, frees = words[at + 4], words[at + 5], words[at + 6]
    begin, late = free_at[engine], NOT_LATE
    made_by = cause if late_of[engine] == NOT_LATE else late_of[engine]
    for side in range(2):
        digits = takes if side == 0 else fills
        while digits != 0:
            ring = (digits & LOWEST) - 1
            if side == 0:
                ring += buffers
            digits >>= DIGIT
            if counts[ring] == 0:
                return False
            head = heads[ring]
            heads[ring] = head + 1 if head + 1 < widest else 0
            counts[ring] -= 1
            ready = times[ring * widest + head]
            if ready > begin:
                waited, begin = ready - begin, ready
                blame = causes[ring * widest + head]
                if engine == LEAD:
                    waits[cause if blame == NOT_LATE else blame] += waited
                if side == 0 and waited > ticks and blame != NOT_LATE:
                    made_by = late = blame
    end = begin + ticks
    free_at[engine], last_cause[engine], late_of[engine] = end, made_by, late
    while fills != 0:
        ring = buffers + (fills & LOWEST) - 1
        place = ring * widest + (heads[ring] + counts[ring]) % widest
        times[place], causes[place] = end + latency, NOT_LATE if engine == LEAD else made_by
        counts[ring] += 1
        fills >>= DIGIT
    while frees != 0:
        ring = (frees & LOWEST) - 1
        if counts[ring] == words[HEAD + ring]:
            return False
        place = ring * widest + (heads[ring] + counts[ring]) % widest
        times[place], causes[place] = end, cause
        counts[ring] += 1
        frees >>= DIGIT
    return True


def jump(depth: int, words: Sequence[int], at: int, state: State, marks: Marks) -> None:
    """Skip whole periods when the state is an earlier one again; otherwise remember it every power of two rounds.

    Most rounds differ in their engines already, and then nobody looks at the slots. What is remembered with one round
    left would save nothing.
    """
    engines, buffers, key, width = words[at + 2], words[at + 3], marks.key, len(marks.key)
    done, saved_round, causes = marks.done[depth], marks.saved_round[depth], len(state.waits)
    is_saved = done & (done - 1) == 0 and marks.left[depth] > 1
    place, now, earliest = see_engines(words, engines, state, key)
    is_again = saved_round > 0 and is_alike(key, marks.saved_key, width * depth, place)
    if is_again or is_saved:
        see_slots(words, buffers, state, key, place, now, earliest)
    if is_again and is_alike(key, marks.saved_key, width * depth, width):
        jumps = marks.left[depth] // (done - saved_round)
        shift(jumps * (now - marks.saved_time[depth]), words, engines, buffers, state)
        for cause in range(causes):
            state.waits[cause] += jumps * (state.waits[cause] - marks.saved_waits[causes * depth + cause])
        marks.left[depth] -= jumps * (done - saved_round)
        marks.done[depth] += jumps * (done - saved_round)
        marks.saved_round[depth] = 0
    elif is_saved:
        for place in range(width):
            marks.saved_key[width * depth + place] = key[place]
        for cause in range(causes):
            marks.saved_waits[causes * depth + cause] = state.waits[cause]
        marks.saved_time[depth], marks.saved_round[depth] = now, done


def see_engines(words: Sequence[int], engines: int, state: State, key: Row) -> tuple[int, int, int]:
    """Write the engines that a loop can see into `key`, relative to the latest of them.

    Returns how far the key is written, and the times of the latest and of the earliest engine.
    """
    free_at = state.free_at
    latest = earliest = -1
    for engine in range(words[0]):
        if engines >> engine & 1:
            latest = max(latest, free_at[engine])
            earliest = free_at[engine] if earliest < 0 else min(earliest, free_at[engine])
    place = 0
    for engine in range(words[0]):
        if engines >> engine & 1:
            key[place], key[place + 1] = free_at[engine] - latest, state.late[engine]
            place += 2
    return place, latest, earliest


def see_slots(
    words: Sequence[int], buffers: int, state: State, key: Row, place: int, latest: int, earliest: int
) -> None:
    """Write the slots that a loop can see into the rest of `key`, relative to the latest engine.

    A slot that has been ready since before every engine was free can hold nobody up: its age is forgotten.
    """
    heads, counts, times, causes = state.heads, state.counts, state.times, state.causes
    widest = len(times) // max(1, len(counts))
    for ring in range(len(counts)):
        if buffers >> ring % words[1] & 1:
            key[place] = counts[ring]
            place += 1
            for index in range(counts[ring]):
                slot = ring * widest + (heads[ring] + index) % widest
                ready = times[slot]
                key[place] = max(ready, earliest) - latest
                key[place + 1] = causes[slot] if ready > earliest else 0
                place += 2
    while place < len(key):
        key[place] = 0
        place += 1


def is_alike(key: Row, saved: Row, start: int, length: int) -> bool:
    """Whether a key is the one saved from `start` on, up to a length."""
    place = 0
    while place < length and key[place] == saved[start + place]:
        place += 1
    return place == length


def shift(by: int, words: Sequence[int], engines: int, buffers: int, state: State) -> None:
    """Move all that a loop can see to a later time."""
    widest = len(state.times) // max(1, len(state.counts))
    for engine in range(words[0]):
        if engines >> engine & 1:
            state.free_at[engine] += by
    for ring in range(len(state.counts)):
        if buffers >> ring % words[1] & 1:
            for place in range(ring * widest, ring * widest + widest):
                state.times[place] += by


PARTS = (has_more, blame_the_last, carry_out, jump, see_engines, see_slots, is_alike, shift)  # what `walk` calls
