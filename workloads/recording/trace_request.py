"""What is to be recorded of a user's module, and how. Needs no torch."""

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import final

from workloads.errors import UserError, unknown_name
from workloads.files.limits import INPUT_NUMBERS
from workloads.methods.base import Method
from workloads.methods.fields import asked_method
from workloads.op import Optimizer
from workloads.pattern import PatternMap
from workloads.training.settings import LARGEST_SEED, check_here
from workloads.workload import Mode

SIZES = r"[0-9]{1,40}(?:x[0-9]{1,40})*"
PLACE = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*"  # input_ids, or states.0.keys
AXES, LARGEST_BELOW = 64, 2**62  # of a tensor of torch, and what fits its integers
USUAL_METHOD = "bdwp"  # with patterns
FORMATS = {
    "float32": "float32", "fp32": "float32", "float16": "float16", "fp16": "float16", "bfloat16": "bfloat16",
    "bf16": "bfloat16", "float64": "float64", "complex64": "complex64", "int64": "int64", "int32": "int32",
    "uint8": "uint8", "bool": "bool",
}  # fmt: skip
FILLS, WHOLE = ("ones", "zeros"), ("int64", "int32", "uint8")
EXAMPLE = "such as 1x3x224x224, 8x128:30522 for integers below 30522, or mask=8x128:ones"
STATED = "stated"  # the method of a workload whose weights were sparse in some way of their own


class Loss(StrEnum):
    AUTO = "auto"  # the module's own; else cross-entropy where the output looks like logits
    CROSS_ENTROPY = "cross-entropy"
    SQUARES = "squares"


@final
@dataclass(frozen=True)
class Input:
    """One input of a model: normal numbers, integers from 0 to `below` - 1 such as tokens, or all ones or zeros.

    `stored` is its number format; empty is that of the model's weights, or int64. `place` is where it belongs: the name
    of a parameter of `forward`, with a dot and a name or number for each level of a container; empty is by position.
    """

    shape: tuple[int, ...]
    below: int | None = None
    stored: str = ""
    fill: str = ""
    place: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers."""
        return self.below is not None or self.stored in WHOLE or (bool(self.fill) and not self.stored)

    def __str__(self) -> str:
        sizes = "x".join(str(size) for size in self.shape)
        parts = (self.stored, self.fill, "" if self.below is None else str(self.below))
        words = ":".join((sizes, *(part for part in parts if part)))
        return f"{self.place}={words}" if self.place else words


@final
@dataclass(frozen=True)
class Request:
    """What to record. Without a method the module is recorded as it is.

    target: MODULE:NAME, or what a module that is there already is called; config: keyword arguments of what builds it.
    output: the part of what the module returns that the loss is of. plain: weights that are n:m already are taken as
    dense ones. given: its inputs are tensors of the caller.
    """

    target: str
    inputs: tuple[Input, ...]
    patterns: PatternMap
    method: Method | None = None
    optimizer: Optimizer = Optimizer.MOMENTUM
    loss: Loss = Loss.AUTO
    output: str = ""
    config: dict[str, object] = field(default_factory=dict)
    mode: Mode = Mode.TRAINING
    plain: bool = False
    shapes_only: bool = False
    seed: int = 0
    given: bool = False

    @property
    def sizes(self) -> str:
        """The inputs, as a workload file says them."""
        return " ".join(str(each) for each in self.inputs)

    @property
    def batch(self) -> int:
        """The first axis of the first input."""
        return self.inputs[0].shape[0]

    @property
    def sequence(self) -> int:
        """The second axis of the first input, where that holds tokens."""
        first = self.inputs[0]
        return first.shape[1] if first.is_whole and len(first.shape) > 1 else 1


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
    output: str = "",
    config: Sequence[str] = (),
    mode: str = Mode.TRAINING,
) -> Request:
    """What to record, by names. Raises UserError for whatever can be known to be wrong before the module is there."""
    check_here()
    sparse = patterns is not None and (not patterns.is_dense or method is not None)
    name = method or (USUAL_METHOD if sparse else "dense")
    chosen = asked_method(name, sparse, method_fields)
    for option, word, known in (("optimizer", optimizer, Optimizer), ("loss", loss, Loss), ("mode", mode, Mode)):
        if word not in [each.value for each in known]:
            raise unknown_name(option, word, [each.value for each in known], f"--{option}")
    if mode == Mode.INFERENCE:
        for option, given_word in (("--loss", loss != Loss.AUTO), ("--output", bool(output))):
            if given_word:
                raise UserError(f"{option}: inference has no loss; leave it out")
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"--seed {seed}: must lie between 0 and {LARGEST_SEED}")
    return Request(
        target=target,
        inputs=tuple(inputs),
        patterns=patterns or PatternMap(),
        method=chosen if sparse else None,
        optimizer=Optimizer(optimizer),
        loss=Loss(loss),
        output=output,
        config=parse_config(config),
        mode=Mode(mode),
        plain=patterns is not None,
        shapes_only=shapes_only,
        seed=seed,
        given=given,
    )


def parse_inputs(texts: Sequence[str]) -> list[Input]:
    """Read a module's inputs. Raises UserError where there are none, for what is no input, and for one given twice."""
    if not texts:
        raise UserError("--input: say what the module takes, for example --input 1x3x224x224")
    found = [parse_input(text) for text in texts]
    places = [each.place for each in found if each.place]
    for text, each in zip(texts, found, strict=True):
        if any(other != each.place and other.startswith(f"{each.place}.") for other in places if each.place):
            raise UserError(f"--input {text}: '{each.place}' is one input here and holds others elsewhere")
        if places.count(each.place) > 1:
            raise UserError(f"--input {text}: '{each.place}' is given twice")
    return found


