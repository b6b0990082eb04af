"""One design point: a machine with settings and a workload under a pattern. Its key names its result for good."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

BUCKET_DIGITS = 3  # hexadecimal: at most 4096 files a sweep


@dataclass(frozen=True)
class Point:
    """`settings` are (field of the machine, value as text), sorted by field; None is what the workload has recorded."""

    arch: str
    model: str
    pattern: str
    method: str = "bdwp"
    batch: int | None = None
    sequence: int | None = None
    mode: str = "training"
    dataflow: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    check_capacity: bool = True

    @property
    def setting_texts(self) -> tuple[str, ...]:
        """As `--set` takes them."""
        return tuple(f"{field}={value}" for field, value in self.settings)

    def key(self, version: str) -> str:
        """The hash of the point and of the models' version."""
        return _hash({"version": version, **asdict(self)})

    def bucket(self, version: str) -> str:
        """The points of one bucket are run together and kept in one file: those that differ in their pattern alone."""
        machine = {name: value for name, value in asdict(self).items() if name not in ("pattern", "method")}
        return _hash({"version": version, **machine})[:BUCKET_DIGITS]

    def describe(self) -> str:
        """The point in a line."""
        more = [f"{name}={value}" for name, value in asdict(self).items() if name in MORE and value is not None]
        return " ".join([self.arch, self.model, self.pattern, *more, *self.setting_texts])


MORE = ("batch", "sequence", "dataflow")


def _hash(node: Mapping[str, Any]) -> str:
    return sha256(json.dumps(node, sort_keys=True).encode()).hexdigest()[:24]
