"""Convolutions of one to three dimensions, transposed ones, and networks that shrink an image and grow it again."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.entry import Entry, numbers

SIDE = 16


class Shrinking(nn.Module):
    """A small U-Net: `grow` doubles an image of 2 x WIDTH channels and halves its channels."""

    WIDTH = 8

    def __init__(self, grow: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        width = self.WIDTH
        self.into = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.grow = grow(2 * width, width)
        self.out = nn.Conv2d(2 * width, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.relu(self.into(x))
        small = functional.relu(self.deep(functional.relu(self.down(wide))))
        result: Tensor = self.out(torch.cat([wide, self.grow(small)], 1))
        return result


class Penalised(nn.Module):
    """A critic whose loss holds the gradient for its own input: convolutions are differentiated twice."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 4, stride=2, padding=1), nn.Tanh(),
            nn.Flatten(), nn.Linear(8 * 16, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(x).sum(), x, create_graph=True)
        return gradient.square().sum((1, 2, 3)).sqrt() - 1


def _upsampled(inside: int, outside: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(inside, outside, 3, padding=1))


def _transposed(inside: int, outside: int) -> nn.Module:
    return nn.ConvTranspose2d(inside, outside, 2, stride=2)


def _chain(*layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*(each for layer in layers for each in (layer(), nn.ReLU())))


MODELS = (
    Entry(
        "conv1d-dilated",  # unpadded: the input's gradient has other multiply-accumulates here than in torch's count
        _chain(
            lambda: nn.Conv1d(4, 8, 5), lambda: nn.Conv1d(8, 8, 3, dilation=4), lambda: nn.Conv1d(8, 6, 3, stride=2)
        ),
        numbers(4, 40),
    ),
    Entry(
        "conv2d-odd",  # strides that do not divide the image
        _chain(
            lambda: nn.Conv2d(3, 8, 3, padding=1),
            lambda: nn.Conv2d(8, 12, (3, 5), stride=(2, 3), padding=(1, 0), groups=4),
            lambda: nn.Conv2d(12, 6, 3, stride=2, padding=1, dilation=2),
        ),
        numbers(3, 15, 17),
    ),
    Entry(
        "conv-depthwise",
        _chain(
            lambda: nn.Conv2d(3, 8, 1),
            lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
            lambda: nn.Conv2d(8, 16, 5, stride=2, padding=2, groups=8),
            lambda: nn.Conv2d(16, 8, 1),
        ),
        numbers(3, SIDE, SIDE),
    ),
    Entry(
        "conv-circular", _chain(lambda: nn.Conv2d(3, 8, 3, padding="same", padding_mode="circular")), numbers(3, 8, 8)
    ),
    Entry(
        "conv3d",
        _chain(
            lambda: nn.Conv3d(1, 8, 3, padding=1),
            lambda: nn.Conv3d(8, 8, 3, stride=(1, 2, 2), padding=1, groups=2),
            lambda: nn.Conv3d(8, 4, (1, 3, 3)),
        ),
        numbers(1, 4, 10, 10),
    ),
    Entry(
        "transposed1d",
        _chain(
            lambda: nn.ConvTranspose1d(8, 12, 3, stride=2, groups=2), lambda: nn.ConvTranspose1d(12, 4, 4, stride=4)
        ),
        numbers(8, 9),
    ),
    Entry(
        "transposed2d",
        _chain(
            lambda: nn.ConvTranspose2d(8, 12, 4, stride=2, padding=1),
            lambda: nn.ConvTranspose2d(12, 12, 3, stride=2, padding=1, output_padding=1, groups=3),
            lambda: nn.ConvTranspose2d(12, 6, 3, stride=(1, 3), dilation=2, groups=6),
        ),
        numbers(8, 5, 6),
    ),
    Entry(
        "transposed3d",
        _chain(
            lambda: nn.ConvTranspose3d(4, 8, 2, stride=2),
            lambda: nn.ConvTranspose3d(8, 4, 3, stride=(1, 2, 2), padding=1, groups=2),
        ),
        numbers(4, 2, 4, 4),
    ),
    Entry("unet-upsample", lambda: Shrinking(_upsampled), numbers(3, SIDE, SIDE)),
    Entry("unet-transposed", lambda: Shrinking(_transposed), numbers(3, SIDE, SIDE)),
    Entry("gradient-penalty", Penalised, numbers(3, 8, 8)),
)
