"""The threads of all cores against time, compiled: what each does next, and how long it waits there.

Threads and cores that wait for a tick stand in one heap, by their ticks, and at one tick in the order in which they
asked. A thread is let go on here. A core is handed back, because its next phase is made in Python; while the threads of
a phase are at work it does not wait for a tick, but for the last of them.
"""

from typing import Any, NamedTuple

from simulator.fabric.heap import rise, sink
from simulator.fabric.program import Counts
from simulator.fabric.rates import CARRYING, SHARED
from workloads.kernels import compiled

NONE = -1
NOW, TURNS, WAITING = range(3)  # of `clock`: the tick, how often somebody asked for one, how many wait
TICK, TURN, WHO = range(3)  # of an entry of the heap
FREE, USED = range(2)  # of a server
NEXT, STOP = range(2)  # of a queue of events
QUEUE, EVENT, READY, WORKING = range(4)  # of a thread: its queue, its next event, when that can begin; is it at work
# Of a core: its phase's begin, threads that have not ended, ticks a thread occupies the counter of events, whether data
# is fetched; ticks threads worked and waited for an event to begin, and ticks more than alone by what was short.
BEGAN, LEFT, COUNTING, AHEAD, WORKED, WAITED, EXTRA = range(7)
# Of an event: ticks alone, on what is shared, for what is fetched; and what became of it.
ALONE, SHARE = range(2)
FETCH = SHARE + len(SHARED)
BEGIN = FETCH + len(CARRYING)
END, THREAD = BEGIN + 1, BEGIN + 2


class Threads(NamedTuple):
    """All threads and cores, as numba takes them.

    heap: (threads + cores, 3), threads by their numbers and behind them cores. servers: (servers, 2), whatever serves
    in the order it is asked: when it is free again, and ticks it was occupied. shared: (threads, len(SHARED)),
    carrying: (cores, len(CARRYING)) and counters: (cores,), the numbers of the servers of each. queues: (threads, 2),
    of the events of a core's phase; one that all of its threads share is its first thread's. events: (cores, most,
    THREAD + 1).
    """

    clock: Counts
    heap: Counts
    servers: Counts
    shared: Counts
    carrying: Counts
    counters: Counts
    threads: Counts
    queues: Counts
    cores: Counts
    events: Counts
    latency: int


@compiled(nogil=True)
def advance(state: Any) -> Any:
    """Let threads go on until it is a core's turn. Returns its number, or NONE where nobody waits."""
    count, per_core = len(state.threads), len(state.threads) // len(state.cores)
    while state.clock[WAITING]:
        now, who, tick = state.heap[0, TICK], state.heap[0, WHO], NONE
        state.clock[NOW] = now
        if who < count:
            tick = _go_on(state, who // per_core, who, now)
        if tick == NONE:  # it waits no longer, and the last of all takes its place
            state.clock[WAITING] -= 1
            for word in range(3):
                state.heap[0, word] = state.heap[state.clock[WAITING], word]
        else:
            state.heap[0, TICK], state.heap[0, TURN] = tick, _turn(state.clock)
        sink(state.heap, 0, state.clock[WAITING])
        if who >= count:
            return who - count
        if tick == NONE:
            _ended(state, who // per_core, now)
    return NONE


@compiled(nogil=True)
def start(state: Any, core: Any, now: Any) -> None:
    """Let all threads of a core begin that have events in their queues."""
    per_core = len(state.threads) // len(state.cores)
    for thread in range(core * per_core, (core + 1) * per_core):
        _take(state, core, thread, now)
        if state.threads[thread, EVENT] != NONE:
            state.cores[core, LEFT] += 1
            wait(state.clock, state.heap, thread, _go_on(state, core, thread, now))


@compiled(nogil=True)
def wait(clock: Any, heap: Any, who: Any, tick: Any) -> None:
    """Let somebody wait for a tick."""
    last = clock[WAITING]
    heap[last, TICK], heap[last, TURN], heap[last, WHO] = tick, _turn(clock), who
    clock[WAITING] += 1
    rise(heap, last)


@compiled(nogil=True)
def serve(servers: Any, server: Any, now: Any, ticks: Any) -> Any:
    """When a server is done, if asked now."""
    done = max(servers[server, FREE], now) + ticks
    servers[server, FREE] = done
    servers[server, USED] += ticks
    return done


@compiled(nogil=True)
def transfer(servers: Any, needed: Any, now: Any, ticks: Any) -> Any:
    """Ask at once for all servers that a transfer needs. Returns when the last of them is done."""
    done = now
    for place in range(len(ticks)):
        done = max(done, serve(servers, needed[place], now, ticks[place]))
    return done


@compiled(inner=True)
def _turn(clock: Any) -> Any:
    clock[TURNS] += 1
    return clock[TURNS]


@compiled(inner=True)
def _ended(state: Any, core: Any, now: Any) -> None:
    """A thread has no more events. The last one lets its core go on, behind whoever waits for this tick already."""
    state.cores[core, WORKED] += now - state.cores[core, BEGAN]
    state.cores[core, LEFT] -= 1
    if state.cores[core, LEFT] == 0:
        wait(state.clock, state.heap, len(state.threads) + core, now)


@compiled(inner=True)
def _go_on(state: Any, core: Any, thread: Any, now: Any) -> Any:
    """Begin the thread's next event. Returns when it ends, or when it can begin; NONE where there is none."""
    ahead = state.cores[core, AHEAD]
    if state.threads[thread, WORKING] and not ahead:
        _take(state, core, thread, now)
    state.threads[thread, WORKING] = False
    event, ready = state.threads[thread, EVENT], state.threads[thread, READY]
    if event == NONE:
        return NONE
    if ready > now:
        state.cores[core, WAITED] += ready - now
        return ready
    if ahead:  # the next event's data comes while this one is worked on
        _take(state, core, thread, now)
    state.threads[thread, WORKING] = True
    return _work(state, core, thread, event, now)


@compiled(inner=True)
def _take(state: Any, core: Any, thread: Any, now: Any) -> None:
    """Take the thread's next event, NONE where there is none, and see when it can begin."""
    queue = state.threads[thread, QUEUE]
    event = state.queues[queue, NEXT]
    if event == state.queues[queue, STOP]:
        state.threads[thread, EVENT] = NONE
        return
    state.queues[queue, NEXT] += 1
    counting = state.cores[core, COUNTING]
    ready = serve(state.servers, state.counters[core], now, counting) - counting
    if state.cores[core, AHEAD]:
        ticks = state.events[core, event, FETCH:BEGIN]
        ready = max(ready, transfer(state.servers, state.carrying[core], now, ticks) + state.latency)
    state.threads[thread, EVENT], state.threads[thread, READY] = event, ready


@compiled(inner=True)
def _work(state: Any, core: Any, thread: Any, event: Any, now: Any) -> Any:
    """When an event ends that begins now: the longest of being alone and of being served everywhere."""
    own = end = now + state.events[core, event, ALONE]
    short = NONE
    for place in range(state.shared.shape[1]):
        ticks = state.events[core, event, SHARE + place]
        if ticks:
            done = serve(state.servers, state.shared[thread, place], now, ticks)
            if done > end:
                end, short = done, place
    if short != NONE:
        state.cores[core, EXTRA + short] += end - own
    state.events[core, event, BEGIN], state.events[core, event, END] = now, end
    state.events[core, event, THREAD] = thread
    return end
