"""Sparsity patterns: what they are called, what they keep, and what their indices cost.

`n:m` keeps n of every m consecutive elements along the reduction dimension of a product, separately for every
kernel position of a convolution. `bank n:m` is the same with exactly n non-zeros in each bank. The last group of a
dimension that is no multiple of m has `rest` elements and keeps min(n, rest) of them.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from workloads.errors import UserError
from workloads.files.limits import GLOBS, NAME_LETTERS


class PatternKind(StrEnum):
    DENSE = "dense"
    NM = "n:m"
    BANK = "bank"
    FAN_IN = "fan-in"
    DENSITY = "density"


ALLOWED = "'dense', 'n:m' such as 2:8, 'bank n:m', 'fan-in k' or 'density d'"
MAX_GROUP = 1024


@dataclass(frozen=True)
class Pattern:
    """One sparsity pattern.

    `n` of `m` elements are kept for `n:m` and `bank`; `fan_in` elements of a whole reduction for `fan-in`; a share
    `density` anywhere for `density`. Fields a kind does not use are zero.
    """

    kind: PatternKind = PatternKind.DENSE
    n: int = 0
    m: int = 0
    fan_in: int = 0
    density: float = 0.0

    @property
    def is_dense(self) -> bool:
        return self.kind is PatternKind.DENSE

    @property
    def is_grouped(self) -> bool:
        """True when every group of m elements holds at most n."""
        return self.kind in (PatternKind.NM, PatternKind.BANK)

    def kept(self, length: int) -> int:
        """Elements kept of a run of `length` elements along the reduction (of one kernel position)."""
        if self.is_grouped:
            return (length // self.m) * self.n + min(self.n, length % self.m)
        if self.kind is PatternKind.FAN_IN:
            return min(self.fan_in, length)
        if self.kind is PatternKind.DENSITY:
            return round(self.density * length)
        return length

    def on(self, channels: int, taps: int = 1) -> "Pattern":
        """The pattern of a reduction over so many channels, of each of so many kernel positions: itself, or dense where
        no group is long enough for anything to be dropped, as of a depthwise convolution. 8:8 stays what it is."""
        short = self.is_grouped and channels <= self.n < self.m
        return DENSE if short or (self.kind is PatternKind.FAN_IN and channels * taps <= self.fan_in) else self

    @property
    def index_bits(self) -> int:
        """Bits that say where one kept element stood in its group; 0 when dense or not grouped."""
        return (self.m - 1).bit_length() if self.is_grouped else 0

    def __str__(self) -> str:
        match self.kind:
            case PatternKind.NM:
                return f"{self.n}:{self.m}"
            case PatternKind.BANK:
                return f"bank {self.n}:{self.m}"
            case PatternKind.FAN_IN:
                return f"fan-in {self.fan_in}"
            case PatternKind.DENSITY:
                return f"density {self.density:g}"
        return "dense"


DENSE = Pattern()


def parse_pattern(text: str, where: str = "pattern") -> Pattern:
    """Read one pattern. Raises UserError with what is allowed."""
    words = text.strip()
    if words == "dense":
        return DENSE
    if found := re.fullmatch(r"(bank\s+)?([0-9]{1,9}):([0-9]{1,9})", words):
        return _grouped(bool(found[1]), int(found[2]), int(found[3]), words, where)
    if found := re.fullmatch(r"fan-in\s+([0-9]{1,9})", words):
        if int(found[1]) < 1:
            raise UserError(f"{where}: '{words}' keeps nothing; the fan-in must be at least 1")
        return Pattern(PatternKind.FAN_IN, fan_in=int(found[1]))
    if found := re.fullmatch(r"density\s+([0-9]{0,20}\.?[0-9]{1,20}(?:e-?[0-9]{1,3})?)", words):
        if not 0 < float(found[1]) <= 1:
            raise UserError(f"{where}: '{words}': the density must be above 0 and at most 1")
        return Pattern(PatternKind.DENSITY, density=float(found[1]))
    raise UserError(f"{where}: '{text}' is not a pattern; allowed are {ALLOWED}")


def _grouped(bank: bool, n: int, m: int, words: str, where: str) -> Pattern:
    if m < 1:
        raise UserError(f"{where}: '{words}' has empty groups; m must be at least 1, for example {max(n, 1)}:8")
    if n < 1:
        raise UserError(f"{where}: '{words}' keeps nothing; n must be at least 1, for example 1:{m}")
    if n > m:
        raise UserError(f"{where}: '{words}' keeps more than a group has; n must be at most m, for example {m}:{n}")
    if m > MAX_GROUP:
        raise UserError(f"{where}: '{words}': groups of more than {MAX_GROUP} are not supported")
    return Pattern(PatternKind.BANK if bank else PatternKind.NM, n, m)


@dataclass(frozen=True)
class PatternMap:
    """A pattern for every layer: `default`, or that of the last glob that matches the layer's name.

    The default leaves the layers a method keeps dense (stem, classifier) alone; a glob takes them too.
    """

    default: Pattern = DENSE
    globs: tuple[tuple[str, Pattern], ...] = ()

    @property
    def is_dense(self) -> bool:
        """Whether no layer can get a pattern from it."""
        return self.default.is_dense and all(pattern.is_dense for _, pattern in self.globs)

    def of(self, layer: str, kept_dense: bool = False) -> Pattern:
        for glob, pattern in reversed(self.globs):
            if fnmatchcase(layer, glob):
                return pattern
        return DENSE if kept_dense else self.default

    def __str__(self) -> str:
        return ",".join([str(self.default), *(f"{glob}={pattern}" for glob, pattern in self.globs)])


def parse_patterns(texts: list[str], where: str = "--pattern") -> PatternMap:
    """Read patterns such as `["2:8", "layer3.*=1:8"]`; each text may hold several, separated by commas."""
    default: Pattern | None = None
    globs: list[tuple[str, Pattern]] = []
    parts = [part for whole in texts for part in whole.split(",")]
    if len(parts) > GLOBS:
        raise UserError(f"{where}: {len(parts):,} patterns are given, and {GLOBS:,} are taken")
    for text in parts:
        glob, equals, pattern = text.rpartition("=")
        if len(glob) > NAME_LETTERS:
            raise UserError(
                f"{where}: a glob has {len(glob):,} letters; the name of a layer has {NAME_LETTERS} at most"
            )
        if equals:
            globs.append((glob.strip(), parse_pattern(pattern, f"{where} {glob.strip()}")))
        elif default is not None:
            raise UserError(f"{where}: both '{default}' and '{text}' are meant for all layers; name layers as GLOB=n:m")
        else:
            default = parse_pattern(text, where)
    return PatternMap(default or DENSE, tuple(globs))
