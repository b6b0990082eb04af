"""Matrices made from a line of text, the same for the same seed: R-MAT graphs, uniform, banded, block.

    rmat:SCALE:EDGES            2^SCALE rows, EDGES elements a row before duplicates are merged (Graph500)
    uniform:ROWSxCOLS:DENSITY   every place alike
    banded:ROWS:WIDTH           WIDTH diagonals either side of the main one, all of them full
    block:ROWS:SIDE:DENSITY     full SIDE x SIDE blocks, so many that DENSITY of all places are stored

Each may end with ,seed=N; R-MAT also with ,a=SHARE (skew: 0.25 is none, 0.57 is Graph500's).
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

from workloads.errors import UserError, unknown_name
from workloads.files.limits import LIMITS, Limits
from workloads.sparse.matrix import Index, Matrix, Values, Whole, from_triplets

# Graph500 specification 2.0, section 3.1: A 0.57, B 0.19, C 0.19, D 0.05.
GRAPH500_A, GRAPH500_B = 0.57, 0.19
EXAMPLES = {
    "rmat": "rmat:10:8",
    "uniform": "uniform:2048x2048:0.01",
    "banded": "banded:4096:8",
    "block": "block:2048:16:0.01",
}


def generate(text: str, limits: Limits = LIMITS) -> Matrix:
    """The matrix a text describes. Raises UserError that says how to write it, and for one above the limits."""
    body, *extra = text.split(",")
    kind, *parts = body.split(":")
    if kind not in EXAMPLES:
        raise unknown_name("kind of matrix", kind, EXAMPLES, f"--matrix {text}")
    options = _options(text, kind, extra)
    rng = np.random.default_rng(int(options.get("seed", 0)))
    maker: Callable[..., Matrix] = {"rmat": _rmat, "uniform": _uniform, "banded": _banded, "block": _block}[kind]
    return maker(text, parts, options, rng, limits)


def _options(text: str, kind: str, extra: list[str]) -> Mapping[str, float]:
    allowed = ("seed", "a") if kind == "rmat" else ("seed",)
    options: dict[str, float] = {}
    for each in extra:
        name, _, value = each.partition("=")
        if name not in allowed:
            raise unknown_name("option", name, allowed, f"--matrix {text}")
        pattern = "[0-9]{1,9}" if name == "seed" else r"0?\.[0-9]{1,9}|0|1"
        if not re.fullmatch(pattern, value):
            wanted = "a whole number" if name == "seed" else "a share from 0.25 to 0.95"
            raise UserError(f"--matrix {text}: {name}: '{value}' is not {wanted}")
        options[name] = float(value)
    return options


def _rmat(
    text: str, parts: list[str], options: Mapping[str, float], rng: np.random.Generator, limits: Limits
) -> Matrix:
    """R-MAT (Chakrabarti, Zhan and Faloutsos 2004) with shuffled labels, as Graph500 shuffles them."""
    scale, edges = _sizes(text, "rmat", parts, 2)
    a = options.get("a", GRAPH500_A)
    side = 1 << min(scale, 100)  # 2^100 rows are too many already
    _check_size(text, (side, side), edges * side, limits)
    if not 0.25 <= a <= 0.95:
        raise UserError(f"--matrix {text}: a: {a:g} is not a share from 0.25 to 0.95")
    rows, cols = _rmat_edges(scale, edges << scale, a, rng)
    labels = rng.permutation(1 << scale)
    keys = np.unique(labels[rows] * side + labels[cols])
    return from_triplets(text, (side, side), keys // side, keys % side, _values(len(keys), rng))


def _rmat_edges(scale: int, count: int, a: float, rng: np.random.Generator) -> tuple[Whole, Whole]:
    b = (1 - a) * GRAPH500_B / (1 - GRAPH500_A)  # the rest is shared out as in Graph500
    if a < GRAPH500_A:  # towards 0.25 all four quarters become alike
        b = 0.25 + (a - 0.25) / (GRAPH500_A - 0.25) * (GRAPH500_B - 0.25)
    rows, cols = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for bit in range(scale):
        draw = rng.random(count)
        low, right = draw >= a + b, ((draw >= a) & (draw < a + b)) | (draw >= a + 2 * b)
        rows |= low.astype(np.int64) << bit
        cols |= right.astype(np.int64) << bit
    return rows, cols


def _uniform(
    text: str, parts: list[str], _options: Mapping[str, float], rng: np.random.Generator, limits: Limits
) -> Matrix:
    found = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", parts[0]) if len(parts) == 2 else None
    if not found:
        raise _malformed(text, "uniform")
    rows, cols = int(found[1]), int(found[2])
    density = _density(text, parts[1])
    _check_size(text, (rows, cols), rows * cols * density, limits)
    counts = rng.binomial(cols, density, rows)
    chosen = [np.sort(rng.choice(cols, count, replace=False, shuffle=False)) for count in counts if count]
    indices = np.concatenate([*chosen, np.zeros(0, dtype=np.int64)])
    return _from_rows(text, cols, counts, indices, rng)


def _banded(
    text: str, parts: list[str], _options: Mapping[str, float], rng: np.random.Generator, limits: Limits
) -> Matrix:
    side, width = _sizes(text, "banded", parts, 2)
    _check_size(text, (side, side), side * (2.0 * width + 1), limits)
    offsets = np.arange(-width, width + 1)
    cols = (np.arange(side)[:, None] + offsets).reshape(-1)
    inside = (cols >= 0) & (cols < side)
    counts = inside.reshape(side, -1).sum(axis=1)
    return _from_rows(text, side, counts, cols[inside], rng)


def _block(
    text: str, parts: list[str], _options: Mapping[str, float], rng: np.random.Generator, limits: Limits
) -> Matrix:
    if len(parts) != 3:
        raise _malformed(text, "block")
    side, block = _sizes(text, "block", parts[:2], 2)
    density = _density(text, parts[2])
    if block < 1 or side % block:
        raise UserError(f"--matrix {text}: blocks of {block} do not fill {side} rows; the rows are a multiple of them")
    grid = side // block
    count = max(1, round(grid * grid * density))
    _check_size(text, (side, side), count * block * block, limits)
    places = np.sort(rng.choice(grid * grid, count, replace=False))
    inner = np.arange(block)
    rows = (places // grid * block)[:, None, None] + inner[None, :, None]
    cols = (places % grid * block)[:, None, None] + inner[None, None, :]
    rows, cols = (np.broadcast_to(each, (len(places), block, block)).reshape(-1) for each in (rows, cols))
    return from_triplets(text, (side, side), rows, cols, _values(len(rows), rng))


def _from_rows(text: str, cols: int, counts: Whole, indices: Whole, rng: np.random.Generator) -> Matrix:
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    stored: Index = indices.astype(np.int32)
    return Matrix(text, len(counts), cols, starts, stored, _values(len(stored), rng))


def _values(count: int, rng: np.random.Generator) -> Values:
    """Values of either sign, none of them zero."""
    return np.asarray((rng.random(count) + 0.5) * rng.choice(np.array([-1.0, 1.0]), count))


def _sizes(text: str, kind: str, parts: list[str], count: int) -> list[int]:
    if len(parts) != count or not all(re.fullmatch("[0-9]{1,9}", part) for part in parts):
        raise _malformed(text, kind)
    return [int(part) for part in parts]


def _density(text: str, part: str) -> float:
    if not re.fullmatch(r"[0-9]{0,20}\.?[0-9]{1,20}(e-?[0-9]{1,3})?", part) or not 0 < float(part) <= 1:
        raise UserError(f"--matrix {text}: density: '{part}' is not a number above 0 and at most 1")
    return float(part)


def _check_size(text: str, sides: tuple[float, float], elements: float, limits: Limits) -> None:
    """Raises UserError for a matrix with no rows or columns, and for one above the limits: before any of it is made."""
    what = f"--matrix {text}:"
    if min(sides) < 1:
        raise UserError(f"{what} a side is at least 1")
    limits.check("side", max(sides), f"{what} the matrix")
    limits.check("elements", elements, f"{what} the matrix")


def _malformed(text: str, kind: str) -> UserError:
    return UserError(f"--matrix {text}: is not a {kind} matrix; write it like {EXAMPLES[kind]}")
