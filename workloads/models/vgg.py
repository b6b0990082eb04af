"""VGG-19 with batch norm (arXiv 1409.1556, column E), in the form used for 32x32 images: one linear layer after it."""

from collections import OrderedDict
from typing import final

from torch import Tensor, nn

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.op import Optimizer

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions, each stage ends in 2x2 pooling


@final
class VggBlock(nn.Sequential):
    """3x3 convolution with bias, batch norm, ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        conv = nn.Conv2d(inside, outside, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outside), relu=nn.ReLU()))


@final
class Vgg(nn.Module):
    """Images (B, 3, H, W), sides a multiple of 32, to logits (B, classes)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        inside = 3
        for number, (channels, convolutions) in enumerate(STAGES, start=1):
            outside = sizes.wide(channels)
            insides = [inside] + [outside] * (convolutions - 1)
            blocks = [VggBlock(each, outside) for each in insides]
            self.add_module(f"stage{number}", nn.Sequential(*blocks, nn.MaxPool2d(2)))
            inside = outside
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inside, sizes.classes)

    def forward(self, x: Tensor) -> Tensor:
        for number in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"stage{number}")(x)
        result: Tensor = self.fc(self.avgpool(x).flatten(1))
        return result


vgg19 = ModelSpec(
    name="vgg19",
    make=Vgg,
    sizes=Sizes(classes=100, image=32),
    data=DataKind.IMAGES,
    objective=Objective.CLASSIFY,
    optimizer=Optimizer.MOMENTUM,
    kept_dense=("stage1.0.conv", "fc"),
    batch=512,
)
