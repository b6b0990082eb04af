"""The order in which a slow host writes the words of queues, and the writes that this takes.

Engines that read the raw memory never wait for a place, so what stands in other queues for a command is there before
the command is. An op is told before its commands, so that queues shorter than an op never stop it: whatever a command
waits for comes before it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rtl.core.bound import Bound
from rtl.core.core import ENGINES
from rtl.core.feeding import QUEUES, Controlled, Feed
from rtl.core.registers import PART, CoreMap
from workloads.errors import UserError


class Push(NamedTuple):
    """A word for a queue."""

    queue: str
    word: int


BEFORE = tuple(name for name in QUEUES if name not in ENGINES)  # what a command needs in other queues than its own


def fed(feed: Feed, slots: Sequence[int], commands: Iterable[tuple[Controlled, Bound]], depth: int) -> list[Push]:
    """Append an op to a feed. Returns its words in an order in which queues of `depth` words may be filled.

    Raises UserError for a command that needs more words at once than a queue holds.
    """
    marks, began = list[Counter[str]](), _lengths(feed)

    def watched() -> Iterator[tuple[Controlled, Bound]]:
        for each in commands:
            yield each
            marks.append(_lengths(feed))  # the feed has taken it

    feed.op(slots, watched())
    found = list(_between(feed, marks[-1] if marks else began, _lengths(feed)))
    for before, after in zip([began, *marks], marks, strict=False):
        most = max((after - before)[name] for name in BEFORE)
        if most > depth:
            raise UserError(f"core: a command needs {most} words in a queue at once, and the queues hold {depth}")
        found += _between(feed, before, after)
    return found


def _lengths(feed: Feed) -> Counter[str]:
    return Counter({name: len(words) for name, words in feed.words.items()})


def _between(feed: Feed, before: Counter[str], after: Counter[str]) -> Iterator[Push]:
    for name in (*BEFORE, *ENGINES):
        for word in feed.words[name][before[name] : after[name]]:
            yield Push(name, word)


def writes(where: CoreMap, pushes: Iterable[Push]) -> Iterator[tuple[int, int]]:
    """Byte address and value of every write of a register that hands words over, in order.

    Before the last part of a word its queue must have a free place, or the word is refused and the queue's bit of
    OVERFLOW set.
    """
    queues = {queue.name: queue for queue in where.queues}
    for push in pushes:
        queue = queues[push.queue]
        for part in range(queue.parts):
            yield queue.address + 4 * part, push.word >> PART * part & (1 << PART) - 1
