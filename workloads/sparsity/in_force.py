"""What is in force in a model's weights while a step is recorded."""

from typing import final

from torch import Tensor, nn

from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern
from workloads.sparsity.masked_weight import masked_weights


@final
class InForce:
    """Patterns and orders by the name of a parameter; a parameter with several names has the first of them."""

    def __init__(self, model: nn.Module) -> None:
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._weights = {names[id(weight.master)]: weight for _, weight in masked_weights(model)}

    @property
    def parameters(self) -> list[str]:
        """The names of the weights that may have a pattern."""
        return list(self._weights)

    def pattern(self, parameter: str, phase: Phase, role: Role) -> Pattern:
        """The pattern of one operand of a product with a weight; dense where there is no such weight."""
        found = self._weights.get(parameter)
        return found.pattern_of(phase, role) if found else DENSE

    def order(self, parameter: str, phase: Phase, role: Role) -> Tensor | None:
        """The order of output channels, (G, O), in which an operand is grouped; None: as they are."""
        found = self._weights.get(parameter)
        return found.permutation_of(phase, role) if found else None