def parse_input(text: str) -> Input:
    """Read one input: [PLACE=]SIZES, and behind colons a number format, ones or zeros, or what integers lie below.

    Raises UserError for anything else.
    """
    found = re.fullmatch(rf"(?:({PLACE})=)?({SIZES})((?::[A-Za-z0-9]{{1,40}}){{0,3}})", text.strip())
    shape = tuple(int(size) for size in found[2].split("x")) if found else ()
    words = found[3].split(":")[1:] if found else []
    below = [int(word) for word in words if word.isdigit()]
    stored = [FORMATS[word] for word in words if word in FORMATS]
    fill = [word for word in words if word in FILLS]
    unknown = [word for word in words if not word.isdigit() and word not in FORMATS and word not in FILLS]
    if found and unknown:
        raise unknown_name("number format", unknown[0], [*FORMATS, *FILLS], f"--input {text}")
    once = max(len(below), len(stored), len(fill)) <= 1 and not (below and fill)
    if found is None or not shape or min(shape) < 1 or 0 in below or not once:
        raise UserError(f"--input {text}: write sizes, {EXAMPLE}")
    most = below[0] if below else 0
    if math.prod(shape) > INPUT_NUMBERS or most > LARGEST_BELOW or len(shape) > AXES:
        raise UserError(
            f"--input {text}: an input has at most {INPUT_NUMBERS:,} numbers along {AXES} axes, and integers below "
            f"{LARGEST_BELOW:,}"
        )
    named = found[1] or ""
    return Input(shape, most or None, stored[0] if stored else "", fill[0] if fill else "", named)


def parse_config(texts: Sequence[str]) -> dict[str, object]:
    """Keyword arguments such as hidden_size=512,act=gelu, as Python would read each, else as text."""
    found: dict[str, object] = {}
    for part in (part for text in texts for part in re.split(r",(?=\s*[A-Za-z_][A-Za-z0-9_]*=)", text)):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not name.isidentifier():
            raise UserError(
                f"--config {part}: write NAME=VALUE, for example --config hidden_size=512,num_hidden_layers=4"
            )
        if name in found:
            raise UserError(f"--config {part}: {name} is given twice")
        try:
            found[name] = ast.literal_eval(value.capitalize() if value in ("true", "false", "none") else value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found
