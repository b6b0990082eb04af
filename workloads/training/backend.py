"""Where the products, masks and updates of a training happen, when torch does not do them: a `Backend`, by entry point.

A host trains: it holds the model, its activations, norms and loss, and calls a session for every product of a layer
with its weight and for every update. Needs no torch: operands are numpy arrays.

Inner indices. FF reduces over (tap, input channel), tap by tap; BP over (tap, output channel) with the same numbers of
taps, so that the left operand of BP, at an input position and a tap, is the output gradient at the position that the
input contributes to through that tap, and zero where there is none. The matrix of FF is W[(tap, input), output]; that
of BP is Wbp[(tap, output), input] = W[(tap, input), output]. WU reduces over output positions.

Arithmetic. Products see weights rounded to FP16 under the masks of their phase: FF keeps the n largest magnitudes of
every m input channels of a tap, BP those of every m output channels, ties to the lower index; a last group of fewer
than m keeps min(n, their number). Masks are made of the weights rounded to FP16, at the start and after every update.
Sums are FP32, from +0 on, one addition after the other along the reduction (`rtl.golden.products`), over what is kept.
FF and BP round their sums to FP16 once; WU leaves them in FP32. Updates are those of `rtl.golden.units.updated`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from workloads.errors import UserError
from workloads.op import MatrixOp, Optimizer, Phase, Role
from workloads.pattern import Pattern
from workloads.registry import BACKENDS, load_part
from workloads.workload import Workload

Half = NDArray[np.float16]
Single = NDArray[np.float32]
States = Mapping[str, Mapping[str, Single]]
OPS, CYCLES = "ops", "cycles"  # what figures may hold: rows of a table, and clock cycles


@final
@dataclass(frozen=True)
class UpdateRule:
    """What an update needs for the whole run: the optimizer, and the loss scale, a power of two, that gradients and
    the states of weights carry (the second moment its square)."""

    optimizer: Optimizer
    scale: float


@final
@dataclass(frozen=True)
class Begin:
    """What a session starts from.

    step: one recorded step, whose ops say layers, sizes and patterns (`layers_of`). weights: every parameter that is
    trained by name: (taps * in, out) for the weights of those layers, flat for all others. states: those of the
    optimizer in the same shapes, by parameter and name; empty at the start of a run, which means zeros.
    """

    step: Workload
    weights: Mapping[str, Single]
    states: States
    rule: UpdateRule


class Session(ABC):
    """A training on a backend. `layer` is the name of a layer in the ops of the step."""

    @abstractmethod
    def forward(self, layer: str, left: Half) -> Half:
        """FF: (rows, taps * in) -> (rows, out)."""

    @abstractmethod
    def input_gradient(self, layer: str, left: Half) -> Half:
        """BP: (rows, taps * out) -> (rows, in). Called for layers only whose step has a BP op."""

    @abstractmethod
    def weight_gradient(self, layer: str, left: Half, right: Half) -> Single:
        """WU: the left operand of FF, (positions, taps * in), and the output gradient, (positions, out)
        -> (taps * in, out)."""

    @abstractmethod
    def update(self, parameter: str, gradient: Single | None, constants: Mapping[str, float]) -> None:
        """One update of a parameter, and new masks and copies where it is the weight of a layer.

        gradient: in the parameter's shape; None: what `weight_gradient` left for the layer of this weight.
        constants: the settings of `rtl.lanes.constants`, the loss scale folded in.
        """

    @abstractmethod
    def weight(self, parameter: str) -> Single:
        """The parameter as it is now, in the shape it began with; asked for when a step's parameters are all updated,
        since some of them may share an update."""

    @abstractmethod
    def states(self, parameter: str) -> Mapping[str, Single]:
        """The states of its optimizer by name, with the loss scale in them, in the same shape."""

    @abstractmethod
    def figures(self) -> Mapping[str, object]:
        """What there is to tell, counted from the session's beginning on.

        `ops` may be rows of a table, mappings of the same keys, with `layer` and `phase` and numbers that add up;
        `cycles` the clock cycles of all of them. Whatever else is there is told as it is.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the session holds."""


class Backend(ABC):
    """Where the products, masks and updates of a training happen."""

    name: str

    @abstractmethod
    def on(self, machine: str) -> "Backend":
        """The same on a machine, a name or a file. Raises UserError where there is nothing to choose."""

    @abstractmethod
    def begin(self, what: Begin) -> Session:
        """Raises UserError for what it cannot do, before anything is computed."""


def load_backend(said: str) -> Backend:
    """A backend as `--on` says it: NAME, or NAME:MACHINE. Raises UserError for one that there is not."""
    name, _, machine = said.partition(":")
    found = load_part(BACKENDS, "backend", name, Backend)
    return found.on(machine) if machine else found


def no_machine(name: str, machine: str) -> UserError:
    """What a backend without a choice says."""
    return UserError(f"--on {name}:{machine}: {name} has no machine to choose; leave ':{machine}' out")


@final
@dataclass(frozen=True)
class Layer:
    """A layer that multiplies by a weight, once a step. backward: its BP op, None where no gradient of its input is
    wanted, as for the first layer."""

    forward: MatrixOp
    backward: MatrixOp | None
    gradient: MatrixOp

    @property
    def name(self) -> str:
        return self.forward.layer

    @property
    def parameter(self) -> str:
        """The name of its weight among the parameters."""
        return self.forward.right.tensor

    @property
    def taps(self) -> int:
        return self.forward.segments

    @property
    def inputs(self) -> int:
        """Input channels."""
        return self.forward.inner // self.taps

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.forward.cols

    @property
    def forward_pattern(self) -> Pattern:
        return self.forward.right.pattern

    @property
    def backward_pattern(self) -> Pattern | None:
        """None where there is no BP."""
        return self.backward.right.pattern if self.backward else None


def layers_of(step: Workload) -> dict[str, Layer]:
    """The layers of a step by name, in the order of their forward pass. Raises UserError for what no backend does."""
    products = [op for op in step.ops if isinstance(op, MatrixOp)]
    for op in products:
        if said := _unfit(op):
            raise UserError(f"layer '{op.layer}': {said}")
    found = {phase: [op for op in products if op.phase is phase] for phase in (Phase.FF, Phase.BP, Phase.WU)}
    for phase, ops in found.items():
        seen = set[str]()
        for op in ops:
            if op.layer in seen:
                raise UserError(f"layer '{op.layer}': has more than one product of {phase} in a step, and one is taken")
            seen.add(op.layer)
    backward, gradient = ({op.layer: op for op in found[phase]} for phase in (Phase.BP, Phase.WU))
    layers = {}
    for op in found[Phase.FF]:
        if op.layer not in gradient:
            raise UserError(f"layer '{op.layer}': its weight does not train")
        layers[op.layer] = Layer(op, backward.get(op.layer), gradient[op.layer])
    owners = [layer.parameter for layer in layers.values()]
    for layer in layers.values():
        if owners.count(layer.parameter) > 1:
            raise UserError(f"layer '{layer.name}': shares its weight with another layer, and one product is taken")
    return layers


def _unfit(op: MatrixOp) -> str:
    """Why no backend does a product of a step, in words; empty where one may."""
    geometry, weight = op.geometry, op.right
    reasons = [
        (
            op.phase is not Phase.WU and weight.role is not Role.WEIGHT,
            "multiplies activations by each other, and backends have products with weights",
        ),
        (not op.left.pattern.is_dense, f"has an operand that is {op.left.pattern} and no weight"),
        (weight.permutation is not None, "has groups of BP in an order of output channels of its own"),
        (
            not (weight.pattern.is_dense or weight.pattern.is_grouped),
            f"has the pattern {weight.pattern}, and backends have n:m",
        ),
        (op.again, "is run again by activation checkpointing"),
    ]
    if geometry is None:
        reasons.append((op.count != 1, f"is {op.count} products at once"))
    else:
        reasons += [
            (geometry.transposed, "is a transposed convolution"),
            (len(geometry.kernel) != 2, f"is a convolution over {len(geometry.kernel)} axes, and two are taken"),
            (geometry.groups != 1, f"is a convolution in {geometry.groups} groups, and one is taken"),
            (
                any(step != 1 for step in geometry.stride),
                "the input gradient of a strided convolution comes in classes, which backends do not have",
            ),
            (any(step != 1 for step in geometry.dilation), "is a dilated convolution"),
        ]
    return next((sentence for holds, sentence in reasons if holds), "")
