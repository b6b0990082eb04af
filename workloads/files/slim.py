"""An ONNX file without its weights: what is long in a tensor is passed over, so that a file of any size can be read.

A file is protobuf: fields, each a number, a kind, and a value or a length with so many bytes. Only the messages that
have tensors somewhere inside are looked into; the rest is copied as it is. Values of up to a kibibyte are kept: sizes,
axes and other constants that shapes depend on are that small.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader
from pathlib import Path

from workloads.errors import UserError
from workloads.files.limits import LIMITS, ONNX_FIELDS, Limits
from workloads.files.reading import MIB, opened

KEPT = 1024
# Messages that are looked into, by the one they stand in and their number there (onnx.proto).
INSIDE = {
    ("model", 7): "graph",
    ("model", 25): "function",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("function", 7): "node",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
}
# Kinds of a field: 0 a whole number, 1 and 5 eight and four bytes, 2 a length with so many.
VALUES = (4, 5, 6, 7, 9, 10, 11)  # of a tensor, one number for each type
LONGEST_VARINT = 10


class Damaged(Exception):
    """The bytes are no protobuf."""


@dataclass
class _Reading:
    """An open file, its size, and what may still be kept of it. Not frozen: it counts."""

    path: Path
    file: BufferedReader
    size: int
    limits: Limits
    kept: int = 0
    fields: int = 0
    at: int = 0

    def take(self, count: int) -> bytes:
        """So many bytes, which are kept. Raises UserError where that is more than a limit."""
        self.kept += count
        if self.kept > self.limits.file_mib * MIB:
            raise UserError(
                f"{self.path}: has more than {self.limits.file_mib} MiB beside its weights, which is the most that is "
                "read; --limit file_mib=N raises that"
            )
        found = self.file.read(count)
        if len(found) < count:
            raise Damaged
        self.at += count
        return found

    def skip(self, count: int) -> None:
        self.at += count
        self.file.seek(self.at)

    def varint(self) -> tuple[int, bytes]:
        """A whole number, and its bytes."""
        found, value = b"", 0
        while len(found) < LONGEST_VARINT:
            byte = self.take(1)
            value |= (byte[0] & 0x7F) << (7 * len(found))
            found += byte
            if not byte[0] & 0x80:
                return value, found
        raise Damaged


def read_slim(path: Path, limits: Limits = LIMITS) -> bytes:
    """The content of an ONNX file without the values of its weights.

    Raises UserError for what is no regular file, holds too much beside weights, or is cut or damaged.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            found = _slim(_Reading(path, file, size, limits), "model", size)
        except Damaged:
            raise UserError(f"{path}: is no ONNX file, or one that was cut or damaged") from None
    if not found:
        raise UserError(f"{path}: is empty; an ONNX file holds a graph")
    return found


def slim_digest(path: Path, limits: Limits) -> str:
    """A digest of what is read of a file: its weights may change, as they do from one training to the next."""
    return sha256(read_slim(path, limits)).hexdigest()


def _slim(reading: _Reading, message: str, end: int) -> bytes:
    return b"".join(_pieces(reading, message, end))


def _pieces(reading: _Reading, message: str, end: int) -> Iterator[bytes]:
    """The fields of a message that ends at a place in the file, those of a tensor's long values left out."""
    while reading.at < end:
        reading.fields += 1
        if reading.fields > ONNX_FIELDS:
            raise UserError(f"{reading.path}: has more than {ONNX_FIELDS:,} fields, which is the most that is read")
        key, head = reading.varint()
        number, kind = key >> 3, key & 7
        match kind:
            case 0:
                yield head + reading.varint()[1]
            case 1 | 5:
                yield head + reading.take(8 if kind == 1 else 4)
            case 2:
                length, shown = reading.varint()
                if length > end - reading.at:
                    raise Damaged
                if message == "tensor" and number in VALUES and length > KEPT:
                    reading.skip(length)
                elif (message, number) in INSIDE:
                    inner = _slim(reading, INSIDE[message, number], reading.at + length)
                    yield head + _varint(len(inner)) + inner
                else:
                    yield head + shown + reading.take(length)
            case _:
                raise Damaged
    if reading.at > end:
        raise Damaged


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
