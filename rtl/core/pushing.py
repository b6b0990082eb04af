"""The order in which a slow host writes the words of queues, and the writes that this takes.

Engines that read the raw memory never wait for a place, so what stands in other queues for a command is there before
the command is. An op is told before its commands, so that queues shorter than an op never stop it: whatever a command
waits for comes before it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rtl.core.core import ENGINES
from rtl.core.registers import PART, CoreMap
from workloads.errors import UserError

FIRST = "ops"


class Push(NamedTuple):
    """A word for a queue."""

    queue: str
    word: int


def pushes(words: Mapping[str, Sequence[int]], order: Sequence[str], depth: int) -> list[Push]:
    """The words of a feed as queues of `depth` words may be filled. order: as `Feed.order` has it.

    What is not in the order, which are the numbers of an optimizer, comes behind the first op. Raises UserError for a
    command that needs more words at once than a queue holds.
    """
    others = [name for name, found in words.items() if len(found) and name not in order]
    listed = [*order[:1], *(name for name in others for _ in words[name]), *order[1:]]
    waiting, taken, found = dict.fromkeys(words, 0), dict.fromkeys(words, 0), list[Push]()
    for name in listed:
        waiting[name] += 1
        if name in ENGINES:
            waiting = dict.fromkeys(words, 0)
        elif name != FIRST and waiting[name] > depth:
            raise UserError(f"core: a command needs more than {depth} words in a queue at once, which it does not hold")
        found.append(Push(name, int(words[name][taken[name]])))
        taken[name] += 1
    return found


def writes(where: CoreMap, words: Iterable[Push]) -> Iterator[tuple[int, int]]:
    """Byte address and value of every write of a register that hands words over, in order.

    Before the last part of a word its queue must have a free place, or the word is refused and the queue's bit of
    OVERFLOW set.
    """
    queues = {queue.name: queue for queue in where.queues}
    for push in words:
        queue = queues[push.queue]
        for part in range(queue.parts):
            yield queue.address + 4 * part, push.word >> PART * part & (1 << PART) - 1
