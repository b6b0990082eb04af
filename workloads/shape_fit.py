"""Sizes as functions of batch B and sequence length S: fitted on captures, checked on one more, evaluated by name.

A size is an integer, or a mapping of monomials to integer coefficients such as `{"BS": 768, "1": 2}`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

MONOMIALS: dict[str, tuple[int, int]] = {  # exponents of batch and sequence length
    "1": (0, 0),
    "B": (1, 0),
    "S": (0, 1),
    "BS": (1, 1),
    "SS": (0, 2),
    "BSS": (1, 2),
}

Size = int | dict[str, int]


def evaluate(size: int | Mapping[str, int], batch: int, sequence: int) -> int:
    """The size at one batch and sequence length.

    Raises KeyError for an unknown monomial, and TypeError for a coefficient that is no whole number.
    """
    if isinstance(size, int):
        return size
    for name, coefficient in size.items():
        if not isinstance(coefficient, int):  # a text times a batch would be a longer text
            raise TypeError(f"the coefficient of '{name}' is no whole number")
    return sum(coefficient * _monomial(name, batch, sequence) for name, coefficient in size.items())


def _monomial(name: str, batch: int, sequence: int) -> int:
    of_batch, of_sequence = MONOMIALS[name]
    return int(batch**of_batch * sequence**of_sequence)


def fit(points: Sequence[tuple[int, int]], values: Sequence[int]) -> Size:
    """The size that takes `values` at the (batch, sequence) `points`, exactly, with the fewest monomials.

    Raises ValueError when no integer combination of the monomials passes through all points: give more points than
    monomials, so that a wrong form cannot fit by chance.
    """
    if len(set(values)) == 1:
        return int(values[0])
    for names in _subsets():
        matrix = np.array([[_monomial(name, *point) for name in names] for point in points], dtype=float)
        solution, _, rank, _ = np.linalg.lstsq(matrix, np.array(values, dtype=float), rcond=None)
        size = {name: round(float(value)) for name, value in zip(names, solution, strict=True)}
        exact = all(evaluate(size, *point) == value for point, value in zip(points, values, strict=True))
        if rank == len(names) and exact:
            return {name: value for name, value in size.items() if value}
    raise ValueError(f"no size of the known form passes through {list(zip(points, values, strict=True))}")


def _subsets() -> list[list[str]]:
    names = list(MONOMIALS)
    masks = sorted(range(1, 2 ** len(names)), key=lambda mask: (mask.bit_count(), mask))
    return [[name for bit, name in enumerate(names) if mask >> bit & 1] for mask in masks]


def resolve(node: object, batch: int, sequence: int) -> object:
    """A JSON value with every size in it evaluated. A mapping is a size when all its keys are monomials."""
    if isinstance(node, dict):
        if node and all(key in MONOMIALS for key in node):
            return evaluate(node, batch, sequence)
        unknown = [key for key, value in node.items() if isinstance(value, int) and key.isupper()]
        if unknown:
            raise ValueError(f"unknown monomial '{unknown[0]}' (known: {', '.join(MONOMIALS)})")
        return {key: resolve(value, batch, sequence) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(value, batch, sequence) for value in node]
    return node
