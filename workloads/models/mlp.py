"""A perceptron with one hidden layer, 64-128-10, for 8x8 gray images such as scikit-learn's digits: the smallest step
that has everything, a sparse layer, a dense one, FF, BP, WU and updates."""

from typing import final

from torch import Tensor, nn

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.op import Optimizer

HIDDEN = 128


@final
class Mlp(nn.Module):
    """Images (B, 3, side, side) to logits (B, classes). Gray images have three channels alike; the first is taken."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        hidden = sizes.wide(HIDDEN)
        self.hidden = nn.Linear(sizes.image * sizes.image, hidden)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(hidden, sizes.classes)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.relu(self.hidden(x[:, 0].flatten(1))))
        return result


mlp = ModelSpec(
    name="mlp",
    make=Mlp,
    sizes=Sizes(classes=10, image=8),
    data=DataKind.IMAGES,
    objective=Objective.CLASSIFY,
    optimizer=Optimizer.MOMENTUM,
    kept_dense=("fc",),  # not the first layer: there would be nothing left
    batch=32,
    learning_rate=0.05,
)
