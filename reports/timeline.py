"""A step as a Perfetto trace (https://ui.perfetto.dev): engines, buffers and ops over time. It needs `report`.

Every op is shown over its whole time. Inside an op every engine's commands are shown, but rounds that repeat earlier
ones are one slice that says how many there are, and of an op with more commands only the first and the last are shown.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent
from perfetto.trace_builder.proto_builder import TraceProtoBuilder

from simulator.kernel.starts import Event, Gap, starts
from simulator.program import Command, Program
from simulator.result import Result
from workloads.errors import UserError
from workloads.files.writing import write_bytes

MOST_SLICES = 60_000  # of a whole step
LEAST_SLICES = 40  # of one op
PROCESS = 1  # the uuid of the track that holds the others
SEQUENCE = 1


def show(result: Result, path: Path, force: bool = True) -> str:
    """Write the trace of a step, or of a product on a fabric; the sentence to be printed.

    force: whether in place of a file that is there. Raises UserError for a step without programs and for a file that
    cannot be written.
    """
    card, fabric = result.card, "fabric" in result.card.more
    if any(each.waits is not None for each in result.schedule):
        raise UserError(f"--timeline {path}: shows ops one after the other; take schedule.overlap=barriers")
    if not fabric and not result.schedule:
        raise UserError(f"--timeline {path}: a stored result has no programs; run its card's job again")
    writer = _Writer(card.clock_mhz, f"{card.arch}: {card.model}")
    if fabric:
        how = "averages over equal parts"
        _fabric(writer, result)
    elif any(isinstance(program, Program) for each in result.schedule for program in each.programs):
        how = "repeating rounds sampled"
        _step(writer, result)
    else:
        raise UserError(f"--timeline {path}: {card.arch} runs no programs whose commands could be shown")
    write_bytes(path, writer.serialize(), f"--timeline {path}", replace=force)
    return f"timeline: {path} ({writer.slices:,} slices, {how}; open it in https://ui.perfetto.dev)"


def _step(writer: "_Writer", result: Result) -> None:
    share = max(LEAST_SLICES, MOST_SLICES // max(1, len(result.schedule)))
    start = 0
    for op, row in zip(result.schedule, result.ops.to_dict("records"), strict=True):
        cycles = int(row["cycles"])
        if cycles:
            writer.slice("ops", f"{row['layer']} {row['phase']}", start, start + cycles)
            writer.slice("phases", str(row["phase"]), start, start + cycles)
        for program in op.programs:
            start += _program(writer, program, start, share) if isinstance(program, Program) else 0


def _fabric(writer: "_Writer", result: Result) -> None:
    """A product on a fabric: threads at work core by core, instructions and bytes, as averages over equal parts."""
    writer.slice("ops", result.card.model, 0, result.cycles)
    parts = result.card.more["fabric"]["timeline"]
    levels = {f"core {number}: threads at work (%)": [100 * each for each in shares]
              for number, shares in enumerate(parts["working"])}  # fmt: skip
    levels |= {
        "instructions a cycle": parts["instructions_per_cycle"],
        "memory (bytes a cycle)": parts["bytes_per_cycle"],
    }
    for name, values in levels.items():
        for number, value in enumerate(values):
            writer.level(name, round(number * parts["bin_cycles"]), value)
        writer.level(name, result.cycles, 0.0)


def _program(writer: "_Writer", program: Program, start: int, share: int) -> int:
    """Show a program from a tick on; returns its cycles."""
    last = 0
    sizes = {buffer.name: (buffer.memory or buffer.name, buffer.slot_bytes) for buffer in program.buffers}
    for event in _ends(starts(program), share):
        last = max(last, event.end)
        if isinstance(event, Gap):
            what = f"{event.rounds:,} rounds like those before" if event.rounds else "commands that are not shown"
            track = "repeating rounds" if event.rounds else "not shown"
            writer.slice(track, f"{what} ({event.commands:,} commands)", start + event.tick, start + event.end)
            continue
        if event.command.ticks:
            writer.slice(event.command.engine, _name(event.command), start + event.tick, start + event.end)
        for names, tick, sign in ((event.command.fills, event.tick, 1), (event.command.frees, event.end, -1)):
            for memory, size in (sizes[name] for name in names if sizes[name][1]):
                writer.change(f"{memory} memory (bytes held)", start + tick, sign * size)
    writer.settle(start + last)
    return last


def _ends(events: Iterable[Event], most: int) -> Iterator[Event]:
    """The first and the last events, and one that stands for those between where there are more than `most`."""
    head, tail, hidden, hidden_tick, hidden_end = 0, deque[Event](), 0, 0, 0
    for event in events:
        if head < most // 2:
            head += 1
            yield event
            continue
        tail.append(event)
        if len(tail) > most - most // 2:
            left = tail.popleft()
            hidden_tick = hidden_tick if hidden else left.tick
            hidden_end = max(hidden_end, left.end)
            hidden += left.commands if isinstance(left, Gap) else 1
    if hidden:
        yield Gap(hidden_tick, max(hidden_tick, min((each.tick for each in tail), default=hidden_end)), 0, hidden)
    yield from tail


def _name(command: Command) -> str:
    """What a command does, from what it counts first."""
    if not command.actions:
        return command.engine
    first = command.actions[0]
    words = {"dram.read": "read", "dram.write": "write", "mac": "multiply by", "hop": "drain", "output.write": "drain"}
    return f"{words.get(first.kind, first.kind)} {first.tensor}".strip()


class _Writer:
    """Collects slices and counters, and turns them into a trace with its packets in the order of time."""

    def __init__(self, clock_mhz: float, title: str) -> None:
        self.slices = 0
        self._ns = 1000 / clock_mhz
        self._title = title
        self._tracks: dict[str, int] = {}
        self._counters: dict[str, int] = {}
        self._slices: list[tuple[int, int, int, str]] = []  # track, tick, end, name
        self._changes: list[tuple[str, int, int]] = []
        self._held: dict[str, int] = {}
        self._levels: list[tuple[str, int, float]] = []

    def slice(self, track: str, name: str, tick: int, end: int) -> None:
        self.slices += 1
        self._slices.append((self._tracks.setdefault(track, PROCESS + 1 + len(self._tracks)), tick, end, name))

    def change(self, counter: str, tick: int, by: int) -> None:
        """Bytes that a memory holds more, or less, from a tick on."""
        self._counters.setdefault(counter, 10_000 + len(self._counters))
        self._changes.append((counter, tick, by))
        self._held[counter] = self._held.get(counter, 0) + by

    def level(self, counter: str, tick: int, value: float) -> None:
        """A value from a tick on."""
        self._counters.setdefault(counter, 10_000 + len(self._counters))
        self._levels.append((counter, tick, value))

    def settle(self, tick: int) -> None:
        """Empty every memory: the next program begins with none of this one's data."""
        self._changes.extend((counter, tick, -by) for counter, by in self._held.items() if by)
        self._held = {}

    def serialize(self) -> bytes:
        builder = TraceProtoBuilder()
        process = builder.add_packet().track_descriptor
        process.uuid, process.process.pid, process.process.process_name = PROCESS, 1, self._title
        for name, uuid in (*self._tracks.items(), *self._counters.items()):
            track = builder.add_packet().track_descriptor
            track.uuid, track.parent_uuid, track.name = uuid, PROCESS, name
            if name in self._counters:
                track.counter.SetInParent()
        begins = [(tick, 1, track, name) for track, tick, _, name in self._slices]
        ends = [(end, 0, track, "") for track, _, end, _ in self._slices]
        for tick, opens, track, name in sorted([*begins, *ends], key=lambda each: each[:3]):
            event = self._event(builder, tick, track)
            event.type = TrackEvent.TYPE_SLICE_BEGIN if opens else TrackEvent.TYPE_SLICE_END
            if opens:
                event.name = name
        held = dict.fromkeys(self._counters, 0)
        for counter, tick, by in sorted(self._changes, key=lambda each: each[1]):
            held[counter] += by
            event = self._event(builder, tick, self._counters[counter])
            event.type, event.counter_value = TrackEvent.TYPE_COUNTER, held[counter]
        for counter, tick, value in self._levels:
            event = self._event(builder, tick, self._counters[counter])
            event.type, event.double_counter_value = TrackEvent.TYPE_COUNTER, value
        return bytes(builder.serialize())

    def _event(self, builder: TraceProtoBuilder, tick: int, track: int) -> TrackEvent:
        """A new event of a track."""
        packet = builder.add_packet()
        packet.timestamp, packet.trusted_packet_sequence_id = round(tick * self._ns), SEQUENCE
        event: TrackEvent = packet.track_event
        event.track_uuid = track
        return event
