"""What the tensors of a step are made from: copies of each other, weights with something done to them, constants."""

from typing import final

from torch import Tensor

from workloads.op import VectorKind
from workloads.recording.calls import Call, tensors_in
from workloads.recording.operators import COPIES, PARTS, RANDOM, Sort, kind_of, sort_of
from workloads.recording.tensor_names import TensorNames

# What masks a weight or changes its format. Work on them is done where the mask is made, once an update.
DERIVING = frozenset(["mul", "where", "masked_fill", "_to_copy", "clone", "copy", "bitwise_and"])


@final
class Follower:
    """Learns from every operator what its results are."""

    def __init__(self) -> None:
        self.names = TensorNames()

    def is_free(self, call: Call) -> bool:
        """Whether an operator only masks a weight or changes its format."""
        if call.name not in DERIVING or not call.outputs:
            return False
        return self._source(call, call.outputs[0]) is not None

    def follow(self, call: Call) -> None:
        """Learn what the results of a call are."""
        if call.func._schema.is_mutable:
            keeps = call.name in DERIVING or all(map(self.names.is_fixed, call.inputs))
            for tensor in call.outputs:
                self.names.written(tensor, fixed=keeps)
            return
        made = call.outputs[0] if call.outputs else None
        if made is None or call.func.is_view:
            return
        inputs = call.inputs
        product = sort_of(call.func) is Sort.PRODUCT
        source = self._source(call, made)
        if source is not None:
            self.names.derive(made, source, composed=product)
        elif all(map(self.names.is_fixed, inputs)) and call.name not in RANDOM:
            self.names.fix(made)
        if source is None and call.name in COPIES and tensors_in(call.args):
            self.names.copied(made, inputs[0])

    def _source(self, call: Call, made: Tensor) -> Tensor | None:
        """The parameter that a result was made from, if from no data: the one of its own shape, else the largest.

        A mask is data as far as torch knows, where it is no buffer: what it is multiplied by stays the parameter.
        """
        if not made.dtype.is_floating_point and not made.is_complex():
            return None
        named = [tensor for tensor in call.inputs if self.names.parameter(tensor)]
        if not named:
            return None
        alike = [tensor for tensor in named if tensor.shape == made.shape]
        makes = sort_of(call.func) is not Sort.FREE or call.name in PARTS
        if makes and all(map(self.names.is_fixed, call.inputs)):
            return max(alike or named, key=lambda tensor: tensor.numel())
        if call.name not in DERIVING or kind_of(call.func) is not VectorKind.ELEMENTWISE:
            return None
        found = {self.names.parameter(tensor): tensor for tensor in alike}
        return next(iter(found.values())) if len(found) == 1 else None
