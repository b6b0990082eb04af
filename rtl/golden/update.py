"""Golden model of WUVE: every multiplication, addition, division and square root rounds by itself."""

from collections.abc import Callable, Mapping

import numpy as np

from rtl.formats import FP32, Bits, decode, encode
from rtl.golden.arithmetic import add, divide, multiply, root
from rtl.update import UpdateParameters

Fields = dict[str, Bits]


def updated(parameters: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]) -> Fields:
    """Weights, their state and `operand`, the weights in the operand's format, after a step.

    fields: FP32 bit patterns of `weight`, `gradient` and each state, all of one shape; `constants` from
    `rtl.update.constants`.
    """
    rule = _momentum if parameters.optimizer == "momentum" else _adamw
    made = rule(fields, {name: np.uint32(bits) for name, bits in constants.items()})
    return made | {"operand": encode(decode(made["weight"], FP32), parameters.operand)}


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
