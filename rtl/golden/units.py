"""Golden models of all units but the array: arithmetic by the processor's own with one NaN, SORE, and WUVE.

In WUVE every multiplication, addition, division and square root rounds by itself.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rtl.formats import FP32, Bits, FloatFormat, Format, IntFormat, accumulator_of, decode, encode
from rtl.lanes import UpdateParameters


def multiply(a: Bits, b: Bits, form: Format) -> Bits:
    """Bit patterns of products, in the accumulator's format; a, b: bit patterns in `form`, shapes that broadcast."""
    product = accumulator_of(form)
    if isinstance(form, IntFormat):
        return encode(decode(a, form).astype(np.int64) * decode(b, form), product)
    with np.errstate(all="ignore"):
        return encode(decode(a, form) * decode(b, form), product)


def add(a: Bits, b: Bits, form: Format) -> Bits:
    """Bit patterns of sums; a, b: bit patterns in `form`, shapes that broadcast."""
    if isinstance(form, IntFormat):
        return encode(decode(a, form).astype(np.int64) + decode(b, form), form)
    with np.errstate(all="ignore"):
        return encode(decode(a, form) + decode(b, form), form)


def divide(a: Bits, b: Bits, form: FloatFormat) -> Bits:
    """Bit patterns of quotients of FP32 values."""
    with np.errstate(all="ignore"):
        return encode(decode(a, form) / decode(b, form), form)


def root(a: Bits, form: FloatFormat) -> Bits:
    """Bit patterns of square roots of FP32 values."""
    with np.errstate(all="ignore"):
        return encode(np.sqrt(decode(a, form)), form)


def narrow(a: Bits, form: FloatFormat) -> Bits:
    """Bit patterns of FP32 values rounded to another format."""
    return encode(decode(a, FP32), form)


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


Fields = dict[str, Bits]


def updated(parameters: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]) -> Fields:
    """Weights, their state and `operand`, the weights in the operand's format, after a step.

    fields: FP32 bit patterns of `weight`, `gradient` and each state, all of one shape; `constants` from
    `rtl.lanes.constants`.
    """
    rule = _momentum if parameters.optimizer == "momentum" else _adamw
    made = rule(fields, {name: np.uint32(bits) for name, bits in constants.items()})
    return made | {"operand": narrow(made["weight"], parameters.operand)}


def _momentum(at: Mapping[str, Bits], by: Mapping[str, np.uint32]) -> Fields:
    decayed = _plus(at["gradient"], _times(at["weight"], by["weight_decay"]))
    velocity = _plus(_times(at["momentum"], by["momentum"]), decayed)
    return {"weight": _minus(at["weight"], _times(velocity, by["learning_rate"])), "momentum": velocity}


def _adamw(at: Mapping[str, Bits], by: Mapping[str, np.uint32]) -> Fields:
    gradient = at["gradient"]
    first = _plus(_times(at["first_moment"], by["beta1"]), _times(gradient, by["beta1_rest"]))
    square = _times(_times(gradient, gradient), by["beta2_rest"])
    second = _plus(_times(at["second_moment"], by["beta2"]), square)
    spread = _plus(divide(root(second, FP32), by["root_correction"], FP32), by["epsilon"])
    decayed = _minus(at["weight"], _times(at["weight"], by["decay"]))
    step = _times(divide(first, spread, FP32), by["rate"])
    return {"weight": _minus(decayed, step), "first_moment": first, "second_moment": second}


def _on_fp32(operation: Callable[..., Bits]) -> Callable[[Bits, Bits], Bits]:
    return lambda a, b: operation(a, b, FP32)


_plus, _times = _on_fp32(add), _on_fp32(multiply)


def _minus(a: Bits, b: Bits) -> Bits:
    return _plus(a, b ^ np.uint32(1 << 31))
