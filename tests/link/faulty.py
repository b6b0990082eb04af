"""A wire that spoils what goes over it, by a seed: the same calls, the same faults."""

import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from rtl.link.frames import END
from rtl.link.wire import Wire

KINDS = ("flip", "drop", "repeat", "cut", "delay")


@dataclass
class Spoiler:
    """Frames of one direction, of which `share` are spoiled. A frame held back comes after the next ones, up to 3."""

    luck: random.Random
    share: float
    done: Counter[str] = field(default_factory=Counter)
    _rest: bytes = b""
    _held: deque[list] = field(default_factory=deque)

    def passed(self, data: bytes) -> bytes:
        """What comes out for what goes in; the end of a frame that is not whole yet waits."""
        *packets, self._rest = (self._rest + data).split(END)
        return b"".join(self._frame(packet) for packet in packets if packet)

    def _frame(self, packet: bytes) -> bytes:
        self.done["frames"] += 1
        out = self._spoiled(packet) if self.luck.random() < self.share else END + packet + END
        for held in self._held:
            held[0] -= 1
        while self._held and self._held[0][0] <= 0:
            out += self._held.popleft()[1]
        return out

    def _spoiled(self, packet: bytes) -> bytes:
        kind = self.luck.choice(KINDS)
        self.done[kind] += 1
        whole = END + packet + END
        if kind == "flip":
            changed = bytearray(whole)
            changed[self.luck.randrange(len(changed))] ^= 1 << self.luck.randrange(8)
            return bytes(changed)
        if kind == "cut":
            return whole[: self.luck.randrange(1, len(whole))]
        if kind == "delay":
            self._held.append([self.luck.randint(1, 3), whole])
            return b""
        return b"" if kind == "drop" else whole * 2


class FaultyWire(Wire):
    """A wire through which both directions are spoiled, by a seed each of their own."""

    def __init__(self, wire: Wire, seed: int, share: float = 0.05) -> None:
        self._wire = wire
        self.sent, self.received = (Spoiler(random.Random(2 * seed + way), share) for way in (0, 1))

    def write(self, data: bytes) -> None:
        if out := self.sent.passed(data):
            self._wire.write(out)

    def read(self, seconds: float) -> bytes:
        until = time.monotonic() + seconds
        while True:
            data = self._wire.read(max(0.0, until - time.monotonic()))
            if (out := self.received.passed(data)) or time.monotonic() >= until:
                return out

    def close(self) -> None:
        self._wire.close()
