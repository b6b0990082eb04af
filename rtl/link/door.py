"""The door of a served board: one client after the other has it, whatever the one before does, or does not do.

A client has to say something that the link understands before it can get the board, so that noise and silence cost the
gateware nothing. What a client sends is read only as the board takes it, and what waits for one that has gone is
forgotten: the next finds a board that has just been switched on.

A client keeps the board for as long as it gets on. One that does not gives way to the others, who get it in the order
in which they have asked; one that is at work is never disturbed.
"""

import select
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, final

from rtl.link.client import GONE, Client, Turn
from rtl.link.paced import Paced

if TYPE_CHECKING:
    from rtl.link.pumping import Pumped

# Clients that have not got the board; the oldest that has said nothing has to go when one more comes.
LOBBY = 16
# Seconds for which a client may stand still while one other waits. More of them share this time, so that whoever comes
# behind a row of silent clients does not wait longer for all of them than for one, if they come again and again.
PAUSE = 0.4
# Seconds that a client waits for one that is at work before it is sent away, and milliseconds between looks. A full
# lobby of silent ones has had its turns by then: the sum of PAUSE over 16, over 15, and so on to 1.
WAITING, LATER = 1.5, 20.0


@final
class Door:
    """A listening socket, the client that has the board, if any, and those that have not got it."""

    def __init__(self, board: "Pumped", listener: socket.socket) -> None:
        listener.setblocking(False)
        self._paced, self._listener = Paced(board), listener
        self._silent: list[Client] = []
        self._asking: list[Client] = []  # in the order in which they have asked
        self.present: Client | None = None
        self._turn = Turn(board)
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._waits_for = 0  # what the present client is waited on for

    def step(self) -> None:
        """Wait until something can be done, and do it."""
        ready = dict(self._poll.poll(self._look()))
        if (present := self.present) is not None:
            self._serve(present, ready.get(present.number, 0))
        self._hear(ready)
        self._admit()
        if self._listener.fileno() in ready:
            self._accept()

    def _look(self) -> float | None:
        """Say what the present client is waited on for. Returns for how many milliseconds; None is without an end."""
        soon = LATER if self._asking else None
        if (present := self.present) is None:
            return soon
        reads = self._paced.room and not present.full
        wanted = GONE | (select.POLLIN if reads else 0) | (select.POLLOUT if present.answers else 0)
        if wanted != self._waits_for:
            self._poll.modify(present.number, wanted)
            self._waits_for = wanted
        return soon if present.full or self._paced.board.quiet else 0.0

    def _serve(self, present: Client, ready: int) -> None:
        data = present.receive(self._paced.room) if ready & select.POLLIN and not ready & GONE else b""
        if ready & GONE or present.gone:
            self._leave()
            return
        self._work(present, data)

    def _work(self, present: Client, data: bytes) -> None:
        """Let the board work, unless its answers pile up; then nothing is read that would make more of them."""
        made = b""
        if data or not (self._paced.board.quiet or present.full):
            made = self._paced.run(data)
            self._turn.note(made)
        if made or present.answers:
            present.send(made)
        if present.gone:
            self._leave()

    def _hear(self, ready: Mapping[int, int]) -> None:
        """Those that have not got the board: who says what the link understands has asked for it."""
        for client in [each for each in self._asking if each.number in ready]:
            self._dismiss(client)  # only that it hangs up is looked for
        for client in [each for each in self._silent if each.number in ready]:
            if client.greets():
                client.asked = time.monotonic()
                self._poll.modify(client.number, GONE)
                self._silent.remove(client)
                self._asking.append(client)
            elif client.gone:
                self._dismiss(client)

    def _admit(self) -> None:
        """Give the board to who has asked first, unless another is at work with it, for which nobody waits long."""
        if self._asking and self._is_free():
            self._leave()
            self.present, self._waits_for = self._asking.pop(0), GONE
            self._turn = Turn(self._paced.board)
            self._work(self.present, self.present.begin())
        for client in [each for each in self._asking if time.monotonic() - each.asked > WAITING]:
            self._dismiss(client)

    def _is_free(self) -> bool:
        return self.present is None or self.present.lost() or self._turn.stands_still(PAUSE / len(self._asking))

    def _accept(self) -> None:
        with suppress(OSError):  # gone already
            connection, _ = self._listener.accept()
            self._silent.append(client := Client(connection))
            self._poll.register(client.number, select.POLLIN)
        if len(self._silent) + len(self._asking) > LOBBY:
            self._dismiss(self._silent[0])

    def _dismiss(self, client: Client) -> None:
        (self._asking if client in self._asking else self._silent).remove(client)
        self._forget(client)

    def _leave(self) -> None:
        """Nobody has the board; what it holds of the last client is forgotten."""
        if self.present is not None:
            self._forget(self.present)
            self.present = None
            self._paced.board.reset()

    def _forget(self, client: Client) -> None:
        self._poll.unregister(client.number)
        client.socket.close()
