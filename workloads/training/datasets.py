"""Data sets by name, split into what is trained on and what is tested on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import final

import torch

from workloads.errors import UserError
from workloads.models.spec import DataKind, ModelSpec
from workloads.training.data import Examples, Pictures, Texts, corpus, describe, read_digits, scaling_of, stream
from workloads.training.image_files import (
    CIFAR_TEST,
    CIFAR_TRAIN,
    CLASSES,
    ImageFolder,
    Pixels,
    find_classes,
    find_images,
    read_cifar,
    read_idx_pair,
)

FASHION = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package puts it
FASHION_HINT = (
    "the Debian package has them (apt-get install dataset-fashion-mnist), or name a folder with --data-folder"
)
HELD_OUT = 5  # every fifth image of digits, and a fifth of the text, are for the test
SMALLEST_SIDE = 32  # smaller images are enlarged to this


@final
@dataclass(frozen=True)
class Request:
    """What the user asked for. `limit` is how many images are used to train on, and at most to test on."""

    name: str
    folder: Path | None = None
    limit: int | None = None
    image: int | None = None
    sequence: int | None = None


@final
@dataclass(frozen=True)
class DataSet:
    """`classes` is None for text, whose tokens a model counts itself. `image` is the side of its images, 0 for text."""

    description: str
    classes: int | None
    image: int
    train: Examples
    test: Examples | None  # none where the user gave none


def default_data(spec: ModelSpec) -> str:
    """The data that every machine has."""
    return "text" if spec.data is DataKind.BYTES else "digits"


def load_data(request: Request, spec: ModelSpec) -> DataSet:
    """Read a data set, one of DATA_SETS, for a model. Raises UserError for one that is unfit, missing or broken."""
    if (request.name == "text") != (spec.data is DataKind.BYTES):
        raise UserError(f"--dataset {request.name}: {spec.name} reads {spec.data}; use {default_data(spec)}")
    _check(request, spec)
    found = LOADERS[request.name](request, spec)
    if request.limit is not None and request.limit > len(found.train):
        raise UserError(f"--limit {request.limit}: {request.name} has only {len(found.train)} images to train on")
    return found


def _check(request: Request, spec: ModelSpec) -> None:
    if request.folder is not None and request.name in ("digits", "text"):
        raise UserError(f"--data-folder: {request.name} comes with the installation and is read from no folder")
    if request.folder is not None and not request.folder.is_dir():
        raise UserError(f"--data-folder: '{request.folder}' is not a folder")
    if request.folder is None and request.name in ("cifar10", "imagenet"):
        raise UserError(f"--dataset {request.name}: say where it is with --data-folder; nothing is downloaded")
    if request.limit is not None and spec.data is DataKind.BYTES:
        raise UserError("--limit: counts images; a text has none")
    if request.image is not None and spec.data is DataKind.BYTES:
        raise UserError(f"--image: {spec.name} reads text")
    if request.sequence is not None and spec.data is DataKind.IMAGES:
        raise UserError(f"--sequence: {spec.name} reads images, which have no sequence length")


def _side(request: Request, spec: ModelSpec, native: int) -> int:
    """The side asked for, or the images' own, but enough for a network to shrink."""
    return request.image or min(spec.sizes.image, max(SMALLEST_SIDE, native))


def _digits(request: Request, spec: ModelSpec) -> DataSet:
    whole, labels = read_digits()
    pixels = whole.to(torch.uint8)
    held = torch.arange(len(labels)) % HELD_OUT == 0
    side = _side(request, spec, 8)
    return _pictures(
        request, "digits of scikit-learn", side, (pixels[~held], labels[~held]), (pixels[held], labels[held])
    )


def _fashion(request: Request, spec: ModelSpec) -> DataSet:
    folder = request.folder or FASHION
    train, test = (read_idx_pair(folder, part, FASHION_HINT) for part in ("train", "t10k"))
    return _pictures(request, "Fashion-MNIST", _side(request, spec, 28), train, test)


def _cifar(request: Request, spec: ModelSpec) -> DataSet:
    assert request.folder is not None
    train, test = (read_cifar(request.folder, names) for names in (CIFAR_TRAIN, CIFAR_TEST))
    return _pictures(request, "CIFAR-10", _side(request, spec, 32), train, test)


def _pictures(request: Request, title: str, side: int, train: Pixels, test: Pixels) -> DataSet:
    used, tested = (_first(request.limit, part) for part in (train, test))
    scaling = scaling_of(used[0], side)
    height, width = used[0].shape[-2:]
    text = f"{title}, {len(used[1])} of {len(train[1])} images of {height}x{width}, at {side}x{side}"
    return DataSet(text, CLASSES, side, Pictures(*used, scaling), Pictures(*tested, scaling))


def _first(limit: int | None, part: Pixels) -> Pixels:
    """`limit` of the images, drawn at random but always the same."""
    if limit is None or limit >= len(part[1]):
        return part
    chosen = _drawn(limit, len(part[1]))
    return part[0][chosen], part[1][chosen]


def _drawn(limit: int, count: int) -> torch.Tensor:
    return torch.randperm(count, generator=stream(0, count, "limit"))[:limit].sort().values


def _imagenet(request: Request, spec: ModelSpec) -> DataSet:
    assert request.folder is not None
    classes = find_classes(request.folder)
    side = _side(request, spec, spec.sizes.image)
    parts = []
    for part in ("train", "val"):
        files = find_images(request.folder, part, classes)
        limit = min(request.limit or len(files), len(files))
        parts.append(ImageFolder(tuple(files[number] for number in _drawn(limit, len(files)).tolist()), side))
    text = f"ImageNet folder, {len(parts[0])} images of {len(classes)} classes, at {side}x{side}"
    return DataSet(text, len(classes), side, *parts)


def _text(request: Request, spec: ModelSpec) -> DataSet:
    text = torch.frombuffer(bytearray(corpus()), dtype=torch.uint8).long()
    cut = len(text) - len(text) // HELD_OUT
    sequence = request.sequence or spec.sequence
    if sequence > spec.sizes.sequence:
        raise UserError(f"--sequence {sequence}: {spec.name} takes at most {spec.sizes.sequence}")
    train, test = (Texts(part, sequence, spec.objective) for part in (text[:cut], text[cut:]))
    return DataSet(describe(spec), None, 0, train, test)


LOADERS: Mapping[str, Callable[[Request, ModelSpec], DataSet]] = MappingProxyType(
    {"digits": _digits, "fashion-mnist": _fashion, "cifar10": _cifar, "imagenet": _imagenet, "text": _text}
)
