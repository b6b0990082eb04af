"""Residual networks: ResNet-18, -50 and -152 for ImageNet (arXiv 1512.03385, table 1), and a nine-layer one for CIFAR.

ResNet-50 and -152 put the stride of a bottleneck on its 3x3 convolution, as torchvision does ("v1.5"); ResNet-9 is the
network of the DAWNBench entries, with a final pooling to 1x1.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import final

from torch import Tensor, nn

from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.op import Optimizer

LOGIT_SCALE = 0.125  # as the DAWNBench entries have it: without batch norm in front, logits start too large
IMAGENET = Sizes(classes=1000, image=224)


def _conv(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, kernel, stride, padding=kernel // 2, bias=False)


@final
class Shortcut(nn.Module):
    """The branch around a block: nothing, or a 1x1 convolution where the shape changes."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        changes = inside != outside or stride != 1
        self.conv = _conv(inside, outside, 1, stride) if changes else None
        self.bn = nn.BatchNorm2d(outside) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)) if self.conv is not None and self.bn is not None else x


@final
class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: (B, inside, H, W) -> (B, outside, H/stride, W/stride)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inside, outside, 3, stride)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv(outside, outside, 3)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = Shortcut(inside, outside, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        result: Tensor = self.relu2(y + self.downsample(x))
        return result


@final
class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the 3x3 one has a quarter of the channels."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        middle = outside // 4
        self.conv1 = _conv(inside, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv(middle, middle, 3, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU()
        self.conv3 = _conv(middle, outside, 1)
        self.bn3 = nn.BatchNorm2d(outside)
        self.downsample = Shortcut(inside, outside, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        result: Tensor = self.relu3(y + self.downsample(x))
        return result


@final
class ResNet(nn.Module):
    """Images (B, 3, H, W) to logits (B, classes). `depths` are the blocks of the four stages."""

    def __init__(self, sizes: Sizes, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...]) -> None:
        super().__init__()
        expansion = 4 if block is Bottleneck else 1
        stem = sizes.wide(64)
        self.conv1 = nn.Conv2d(3, stem, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inside = stem
        for stage, depth in enumerate(depths):
            outside = sizes.wide(64 * 2**stage) * expansion
            strides = [1 if stage == 0 else 2] + [1] * (depth - 1)
            insides = [inside] + [outside] * (depth - 1)
            blocks = [block(channels, outside, stride) for channels, stride in zip(insides, strides, strict=True)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            inside = outside
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inside, sizes.classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        result: Tensor = self.fc(self.avgpool(x).flatten(1))
        return result


@final
class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU and, if wanted, 2x2 pooling."""

    def __init__(self, inside: int, outside: int, pool: bool = False) -> None:
        conv, bn = _conv(inside, outside, 3), nn.BatchNorm2d(outside)
        super().__init__(OrderedDict(conv=conv, bn=bn, relu=nn.ReLU(), pool=nn.MaxPool2d(2) if pool else nn.Identity()))


@final
class ResidualPair(nn.Module):
    """x + two convolution blocks of x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = ConvBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(self.first(x))
        return result


@final
class ResNet9(nn.Module):
    """Images (B, 3, 32, 32), or any size of at least 8, to logits (B, classes)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        a, b, c, d = (sizes.wide(channels) for channels in (64, 128, 256, 512))
        self.prep = ConvBlock(3, a)
        self.layer1 = ConvBlock(a, b, pool=True)
        self.res1 = ResidualPair(b)
        self.layer2 = ConvBlock(b, c, pool=True)
        self.layer3 = ConvBlock(c, d, pool=True)
        self.res2 = ResidualPair(d)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.fc = nn.Linear(d, sizes.classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.res1(self.layer1(self.prep(x)))
        x = self.res2(self.layer3(self.layer2(x)))
        result: Tensor = self.fc(self.pool(x).flatten(1)) * LOGIT_SCALE
        return result


def _initialise(model: nn.Module) -> None:
    """Normal weights of variance 2 / fan-out (arXiv 1502.01852)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _spec(
    name: str, make: Callable[[Sizes], nn.Module], sizes: Sizes, stem: str, batch: int, learning_rate: float = 0.01
) -> ModelSpec:
    return ModelSpec(
        name=name,
        make=make,
        sizes=sizes,
        data=DataKind.IMAGES,
        objective=Objective.CLASSIFY,
        optimizer=Optimizer.MOMENTUM,
        kept_dense=(stem, "fc"),
        batch=batch,
        learning_rate=learning_rate,
    )


make_18 = partial(ResNet, block=BasicBlock, depths=(2, 2, 2, 2))
make_50 = partial(ResNet, block=Bottleneck, depths=(3, 4, 6, 3))
make_152 = partial(ResNet, block=Bottleneck, depths=(3, 8, 36, 3))
resnet9 = _spec("resnet9", ResNet9, Sizes(classes=10, image=32), "prep.conv", batch=512, learning_rate=0.05)
resnet18 = _spec("resnet18", make_18, IMAGENET, "conv1", batch=128)
resnet50 = _spec("resnet50", make_50, IMAGENET, "conv1", batch=128, learning_rate=0.003)
resnet152 = _spec("resnet152", make_152, IMAGENET, "conv1", batch=128, learning_rate=0.003)
