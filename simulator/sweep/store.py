"""A sweep's folder: `points/BUCKET.parquet` with a row a point, `errors/KEY.json`, `locks/`, `sweep.json`.

Files appear whole or not at all, and a bucket is written only by who holds its lock. A lock is the operating system's:
it goes with the process that held it, however that ended.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow
from filelock import FileLock
from pyarrow import parquet

from simulator.rows import Row
from workloads.errors import UserError


@dataclass(frozen=True)
class Store:
    """Everything a sweep keeps."""

    folder: Path

    def open(self) -> None:
        """Make the folder. Raises UserError where that cannot be."""
        try:
            for name in ("points", "errors", "locks"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(self.folder, error) from None

    def lock(self, bucket: str) -> FileLock:
        """The bucket's lock, not yet taken; whoever takes it may be another thread than whoever gives it back."""
        return FileLock(self.folder / "locks" / bucket, thread_local=False)

    def rows(self, bucket: str) -> list[Row]:
        """The finished points of a bucket. Raises UserError for a file that is none of a sweep's."""
        path = self._bucket(bucket)
        if not path.exists():
            return []
        try:
            found: list[Row] = parquet.read_table(path, memory_map=False, partitioning=None).to_pylist()
        except (OSError, ValueError) as error:
            raise UserError(
                f"{path}: is no part of a sweep: {error}; take it away to have its points run again"
            ) from None
        return [{name: value for name, value in row.items() if value is not None} for row in found]

    def write(self, bucket: str, rows: Sequence[Row]) -> None:
        """All rows of a bucket, in place of those there. Raises UserError where the disk does not take them."""
        self._put(self._bucket(bucket), _as_parquet(rows))

    def error(self, key: str) -> Row | None:
        """What a failed point left."""
        path = self._error(key)
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def errors(self) -> list[Row]:
        """What all failed points left."""
        paths = sorted((self.folder / "errors").glob("*.json"))
        return [dict(json.loads(path.read_text(encoding="utf-8"))) for path in paths]

    def fail(self, key: str, what: Mapping[str, object]) -> None:
        self._put(self._error(key), json.dumps(what, indent=1).encode())

    def forgive(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._error(key).unlink(missing_ok=True)

    def describe(self, what: Mapping[str, object]) -> None:
        """Keep what the sweep was asked for."""
        self._put(self.folder / "sweep.json", (json.dumps(what, indent=1) + "\n").encode())

    def description(self) -> Row:
        """What the sweep was asked for. Raises UserError where the folder holds none."""
        try:
            return dict(json.loads((self.folder / "sweep.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            raise UserError(f"{self.folder}: is no sweep's folder: it has no sweep.json") from None

    def _bucket(self, bucket: str) -> Path:
        return self.folder / "points" / f"{bucket}.parquet"

    def _error(self, key: str) -> Path:
        return self.folder / "errors" / f"{key}.json"

    def _put(self, path: Path, content: bytes) -> None:
        """Write under a temporary name, make sure it is on the disk, rename."""
        partial = None
        try:
            handle, name = tempfile.mkstemp(prefix=".partial-", dir=self.folder)
            partial = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            if partial:
                partial.unlink(missing_ok=True)
            raise _not_written(path, error) from None


def _as_parquet(rows: Sequence[Row]) -> bytes:
    """Columns are those of all rows; a field a row does not have is null there."""
    names = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _not_written(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: cannot be written: {error.strerror or error}; what was finished before is kept, and the same command "
        f"goes on from there"
    )
