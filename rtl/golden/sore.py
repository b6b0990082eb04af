"""Golden model of SORE: packed groups of the mask that training uses."""

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits, Format, IntFormat, decode
from workloads.masks import largest


def kept(values: Bits, form: Format, n: int, m: int) -> NDArray[np.bool_]:
    """Which of a run of values SORE keeps; values: (length,) bit patterns, the last group may be shorter."""
    magnitudes = (
        np.abs(decode(values, form).astype(np.int16))
        if isinstance(form, IntFormat)
        else values.view(f"i{values.itemsize}")
    )
    return largest(magnitudes, n, m, 0)


def packed(values: Bits, form: Format, n: int, m: int) -> tuple[Bits, NDArray[np.intp], NDArray[np.bool_]]:
    """What leaves SORE for a run of values: (kept values, their indices in their groups, whether a group ends)."""
    where = np.flatnonzero(kept(values, form, n, m))
    group = where // m
    return values[where], where % m, np.append(group[1:] != group[:-1], True)
