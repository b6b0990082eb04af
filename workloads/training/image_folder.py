"""ImageNet in its usual layout: `train/CLASS/*.JPEG` and `val/CLASS/*.JPEG`. Images are opened when they are needed."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.training.examples import Batch, Examples, Scaling

ENDINGS = (".jpeg", ".jpg", ".png")
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of the training images, as everybody uses them
MARGIN = 256 / 224  # the shorter side of an image before its middle is cut out


@final
@dataclass(frozen=True)
class ImageFolder(Examples):
    """Files with their labels. An image is made as large as the middle of it needs, without random crops or flips."""

    files: tuple[tuple[Path, int], ...]
    side: int

    def __len__(self) -> int:
        return len(self.files)

    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:  # noqa: ARG002  nothing is left to chance
        picked = [self.files[number] for number in chosen.tolist()]
        pixels = torch.stack([_middle(path, self.side) for path, _ in picked])
        return Scaling(MEAN, DEVIATION, self.side).applied(pixels), torch.tensor([label for _, label in picked])


def find_classes(folder: Path) -> list[str]:
    """The names of the classes, sorted. Raises UserError for another layout and where Pillow is missing."""
    if find_spec("PIL") is None:
        raise UserError("imagenet: its JPEG files need the package 'pillow': pip install pillow")
    train = folder / "train"
    found = sorted(path.name for path in train.iterdir() if path.is_dir()) if train.is_dir() else []
    if not found:
        raise UserError(
            f"{train}: holds no class folders; ImageNet's layout is train/CLASS/*.JPEG and val/CLASS/*.JPEG"
        )
    return found


def find_images(folder: Path, part: str, classes: list[str]) -> tuple[tuple[Path, int], ...]:
    """The images of "train" or "val" with their labels, class by class."""
    place = folder / part
    if not place.is_dir():
        raise UserError(
            f"{folder}: holds no folder '{part}'; ImageNet's layout is train/CLASS/*.JPEG and val/CLASS/*.JPEG"
        )
    known = {name: number for number, name in enumerate(classes)}
    files: list[tuple[Path, int]] = []
    for inner in sorted(path for path in place.iterdir() if path.is_dir()):
        if inner.name not in known:
            raise UserError(f"{inner}: is no class of {folder / 'train'}")
        images = sorted(path for path in inner.iterdir() if path.suffix.lower() in ENDINGS)
        files.extend((path, known[inner.name]) for path in images)
    if not files:
        raise UserError(f"{place}: holds no images in class folders; allowed are {', '.join(ENDINGS)}")
    return tuple(files)


def _middle(path: Path, side: int) -> Tensor:
    """The middle of an image as bytes: (3, side, side)."""
    from PIL import Image, UnidentifiedImageError  # an extra, which other data sets do without

    try:
        with Image.open(path) as image:
            colours = image.convert("RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        raise UserError(f"{path}: is not a whole image") from None
    wanted = round(side * MARGIN)
    scale = wanted / min(colours.size)
    width, height = (max(wanted, round(size * scale)) for size in colours.size)
    left, top = (width - side) // 2, (height - side) // 2
    cut = colours.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    return torch.frombuffer(bytearray(cut.tobytes()), dtype=torch.uint8).reshape(side, side, 3).permute(2, 0, 1)
