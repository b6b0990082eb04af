"""A host of the core: words for queues as writes of registers. Needs manifest.json, and nothing else.

host = Host.load(".")                                   # the folder with manifest.json
word = host.word("store_words", source=1)               # a word from its fields, those that are not given are 0
for address, value in host.writes("store_words", word): # what to write over AXI4-Lite, in this order
    ...
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PART = 32  # bits of a register


class Host:
    """What manifest.json says of a core. at: byte addresses of registers by name."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self.at: dict[str, int] = {each["name"]: each["address"] for each in manifest["registers"]}
        self.queues: dict[str, dict[str, Any]] = {each["name"]: each for each in manifest["queues"]}
        self.names = list(self.queues)
        self.depth: int = manifest["queue_depth"]

    @classmethod
    def load(cls, folder: str | Path) -> "Host":
        return cls(json.loads((Path(folder) / "manifest.json").read_text()))

    def word(self, queue: str, **fields: int) -> int:
        """A word of a queue; a dot in a field's name is written as two underscores. Raises KeyError, ValueError."""
        places = {each["name"].replace(".", "__"): each for each in self.queues[queue]["fields"]}
        out = 0
        for name, value in fields.items():
            place = places[name]
            if value < 0 or value >> place["bits"]:
                raise ValueError(f"{name} of {value} is more than {place['bits']} bits hold")
            out |= value << place["lowest"]
        return out

    def field(self, queue: str, name: str) -> dict[str, Any]:
        """A field of a queue's words."""
        return next(each for each in self.queues[queue]["fields"] if each["name"] == name)

    def writes(self, queue: str, word: int) -> Iterator[tuple[int, int]]:
        """Addresses and values: the last one hands the word over, so the queue must have a free place by then."""
        told = self.queues[queue]
        for part in range(told["parts"]):
            yield told["address"] + 4 * part, word >> PART * part & (1 << PART) - 1

    def free(self, queue: str) -> int:
        """The byte address at which a queue says how many words it has room for."""
        return self.queues[queue]["free"]


def pushes(text: str) -> list[tuple[int, int]]:
    """Queue numbers and words of vectors/*_pushes.hex."""
    return [(int(queue, 16), int(word, 16)) for queue, word in (line.split() for line in text.splitlines())]


def words(text: str) -> list[int]:
    """Words of vectors/memory.hex."""
    return [int(line, 16) for line in text.split()]


def results(text: str) -> list[tuple[int, int, int]]:
    """Byte addresses, the bits that count, and their values, of vectors/*_results.hex."""
    rows = [[int(each, 16) for each in line.split()] for line in text.splitlines()]
    return [(address, mask, value) for address, mask, value in rows]
