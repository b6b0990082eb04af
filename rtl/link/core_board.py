"""A core on a board at the other end of a link: its DRAM is written, its queues are filled, its DRAM is read.

It stands in for a compiled core (`rtl.core.compiled.CompiledCore`): the same feed, the same bits in DRAM. Its cycles
are not the simulator's, since it waits for its host.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl.core.compiled import CoreRan, Fed
from rtl.core.core import ENGINES, Fault
from rtl.core.feeding import QUEUES, Feed, columns_of
from rtl.core.pushing import Push, pushes
from rtl.core.registers import CONTROL, CYCLES, CYCLES_HIGH, OPS, QUIET, RESET, WAIT_FOR_B, CoreMap
from rtl.exported.core_words import FAULTS
from rtl.hardware import LinkFigures, Unconfirmed
from rtl.link.core_protocol import MOST_ITEMS, PART_BYTES, WORD_BYTES, CoreIdentity, command, identity_bytes
from rtl.link.driver import Driver
from rtl.link.remote import BAUD
from rtl.link.wire import LinkLost, SerialWire, Wire
from workloads.errors import UserError

AT_ONCE = 4096  # words of DRAM in a command


@final
class CoreBoard:
    """The board at a serial port of this machine or a URL of pyserial's, with the core that is wanted.

    through: something to put into the wire. Raises UserError when there is no board, or another one.
    """

    def __init__(
        self, where: CoreMap, url: str, baud: int = BAUD, through: Callable[[Wire], Wire] = lambda wire: wire
    ) -> None:
        self.where, self.layout, self._url = where, where.layout, url
        self._driver = Driver()
        try:
            self._driver.open(through(SerialWire(url, baud)))
            self.identity = self._identity()
        except LinkLost as error:
            self._driver.close()
            raise UserError(f"{url}: {error}") from None
        if wrong := _differences(where.constants, self.identity.constants):
            self._driver.close()
            raise UserError(f"{url}: the gateware is another one: {', '.join(wrong)}")
        self._known = np.zeros(0, np.uint64)  # of its DRAM, what is known

    def _identity(self) -> CoreIdentity:
        said = self._driver.talk(command("I"), identity_bytes(self.where))
        *values, dram = np.frombuffer(said, "<u4").tolist()
        return CoreIdentity(dict(zip(self.where.constants, values, strict=True)), dram)

    def fed(self, feed: Feed) -> Fed:
        """A feed as the board takes it."""
        widths = {queue.name: queue.bits for queue in self.where.queues}
        columns = {name: columns_of(widths[name], feed.words[name]) for name in QUEUES}
        return Fed(columns, tuple(feed.order))

    def run(
        self,
        fed: Fed,
        memory: NDArray[np.uint64],
        rate: tuple[int, int, int] = (0, 0, 0),
        patience: int = 0,
        wait_for_b: bool = True,
    ) -> CoreRan:
        """As `CompiledCore.run`, of which the DRAM's pace and the watchdog are the board's own, and no engine's starts
        are known. Raises Unconfirmed where the board gives no answer, and for a memory that its DRAM does not hold.
        """
        del rate, patience
        words = {name: [_joined(row) for row in rows] for name, rows in fed.words.items()}
        return self.carry_out(pushes(words, fed.order, self.where.depth), memory, wait_for_b)

    def carry_out(self, words: Sequence[Push], memory: NDArray[np.uint64], wait_for_b: bool = True) -> CoreRan:
        """Words for queues, in an order in which they may be given. memory: of DRAM, where results are left."""
        if len(memory) > self.identity.dram:
            there, needed = self.identity.dram, len(memory)
            raise Unconfirmed(f"the DRAM of the board at {self._url} holds {there:,} words, and {needed:,} are needed")
        try:
            known, self._known = self._known, np.zeros(0, np.uint64)  # until the board has answered
            self._put(memory, known)
            control = [(self.where.at[CONTROL], 1 << RESET | int(wait_for_b) << WAIT_FOR_B)]
            said = self._driver.talk(_writes(control) + b"".join(_pushed(self.where, words)) + command("Q"), PART_BYTES)
            status = int.from_bytes(said, "little")
            counts = self._read([self.where.at[name] for name in (OPS, CYCLES, CYCLES_HIGH)])
            waits = self._waits()
            memory[:] = self._get(len(memory))
        except LinkLost as error:
            raise Unconfirmed(f"{self._url}: {error}") from None
        self._known = memory.copy()
        cycles, fault = counts[1] | counts[2] << 32, status >> 8 & 0xFF
        is_over = not fault and bool(status >> QUIET & 1)
        ends = np.full(counts[0], max(0, cycles - 1), np.uint64)
        starts = [np.zeros(0, np.uint64) for _ in ENGINES]
        return CoreRan(cycles if is_over else -2, starts, ends, waits, fault, status >> 16 & 0xFF, cycles, 0, {}, 0)

    def fault_of(self, ran: CoreRan) -> str:
        """Why the core stopped, in words; empty where it did not."""
        return FAULTS.get(Fault(ran.fault), "")

    def figures(self) -> LinkFigures:
        """What has gone over the link."""
        return self._driver.figures

    def close(self) -> None:
        self._driver.close()

    def _put(self, memory: NDArray[np.uint64], known: NDArray[np.uint64]) -> None:
        """Write the words of DRAM that are not known to be there already."""
        known = known[: len(memory)]
        differs = np.ones(len(memory), bool)
        differs[: len(known)] = memory[: len(known)] != known
        out = bytearray()
        for start, end in _spans(differs):
            for at in range(start, end, AT_ONCE):
                part = memory[at : min(end, at + AT_ONCE)]
                out += command("A", items=at.to_bytes(PART_BYTES, "little"))
                out += command("M", items=part.astype("<u8").tobytes())
        self._driver.talk(bytes(out), 0)

    def _get(self, count: int) -> NDArray[np.uint64]:
        asked = command("A", items=bytes(PART_BYTES))
        for at in range(0, count, AT_ONCE):
            asked += command("G", count=min(AT_ONCE, count - at))
        return np.frombuffer(self._driver.talk(asked, WORD_BYTES * count), "<u8").astype(np.uint64)

    def _read(self, addresses: Sequence[int]) -> list[int]:
        items = b"".join(address.to_bytes(PART_BYTES, "little") for address in addresses)
        said = self._driver.talk(command("R", items=items), PART_BYTES * len(addresses))
        return np.frombuffer(said, "<u4").tolist()

    def _waits(self) -> NDArray[np.uint64]:
        buffers = self.layout.control.buffers
        places = [self.where.wait(engine, buffer) for engine in range(len(ENGINES)) for buffer in range(buffers)]
        return np.array(self._read(places), np.uint64).reshape(len(ENGINES), buffers)


def _differences(wanted: dict[str, int], found: dict[str, int]) -> list[str]:
    return [f"{name} is {found[name]:#x}, not {value:#x}" for name, value in wanted.items() if found[name] != value]


def _joined(parts: NDArray[np.uint32]) -> int:
    return int.from_bytes(parts.astype("<u4").tobytes(), "little")


def _spans(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where flags begin and end that follow each other; a few that are not set do not end a span."""
    places = np.flatnonzero(flags)
    if len(places):
        cuts = np.flatnonzero(np.diff(places) > 4) + 1
        for part in np.split(places, cuts):
            yield int(part[0]), int(part[-1]) + 1


def _writes(values: Sequence[tuple[int, int]]) -> bytes:
    items = b"".join(each.to_bytes(PART_BYTES, "little") for pair in values for each in pair)
    return command("W", items=items)


def _pushed(where: CoreMap, words: Sequence[Push]) -> Iterator[bytes]:
    """Commands for words in their order, those of one queue that follow each other in one."""
    queues, at = {queue.name: queue for queue in where.queues}, 0
    while at < len(words):
        queue, end = queues[words[at].queue], at + 1
        most = MOST_ITEMS // queue.parts
        while end < len(words) and end - at < most and words[end].queue == queue.name:
            end += 1
        items = b"".join(each.word.to_bytes(PART_BYTES * queue.parts, "little") for each in words[at:end])
        yield command("P", queue.number, items)
        at = end
