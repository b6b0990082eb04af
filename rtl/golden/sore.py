"""Golden model of SORE: the n largest magnitudes of every group of m, in order of their indices."""

import numpy as np
from numpy.typing import NDArray

from rtl.formats import Bits, Format, IntFormat, decode


def kept(values: Bits, form: Format, n: int, m: int) -> NDArray[np.bool_]:
    """Which of a run of values SORE keeps; values: (length,) bit patterns, the last group may be shorter.

    Floats rank by the integers that their magnitudes are, integers by their absolute value; ties go to the lower index.
    """
    magnitudes = values.astype(np.int64) & ((1 << (form.bits - 1)) - 1)
    if isinstance(form, IntFormat):
        magnitudes = np.abs(decode(values, form).astype(np.int64))
    groups = np.pad(magnitudes, (0, -len(values) % m), constant_values=-1).reshape(-1, m)
    order = np.argsort(-groups, axis=1, kind="stable")[:, :n]
    mask = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(mask, order, True, axis=1)
    return mask.reshape(-1)[: len(values)]


def packed(values: Bits, form: Format, n: int, m: int) -> tuple[Bits, NDArray[np.intp], NDArray[np.bool_]]:
    """What leaves SORE for a run of values: (kept values, their indices in their groups, whether a group ends)."""
    where = np.flatnonzero(kept(values, form, n, m))
    group = where // m
    return values[where], where % m, np.append(group[1:] != group[:-1], True)
