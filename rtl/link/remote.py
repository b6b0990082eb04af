"""A board at the other end of a link: chains of tiles go there as commands; sums and counters come back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits
from rtl.hardware import COUNTERS, Answer, Hardware, LinkFigures, Unconfirmed
from rtl.lanes import UpdateParameters, kept_count, kept_of, lane_bytes, sore_command, update_commands, updated_of
from rtl.link.driver import Driver, InUse, TakenOver
from rtl.link.wire import LinkLost, SerialWire, Wire
from rtl.parameters import Parameters
from rtl.protocol import (
    COUNTERS_BYTES,
    IDENTITY_BYTES,
    Gateware,
    WrongGateware,
    command,
    differences,
    gateware_of,
    item_bytes,
    read_sums,
    tile_commands,
)
from rtl.run import REASONS, Error
from rtl.tiles import Tile
from workloads.errors import UserError

BAUD = 1_000_000
TRIES = 3  # of a chain
RECONNECT, PAUSE = 20.0, 0.25  # seconds in which a lost board may come back, and between looks
BUSY = 600.0  # the same where another client has got it, which may be a whole run
AT_ONCE = 512  # values that go through a lane in one exchange
HOPELESS = 2  # chains given up one after the other, after which no more are tried


@final
class Board(Hardware):
    """The board at a serial port of this machine or a URL of pyserial's, with an array of these parameters, or any.

    `parameters` are then the board's own, whose memories may hold more or less than those asked for. through: something
    to put into the wire. Raises UserError when there is no board, or another one, within 5 seconds.
    """

    def __init__(
        self,
        parameters: Parameters | None,
        url: str,
        baud: int = BAUD,
        through: Callable[[Wire], Wire] = lambda wire: wire,
    ) -> None:
        self._url, self._wire = url, lambda: through(SerialWire(url, baud))
        self._driver, self._connected = Driver(), False
        self._failures, self._hopeless = 0, ""
        try:
            self.gateware = self._connect()
            if parameters and (wrong := differences(parameters, self.gateware.parameters)):
                raise WrongGateware(f"the gateware is another one: {', '.join(wrong)}")
        except (LinkLost, WrongGateware) as error:
            self._disconnect()
            raise UserError(f"{url}: {error}") from None
        self.parameters = self.gateware.parameters

    def run(self, chain: Sequence[Tile]) -> list[Answer]:
        if not all(self.fits(tile) for tile in chain):
            raise Unconfirmed(f"a tile is larger than the memories of the board at {self._url}")
        size = item_bytes(self.parameters)
        wanted = [tile.results * self.parameters.cols * size.sum + COUNTERS_BYTES for tile in chain]
        replies, answers = self._exchanged(b"".join(map(_commands, chain)), sum(wanted)), []
        for tile, length in zip(chain, wanted, strict=True):
            error, answer = _answer(tile, replies[:length])
            if error:
                self._exchanged(command("A", 0, [], 0), 0)
                raise Unconfirmed(f"the array at {self._url} stopped at a run: {REASONS.get(Error(error), error)}")
            answers.append(answer)
            replies = replies[length:]
        return answers

    def fits(self, tile: Tile) -> bool:
        return self.gateware.fits(tile)

    def top_n(self, values: Bits, n: int, m: int) -> tuple[Bits, NDArray[np.integer]]:
        p = self.parameters
        if not self.gateware.lanes.sore or n > p.n or m > p.m:
            raise Unconfirmed(f"the board at {self._url} has no lane of SORE for {n}:{m}")
        kept, indices = [], []
        for part in _parts(len(values), AT_ONCE // m * m):
            wanted = kept_count(len(values[part]), n, m) * lane_bytes(p, self.gateware.lanes).kept
            got = kept_of(self._exchanged(sore_command(values[part], p, n, m), wanted), p)
            kept.append(got[0])
            indices.append(got[1])
        return np.concatenate(kept), np.concatenate(indices)

    def updated(
        self, lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]
    ) -> dict[str, Bits]:
        p, lanes, count = self.parameters, self.gateware.lanes, len(fields["weight"])
        if (lanes.optimizer, p.format) != (lane.optimizer, lane.format):
            raise Unconfirmed(f"the board at {self._url} has no lane of WUVE for {lane.optimizer} and {lane.format}")
        parts = []
        for part in _parts(count, AT_ONCE):
            here = {name: column[part] for name, column in fields.items()}
            wanted = len(here["weight"]) * lane_bytes(p, lanes).after
            parts.append(updated_of(self._exchanged(update_commands(lane, here, constants), wanted), lane))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def figures(self) -> LinkFigures:
        return self._driver.figures

    def close(self) -> None:
        self._disconnect()

    def _exchanged(self, commands: bytes, wanted: int) -> bytes:
        """Replies to commands that begin with an empty array; again from the start when the board was lost."""
        if self._hopeless:
            raise Unconfirmed(self._hopeless)
        reason = ""
        for _ in range(TRIES):
            try:
                self._connect_again()
                replies = self._driver.talk(commands, wanted)
            except TakenOver as error:
                self._disconnect()
                self._hopeless = f"{self._url}: {error}"
                raise Unconfirmed(self._hopeless) from None
            except LinkLost as error:
                self._disconnect()
                reason = f"{self._url}: {error}"
            else:
                self._failures = 0
                return replies
        self._failures += 1
        if self._failures == HOPELESS:
            self._hopeless = reason
        raise Unconfirmed(reason)

    def _connect_again(self) -> None:
        """The board as it was, when it comes back in time; else there is no hope. Raises Unconfirmed."""
        began = time.monotonic()
        while not self._connected:
            try:
                if self._connect() != self.gateware:
                    self._hopeless = f"{self._url}: another gateware than before"
            except (LinkLost, UserError) as error:
                if time.monotonic() - began > (BUSY if isinstance(error, InUse) else RECONNECT):
                    self._hopeless = f"{self._url}: {str(error).removeprefix(f'{self._url}: ')}"
            if self._hopeless:
                self._disconnect()
                raise Unconfirmed(self._hopeless)
            if not self._connected:
                time.sleep(PAUSE)

    def _connect(self) -> Gateware:
        """Open the wire and begin a session. Raises LinkLost, UserError for no such port, WrongGateware."""
        self._disconnect()
        self._driver.open(self._wire())
        gateware = gateware_of(self._driver.talk(command("I", 0, [], 0), IDENTITY_BYTES))
        self._connected = True
        return gateware

    def _disconnect(self) -> None:
        self._connected = False
        self._driver.close()


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _commands(tile: Tile) -> bytes:
    """A tile's words and run, then what came of it."""
    reads = [read_sums(column, tile.results) for column in range(tile.parameters.cols)] if tile.results else []
    return tile_commands(tile) + b"".join(reads) + command("C", 0, [], 0)


def _answer(tile: Tile, said: bytes) -> tuple[int, Answer]:
    """Why the array stopped, if it did, then the sums, column after column, and the counters."""
    sums, counted = said[:-COUNTERS_BYTES], said[-COUNTERS_BYTES:]
    columns = np.frombuffer(sums, "<u4").reshape(tile.parameters.cols, tile.results)
    product = tile.product(columns) if tile.results else np.zeros((0, 0), np.uint32)
    counters = np.frombuffer(counted[: 4 * len(COUNTERS)], "<u4").tolist()
    return counted[-1], Answer(product, dict(zip(COUNTERS, counters, strict=True)))
