"""A sweep's folder: `points/BUCKET.parquet` with a row a point, `errors/KEY.json`, `locks/`, `sweep.json`.

Files appear whole or not at all, and a bucket is written only by who holds its lock. A lock is the operating system's:
it goes with the process that held it, however that ended.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from filelock import FileLock, Timeout

from simulator.rows import Row
from workloads.errors import UserError
from workloads.files.partials import clean_folder
from workloads.files.reading import checked, read_json
from workloads.files.tables import Column, read_table, table_bytes
from workloads.files.writing import check_file, not_written, write_bytes

RESULTS = "cycles"  # columns from here on are results, those before it say what the point is
POINTS, ERRORS, LOCKS = "points", "errors", "locks"
KEPT = "what was finished before is kept, and the same command goes on from there"
DAMAGED = "take it away to have its points run again"


@dataclass(frozen=True)
class PointError:
    """What a failed point leaves: its key, what it was in words, and why it cannot be run."""

    key: str
    point: str
    error: str


@dataclass(frozen=True)
class _Described:
    """What `sweep.json` holds at least."""

    version: str
    grid: dict[str, list[str]]
    ties: dict[str, str]
    where: list[str]


@dataclass(frozen=True)
class Store:
    """Everything a sweep keeps. Every function raises UserError for a file that cannot be read or written."""

    folder: Path

    def open(self) -> None:
        """Make the folder, and take away what killed processes left in it; somebody else's folder stays as it is."""
        paths = [self.folder / name for name in (POINTS, ERRORS, LOCKS)]
        try:
            if link := next((path for path in (*paths, self._description) if path.is_symlink()), None):
                raise UserError(f"{link}: is a link, and a sweep writes into its own folder alone")
            if self._description.exists():
                self.check_described()
            for path in paths:
                path.mkdir(parents=True, exist_ok=True)
                clean_folder(path)
        except (FileExistsError, NotADirectoryError) as error:
            said = f"{error.filename}: cannot be made: a file has its name, or that of a folder above it"
            raise UserError(said) from None
        except (OSError, ValueError) as error:
            raise not_written(str(self.folder), error) from None

    def claim(self, bucket: str) -> FileLock | None:
        """The bucket's lock, taken, or None where another process has it. Another thread may give it back."""
        path = self.folder / LOCKS / bucket
        try:
            lock = FileLock(path, thread_local=False)
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except (OSError, NotImplementedError) as error:  # the latter on a file system without locks
            raise UserError(f"{path}: cannot be locked: {getattr(error, 'strerror', None) or error}") from None
        return lock

    def rows(self, bucket: str) -> list[Row]:
        """The finished points of a bucket."""
        path = self._bucket(bucket)
        columns = point_columns(path) if path.exists() else {}
        rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
        return [{name: value for name, value in row.items() if isinstance(value, str | int | float)} for row in rows]

    def write(self, bucket: str, rows: Sequence[Row]) -> None:
        """All rows of a bucket, in place of those there."""
        columns = {name: alike([row.get(name) for row in rows]) for name in names_of(rows)}
        self._put(self._bucket(bucket), table_bytes(columns, compression="none"))

    def failed(self, key: str) -> bool:
        """Whether a point has left an error."""
        path = self._error(key)
        check_file(path, str(path))
        return path.exists()

    def error(self, key: str) -> PointError:
        """The error that a failed point has left."""
        return _error_in(self._error(key))

    def errors(self, keys: Collection[str] | None = None) -> tuple[int, PointError | None]:
        """How many points have left an error, and the first of these; those of these keys, where keys are given.

        Other sweeps, and other versions of the models, may have left theirs in the same folder.
        """
        paths = sorted((self.folder / ERRORS).glob("*.json"))
        ours = [path for path in paths if keys is None or path.stem in keys]
        return len(ours), _error_in(ours[0]) if ours else None

    def fail(self, what: PointError) -> None:
        """Keep a point's error."""
        self._put(self._error(what.key), json.dumps(vars(what), indent=1).encode())

    def forgive(self, keys: Iterable[str]) -> None:
        """Take away the errors of points that have been run."""
        for key in keys:
            try:
                self._error(key).unlink(missing_ok=True)
            except OSError as error:
                raise not_written(str(self._error(key)), error) from None

    def describe(self, what: Mapping[str, object]) -> None:
        """Keep what the sweep was asked for, in place of what it was asked for before."""
        self._put(self._description, (json.dumps(what, indent=1) + "\n").encode(), clean=True)

    def check_described(self) -> None:
        """Raises UserError where the folder does not say what it was asked for, so that it is no sweep's."""
        path = self._description
        if not path.exists():
            raise UserError(f"{self.folder}: is no sweep's folder: it has no sweep.json")
        checked(_Described, read_json(path, "a sweep's folder says in JSON what it was asked for"), str(path))

    @property
    def _description(self) -> Path:
        return self.folder / "sweep.json"

    def _bucket(self, bucket: str) -> Path:
        return self.folder / POINTS / f"{bucket}.parquet"

    def _error(self, key: str) -> Path:
        return self.folder / ERRORS / f"{key}.json"

    def _put(self, path: Path, content: bytes, clean: bool = False) -> None:
        """Write a file. clean: take away what killed processes left beside it; `open` does so for thousands at once."""
        try:
            write_bytes(path, content, clean=clean)
        except UserError as error:
            raise UserError(f"{error}; {KEPT}") from None


def point_columns(path: Path) -> dict[str, list[object]]:
    """The columns of a file of points. Raises UserError where it is none."""
    columns = read_table(path, {"key": Column.TEXT, RESULTS: Column.NUMBER}, DAMAGED)
    for name, values in columns.items():
        for value in values:
            if value is not None and not isinstance(value, str | int | float):
                raise UserError(f"{path}: {name}: holds {value!r}, which no row of a sweep has; {DAMAGED}")
    return columns


def names_of(tables: Iterable[Iterable[str]]) -> list[str]:
    """The columns of several tables, each once: what points are comes before their results, as in each of them."""
    ordered = [list(names) for names in tables]
    before = [names[: names.index(RESULTS)] if RESULTS in names else names for names in ordered]
    return list(dict.fromkeys(chain(*before, *ordered)))


def alike(values: Sequence[object]) -> Sequence[object]:
    """Values of one type: texts where some are texts or truths beside numbers, else floats where some are."""
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) < 2:
        return values
    one = float if kinds == {int, float} else _text
    return [None if value is None else one(value) for value in values]  # type: ignore[arg-type]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error_in(path: Path) -> PointError:
    try:
        return checked(PointError, read_json(path, "a point's error is JSON"), str(path))
    except UserError as error:
        raise UserError(f"{error}; {DAMAGED}") from None
