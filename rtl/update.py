"""Parameters of WUVE, the weight update engine, and the constants it takes: shared by hardware and golden model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rtl.formats import FP32, FloatFormat, Format, encode, operand_format
from workloads.errors import UserError, unknown_name

STATE = {"momentum": ("momentum",), "adamw": ("first_moment", "second_moment")}
CONSTANTS = {
    "momentum": ("momentum", "weight_decay", "learning_rate"),
    "adamw": ("beta1", "beta1_rest", "beta2", "beta2_rest", "root_correction", "epsilon", "decay", "rate"),
}


@dataclass(frozen=True)
class UpdateParameters:
    """A lane that updates FP32 weights and hands them on in an operand's format.

    optimizer: 'momentum' or 'adamw'. format: 'fp16' or 'bf16'. Latencies in cycles; one weight enters every cycle
    whatever they are. Raises UserError for what it cannot do.
    """

    optimizer: str
    format: str = "fp16"
    adder_latency: int = 4
    multiplier_latency: int = 4
    divider_latency: int = 15
    root_latency: int = 14

    def __post_init__(self) -> None:
        if self.optimizer not in STATE:
            raise unknown_name("optimizer", self.optimizer, STATE, "WUVE")
        if not isinstance(self.operand, FloatFormat):
            raise UserError(f"WUVE: weights cannot be handed on as {self.format}; allowed are fp16 and bf16")

    @property
    def operand(self) -> Format:
        return operand_format(self.format, "WUVE")

    @property
    def state(self) -> tuple[str, ...]:
        """FP32 values kept for each weight."""
        return STATE[self.optimizer]

    @property
    def constants(self) -> tuple[str, ...]:
        """FP32 values that hold for a whole step."""
        return CONSTANTS[self.optimizer]


def constants(optimizer: str, settings: Mapping[str, float]) -> dict[str, int]:
    """Bit patterns of a step's constants, computed in double precision and rounded once, as the training code does.

    settings: learning_rate, weight_decay; for 'momentum' also momentum, for 'adamw' beta1, beta2, epsilon and step,
    counted from 1.
    """
    at = dict(settings)
    if optimizer == "adamw":
        b1, b2, step = at["beta1"], at["beta2"], at["step"]
        at |= {
            "beta1_rest": 1 - b1,
            "beta2_rest": 1 - b2,
            "root_correction": (1 - b2**step) ** 0.5,
            "decay": at["learning_rate"] * at["weight_decay"],
            "rate": at["learning_rate"] / (1 - b1**step),
        }
    return {name: int(encode(np.float64(at[name]), FP32)) for name in CONSTANTS[optimizer]}
