"""Numbers that nobody stated: how far each may go, and which only make sense together."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from simulator.card import EnergyCard, Number, Price
from workloads.provenance import Provenance

LOG_FROM = 4  # a range whose high end is so many times its low one is gone through on a log scale; a choice of ours
DIGITS = 3  # of a number that is not whole; a long one makes long fractions of cycles
WORDS = {"schedule.overlap": ("barriers", "overlap")}  # fields of words that are as open as numbers
# Numbers of which one alone would be throttled by the other.
TOGETHER = (
    ("array.rows", "array.cols"),
    ("array.west_link_operands_per_cycle", "memory.west_port_bytes_per_row_cycle"),
    ("array.north_link_weights_per_cycle", "memory.north_port_bytes_per_col_cycle"),
    ("array.sum_link_values_per_cycle", "memory.output_port_bytes_per_col_cycle"),
    ("memory.west_kib", "memory.north_kib", "memory.output_kib"),
)


@dataclass(frozen=True)
class OpenNumber:
    """A number by its dotted path, what is in force, and the ends of the range it may lie in.

    words: what the numbers 0, 1, ... stand for, where a field takes words.

    >>> rows = OpenNumber("array.rows", 32, 16, 64)
    >>> rows.at(0), rows.at(0.5), rows.at(1), rows.setting(16)
    (16, 32, 64, 'array.rows=16')
    """

    path: str
    value: float
    low: float
    high: float
    words: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it only makes sense whole: what is in force and both ends are."""
        return all(float(each).is_integer() for each in (self.value, self.low, self.high))

    def at(self, share: float) -> float:
        """The number at a share of its range, from 0 for the low end to 1 for the high one.

        Shares that are drawn evenly give a log-uniform number where the range is wide (`LOG_FROM`), else a uniform one,
        and each whole number its part of the range.
        """
        if share in (0, 1):
            return self.high if share else self.low
        top = self.high + 1 if self.is_whole else self.high
        if self.low > 0 and self.high >= LOG_FROM * self.low:
            found = self.low * (top / self.low) ** share
        else:
            found = self.low + share * (top - self.low)
        found = math.floor(found) if self.is_whole else float(f"{found:.{DIGITS}g}")
        return min(max(found, self.low), self.high)

    def text(self, value: float) -> str:
        """A value as a machine file has it; 16 also where it was stored as 16.0."""
        return self.words[int(value)] if self.words else f"{value:.12g}"

    def setting(self, value: float) -> str:
        """What `--set` takes."""
        return f"{self.path}={self.text(value)}"


@dataclass(frozen=True)
class Move:
    """Numbers that go through their ranges together."""

    numbers: tuple[OpenNumber, ...]

    @property
    def name(self) -> str:
        return " and ".join(each.path for each in self.numbers)

    def settings(self, share: float) -> tuple[str, ...]:
        """What `--set` takes for all of them at a share of their ranges, but for those that stand there already."""
        return tuple(each.setting(each.at(share)) for each in self.numbers if each.at(share) != each.value)


def open_numbers(
    numbers: Mapping[str, Number], words: Collection[Provenance] = (Provenance.ASSUMED,)
) -> tuple[OpenNumber, ...]:
    """The numbers of a card of some provenance that have a range, and the words of `WORDS`; others have none."""
    choices = tuple(
        OpenNumber(path, every.index(str(numbers[path].value)), 0, len(every) - 1, every)
        for path, every in WORDS.items()
        if path in numbers and numbers[path].provenance in words
    )
    return choices + tuple(
        OpenNumber(path, each.value, each.low, each.high)
        for path, each in numbers.items()
        if each.provenance in words and isinstance(each.value, int | float) and not isinstance(each.value, bool)
        if each.low is not None and each.high is not None and each.low < each.high
    )


def open_prices(energy: EnergyCard | None, used: Collection[str]) -> dict[str, OpenNumber]:
    """The assumed entries of an energy table by name, of those in use, as numbers that `--set` takes."""
    if energy is None:
        return {}
    return {
        name: _price(_path(energy.table, name, each), each)
        for name, each in energy.entries.items()
        if name in used and each.provenance is Provenance.ASSUMED and each.low < each.high and each.parts
    }


def _price(path: str, price: Price) -> OpenNumber:
    """A price, or the power of one where watts are of each."""
    return OpenNumber(path, price.value / price.parts, price.low / price.parts, price.high / price.parts)


def _path(table: str, name: str, price: Price) -> str:
    section = f"energy.tables.{table}"
    if price.unit == "pJ":
        return f"{section}.pj.{name}"
    return f"{section}.static_w.{name.partition('.')[2]}{'' if price.count is None else '.each'}"


def moves_of(numbers: Sequence[OpenNumber]) -> list[Move]:
    """Every number once: with those it needs beside it, or alone."""
    groups = [tuple(each for path in group for each in numbers if each.path == path) for group in TOGETHER]
    grouped = {path for group in TOGETHER for path in group}
    alone = [(each,) for each in numbers if each.path not in grouped]
    return [Move(each) for each in (*groups, *alone) if each]


def search_moves(numbers: Sequence[OpenNumber]) -> list[Move]:
    """Every number alone, then those that only make sense together."""
    return [Move((each,)) for each in numbers] + [each for each in moves_of(numbers) if len(each.numbers) > 1]
