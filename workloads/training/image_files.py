"""Readers of image data sets in their published formats. A file that is missing or broken is a UserError.

MNIST's and CIFAR-10's binary files are read whole. ImageNet in its usual layout is `train/CLASS/*.JPEG` and
`val/CLASS/*.JPEG`, and its images are opened when they are needed.
"""

import gzip
import math
import warnings
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, final

import torch
from torch import Tensor

from workloads.errors import UserError
from workloads.files.limits import IMAGE_BYTES, IMAGE_PIXELS, IMAGES_BYTES, IMAGES_SIDE
from workloads.files.reading import MIB, opened, read_bytes
from workloads.training.data import Batch, Examples, Scaling

IDX_BYTES = 0x08  # the type code of unsigned bytes
CIFAR_ROW = 1 + 3 * 32 * 32
CIFAR_TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR_TEST = ("test_batch.bin",)
CLASSES = 10
Pixels = tuple[Tensor, Tensor]  # (N, C, H, W) and (N,)
FORMATS = ("JPEG", "PNG")  # other decoders would run, and one of them a program, whatever the name ends in
ENDINGS = (".jpeg", ".jpg", ".png")
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of the training images, as everybody uses them
MARGIN = 256 / 224  # the shorter side of an image before its middle is cut out


def read_idx_pair(folder: Path, part: str, missing: str) -> Pixels:
    """Images and labels in the IDX format of MNIST, compressed or not; `part` is "train" or "t10k".

    `missing` tells the user where such files come from.
    """
    images_path = _idx_path(folder, f"{part}-images-idx3-ubyte", missing)
    labels_path = _idx_path(folder, f"{part}-labels-idx1-ubyte", missing)
    images, labels = _read_idx(images_path, 3), _read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise UserError(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}")
    return images.unsqueeze(1), _checked_labels(labels, labels_path)


def _idx_path(folder: Path, name: str, missing: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.exists():
            return path
    raise UserError(f"{folder}: holds no {name}.gz; {missing}")


def _read_idx(path: Path, axes: int) -> Tensor:
    with opened(path) as raw:
        try:
            with gzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as file:
                shape = _shape(file, path, axes)
                size = math.prod(shape)
                content, found = _filled(file, size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise UserError(f"{path}: is not a whole gzip file") from None
    if size == 0 or found != size:
        what = f"more than {size}" if found > size else str(found)
        raise UserError(f"{path}: is not whole: {what} values where its head promises {size}")
    return torch.frombuffer(content, dtype=torch.uint8).reshape(shape)


def _shape(file: BinaryIO | gzip.GzipFile, path: Path, axes: int) -> list[int]:
    """The extents that the head of a file promises. Raises UserError for another kind of file, and for larger ones."""
    head = file.read(4 + 4 * axes)
    if len(head) < 4 + 4 * axes or head[:4] != bytes([0, 0, IDX_BYTES, axes]):
        raise UserError(f"{path}: is not an IDX file of bytes with {axes} {'axis' if axes == 1 else 'axes'}")
    shape = [int.from_bytes(head[at : at + 4], "big") for at in range(4, len(head), 4)]
    if math.prod(shape) > IMAGES_BYTES or max(shape[1:], default=0) > IMAGES_SIDE:
        raise UserError(
            f"{path}: its head promises {'x'.join(map(str, shape))} values; {IMAGES_BYTES:,} are read, and "
            f"{IMAGES_SIDE:,} a side"
        )
    return shape


def _filled(file: BinaryIO | gzip.GzipFile, size: int) -> tuple[bytearray, int]:
    """The bytes that follow, and how many there are, counted to one more than were asked for."""
    content, found = bytearray(size), 0
    while found < size and (part := file.read(min(MIB, size - found))):
        content[found : found + len(part)] = part
        found += len(part)
    return content, found + len(file.read(1))


def read_cifar(folder: Path, names: tuple[str, ...]) -> Pixels:
    """CIFAR-10, binary version: rows of a label and 32x32 red, green and blue."""
    inner = folder / "cifar-10-batches-bin"
    folder = inner if inner.is_dir() else folder
    parts = [_read_cifar_file(folder, name) for name in names]
    return torch.cat([pixels for pixels, _ in parts]), torch.cat([labels for _, labels in parts])


def _read_cifar_file(folder: Path, name: str) -> Pixels:
    path = folder / name
    if not path.exists():
        pickled = (folder / path.stem).exists() or (folder / "cifar-10-batches-py").exists()
        also = "; this is the Python version, whose files are pickles and are not read" if pickled else ""
        raise UserError(f"{folder}: holds no {name}, a file of CIFAR-10's binary version{also}")
    content = read_bytes(path, IMAGES_BYTES)
    if not content or len(content) % CIFAR_ROW:
        raise UserError(f"{path}: is not whole: {len(content)} bytes are no multiple of {CIFAR_ROW}")
    rows = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, CIFAR_ROW)
    return rows[:, 1:].reshape(-1, 3, 32, 32), _checked_labels(rows[:, 0], path)


def _checked_labels(labels: Tensor, path: Path) -> Tensor:
    largest = int(labels.max())
    if largest >= CLASSES:
        raise UserError(f"{path}: holds label {largest}; there are only the classes 0 to {CLASSES - 1}")
    return labels.long()


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
    from PIL import Image  # an extra, which other data sets do without

    content, wanted = BytesIO(read_bytes(path, IMAGE_BYTES)), round(side * MARGIN)
    try:
        with warnings.catch_warnings(), Image.open(content, formats=FORMATS) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # there is a bound of our own
            width, height = _enlarged(path, image.size, wanted)
            colours = image.convert("RGB")
    except UserError:
        raise
    except Exception:  # on damaged images the decoders fail in ways of their own
        raise UserError(f"{path}: is not a whole image") from None
    left, top = (width - side) // 2, (height - side) // 2
    cut = colours.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + side, top + side))
    return torch.frombuffer(bytearray(cut.tobytes()), dtype=torch.uint8).reshape(side, side, 3).permute(2, 0, 1)


def _enlarged(path: Path, size: tuple[int, int], wanted: int) -> tuple[int, int]:
    """The size at which the shorter side is the wanted one. Raises UserError for more pixels than are unpacked."""
    scale = wanted / min(size)
    width, height = (max(wanted, round(length * scale)) for length in size)
    if max(math.prod(size), width * height) > IMAGE_PIXELS:
        raise UserError(
            f"{path}: has {size[0]}x{size[1]} pixels, {width}x{height} when its shorter side is {wanted}; at most "
            f"{IMAGE_PIXELS:,} are unpacked"
        )
    return width, height
