"""Tables on disk, in Parquet: bounded by what the file says of itself, every page with a checksum, columns typed."""

from array import array
from collections.abc import Mapping, Sequence, Sized
from enum import Enum
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from workloads.errors import UserError
from workloads.files.limits import TABLE_BYTES, TABLE_ROWS, TABLE_VALUES
from workloads.files.reading import read_bytes

Columns = Mapping[str, Sequence[object]]
STRINGS, CONTAINERS = 16 * 1024 * 1024, 1_000_000  # of a file's own description: no table of ours has 1,000 columns
TEXTS = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_binary)


class Column(Enum):
    """What a column holds."""

    WHOLE = (int,)
    NUMBER = (int, float)
    TEXT = (str,)

    def takes(self, value: object) -> bool:
        """Whether a value may stand in such a column."""
        return isinstance(value, self.value) and not isinstance(value, bool)


def read_table(path: Path, wanted: Mapping[str, Column] | None = None, damaged: str = "") -> dict[str, list[object]]:
    """The columns of a table by name, each (rows,).

    wanted: columns that must be there and what they hold. damaged: what can be done about a file that is not whole.
    Raises UserError for a file that is none of these, is damaged, or holds more than `TABLE_ROWS` rows.
    """
    hint = f"; {damaged}" if damaged else ""
    content = read_bytes(path, TABLE_BYTES)
    try:
        file = _opened(content)
        if any(file.schema.column(number).max_repetition_level for number in range(file.metadata.num_columns)):
            raise TypeError("a column of lists is not read")  # a row of it may be of any length
        if _checked_size(file.metadata, path) * file.metadata.num_rows > TABLE_BYTES:
            texts = [each.name for each in file.schema_arrow if any(kind(each.type) for kind in TEXTS)]
            file = _opened(content, texts)
        table = file.read(use_threads=False)
        columns = {name: _values(table.column(number)) for number, name in enumerate(table.column_names)}
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, IndexError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is not a whole table: {said}{hint}") from None
    for name, kind in (wanted or {}).items():
        if name not in columns:
            raise UserError(f"{path}: has no column '{name}'{hint}")
        for row, value in enumerate(columns[name]):
            if not kind.takes(value):
                raise UserError(f"{path}: {name}: row {row} holds {value!r}, which is no {kind.name.lower()}{hint}")
    return columns


def table_bytes(columns: Columns, compression: str = "snappy") -> bytes:
    """The table as the content of a Parquet file."""
    sink = BytesIO()
    table = pyarrow.table({name: _column(list(values)) for name, values in columns.items()})
    parquet.write_table(table, sink, compression=compression, write_page_checksum=True)
    return sink.getvalue()


def _column(values: list[Any]) -> pyarrow.Array:
    """The values as Arrow has them. Those of one kind are laid out here: pyarrow would import pandas to look at any."""
    kinds = {*map(type, values)}
    if kinds == {int}:
        return _of_buffers(pyarrow.int64(), values, array("q", values))
    if kinds == {float}:
        return _of_buffers(pyarrow.float64(), values, array("d", values))
    if kinds and all(issubclass(kind, str) for kind in kinds):
        texts = [text.encode() for text in values]
        ends = array("i", accumulate(map(len, texts), initial=0))
        return _of_buffers(pyarrow.string(), values, ends, b"".join(texts))
    return pyarrow.array(values)


def _of_buffers(kind: pyarrow.DataType, values: Sized, *buffers: object) -> pyarrow.Array:
    return pyarrow.Array.from_buffers(kind, len(values), [None, *map(pyarrow.py_buffer, buffers)])


def _opened(content: bytes, texts: Sequence[str] = ()) -> parquet.ParquetFile:
    """A file. texts: columns that are read as it has them, each text once, since it may repeat one at no cost."""
    return parquet.ParquetFile(
        BytesIO(content),
        read_dictionary=list(texts),
        page_checksum_verification=True,
        thrift_string_size_limit=STRINGS,
        thrift_container_size_limit=CONTAINERS,
    )


def _values(column: pyarrow.ChunkedArray) -> list[object]:
    """The values of a column; equal texts of one that was read so are one object."""
    found: list[object] = []
    for chunk in column.chunks:
        if isinstance(chunk, pyarrow.DictionaryArray):
            texts = chunk.dictionary.to_pylist()
            found += [None if index is None else texts[index] for index in chunk.indices.to_pylist()]
        else:
            found += chunk.to_pylist()
    return found


def _checked_size(metadata: parquet.FileMetaData, path: Path) -> int:
    """The bytes of a table. Raises UserError where it says of itself that it is too large to be built in memory."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size: int = sum(group.total_byte_size for group in groups)
    values = metadata.num_rows * metadata.num_columns
    if metadata.num_rows > TABLE_ROWS or size > TABLE_BYTES or values > TABLE_VALUES:
        raise UserError(
            f"{path}: holds {metadata.num_rows:,} rows, {values:,} values and {size:,} bytes; {TABLE_ROWS:,} rows, "
            f"{TABLE_VALUES:,} values and {TABLE_BYTES:,} bytes are read"
        )
    return size
