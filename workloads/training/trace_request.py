"""What is to be recorded of a user's module, and how. Needs no torch."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from workloads.errors import UserError, unknown_name
from workloads.files.limits import INPUT_NUMBERS
from workloads.methods.base import Method
from workloads.methods.fields import asked_method
from workloads.op import Optimizer
from workloads.pattern import PatternMap
from workloads.training.settings import LARGEST_SEED, check_here

SIZES = r"([0-9]{1,40}(?:x[0-9]{1,40})*)(?::([0-9]{1,40}))?"
AXES, LARGEST_BELOW = 64, 2**62  # of a tensor of torch, and what fits its integers
USUAL_METHOD = "bdwp"  # with patterns


class Loss(StrEnum):
    AUTO = "auto"  # cross-entropy where the output looks like logits
    CROSS_ENTROPY = "cross-entropy"
    SQUARES = "squares"


@final
@dataclass(frozen=True)
class Input:
    """One input of a model: normal numbers, or integers from 0 to `below` - 1 such as tokens."""

    shape: tuple[int, ...]
    below: int | None = None

    def __str__(self) -> str:
        sizes = "x".join(str(size) for size in self.shape)
        return sizes if self.below is None else f"{sizes}:{self.below}"


@final
@dataclass(frozen=True)
class Request:
    """What to record. Without a method the module is recorded as it is.

    target: MODULE:NAME, or what a module that is there already is called. given: its inputs are tensors of the caller.
    """

    target: str
    inputs: tuple[Input, ...]
    patterns: PatternMap
    method: Method | None = None
    optimizer: Optimizer = Optimizer.MOMENTUM
    loss: Loss = Loss.AUTO
    shapes_only: bool = False
    seed: int = 0
    given: bool = False

    @property
    def sizes(self) -> str:
        """The inputs, as a workload file says them."""
        return " ".join(str(each) for each in self.inputs)


def trace_request(
    target: str,
    inputs: Sequence[Input],
    method: str | None = None,
    patterns: PatternMap | None = None,
    method_fields: Sequence[str] = (),
    optimizer: str = Optimizer.MOMENTUM,
    loss: str = Loss.AUTO,
    shapes_only: bool = False,
    seed: int = 0,
    given: bool = False,
) -> Request:
    """What to record, by names. Raises UserError for whatever can be known to be wrong before the module is there."""
    check_here()
    name = method or (USUAL_METHOD if patterns else "dense")
    chosen = asked_method(name, patterns is not None, method_fields)
    for option, word, known in (("optimizer", optimizer, Optimizer), ("loss", loss, Loss)):
        if word not in [each.value for each in known]:
            raise unknown_name(option, word, [each.value for each in known], f"--{option}")
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"--seed {seed}: must lie between 0 and {LARGEST_SEED}")
    return Request(
        target=target,
        inputs=tuple(inputs),
        patterns=patterns or PatternMap(),
        method=chosen if patterns else None,
        optimizer=Optimizer(optimizer),
        loss=Loss(loss),
        shapes_only=shapes_only,
        seed=seed,
        given=given,
    )


def parse_inputs(texts: Sequence[str]) -> list[Input]:
    """Read the sizes of a module's inputs. Raises UserError where there are none, and for what is no size."""
    if not texts:
        raise UserError("--input: say what the module takes, for example --input 1x3x224x224")
    return [parse_input(text) for text in texts]


def parse_input(text: str) -> Input:
    """Read sizes such as 1x3x224x224, or 8x128:30522 for integers. Raises UserError for anything else."""
    found = re.fullmatch(SIZES, text.strip())
    shape = tuple(int(size) for size in found[1].split("x")) if found else ()
    below = int(found[2]) if found and found[2] else None
    if not shape or min(shape) < 1 or below == 0:
        raise UserError(f"--input {text}: write sizes, such as 1x3x224x224, or 8x128:30522 for integers below 30522")
    if math.prod(shape) > INPUT_NUMBERS or (below or 0) > LARGEST_BELOW or len(shape) > AXES:
        raise UserError(
            f"--input {text}: an input has at most {INPUT_NUMBERS:,} numbers along {AXES} axes, and integers below "
            f"{LARGEST_BELOW:,}"
        )
    return Input(shape, below)


def split_target(target: str) -> tuple[str, str]:
    """Module and name of `package.module:name`. Raises UserError for anything else."""
    place, colon, name = target.partition(":")
    if not (place and colon and name):
        raise UserError(f"'{target}': write MODULE:NAME, for example mypkg.mymodule:build_model")
    return place, name
