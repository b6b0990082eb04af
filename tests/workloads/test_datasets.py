"""Data sets in the formats they are published in, and what is said of those that are missing or broken."""

import gzip
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from workloads.errors import UserError
from workloads.models.bert import bert_base
from workloads.models.gpt2 import gpt2_small
from workloads.models.resnet import resnet9, resnet18
from workloads.models.spec import ModelSpec
from workloads.training.data import batch_at, in_order, steps_an_epoch, stream
from workloads.training.datasets import FASHION, DataSet, Request, load_data

IDX = "-images-idx3-ubyte", "-labels-idx1-ubyte"


def idx(values: bytes, *shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape) + values


def write_fashion(folder: Path, compressed: bool = True, label: int = 3) -> None:
    for part, count in (("train", 12), ("t10k", 4)):
        for name, content in (
            (IDX[0], idx(bytes(range(count)) * 784, count, 28, 28)),
            (IDX[1], idx(bytes([label]) * count, count)),
        ):
            path = folder / f"{part}{name}{'.gz' if compressed else ''}"
            path.write_bytes(gzip.compress(content) if compressed else content)


def write_cifar(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for number, name in enumerate(names):
        row = bytes([number]) + bytes([10]) * 1024 + bytes([20]) * 1024 + bytes([30 + number]) * 1024
        (folder / name).write_bytes(row * 2)


def write_imagenet(folder: Path) -> None:
    for part in ("train", "val"):
        for number, name in enumerate(("n01", "n02")):
            (folder / part / name).mkdir(parents=True)
            for picture in range(3):
                image = Image.new("RGB", (70 + picture, 60), (200 * number, 0, 100))
                image.save(folder / part / name / f"{picture}.JPEG")


def load(name: str, folder: Path | None = None, spec: ModelSpec = resnet9, **more: int) -> DataSet:
    return load_data(Request(name, folder, **more), spec)  # type: ignore[arg-type]


@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_mnist_of_a_folder(tmp_path: Path, compressed: bool) -> None:
    write_fashion(tmp_path, compressed)
    data = load("fashion-mnist", tmp_path)
    assert (data.classes, len(data.train), len(data.test)) == (10, 12, 4)
    images, labels = batch_at(data.train, 12, seed=1, step=0)
    assert images.shape == (12, 3, 32, 32) and set(labels.tolist()) == {3}
    plain = batch_at(load("fashion-mnist", tmp_path, image=28).train, 12, seed=1, step=0)[0]
    assert abs(float(plain.mean())) < 1e-4 and float(plain.std()) == pytest.approx(1, abs=1e-3)
    assert data.description == "Fashion-MNIST, 12 of 12 images of 28x28, at 32x32"


@pytest.mark.skipif(not FASHION.is_dir(), reason="apt-get install dataset-fashion-mnist")
def test_fashion_mnist_of_the_system_is_the_whole_of_it() -> None:
    data = load("fashion-mnist")
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    labels = data.test.fetch(torch.arange(10_000), stream(0, 0, ""))[1]
    assert labels.bincount().tolist() == [1000] * 10


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar_of_a_folder(tmp_path: Path, inner: str) -> None:
    write_cifar(tmp_path / inner)
    data = load("cifar10", tmp_path)
    assert (data.classes, data.image, len(data.train), len(data.test)) == (10, 32, 10, 2)
    images, labels = data.train.fetch(torch.tensor([0, 9]), stream(0, 0, ""))
    assert labels.tolist() == [0, 4]
    assert images[0, 2, 0, 0] < images[1, 2, 0, 0] and images[0, 0, 0, 0] == images[1, 0, 0, 0]


def test_imagenet_of_a_folder(tmp_path: Path) -> None:
    write_imagenet(tmp_path)
    data = load("imagenet", tmp_path, resnet18, image=48)
    assert (data.classes, data.image, len(data.train), len(data.test)) == (2, 48, 6, 6)
    images, labels = data.train.fetch(torch.tensor([0, 5]), stream(0, 0, ""))
    assert images.shape == (2, 3, 48, 48) and labels.tolist() == [0, 1]
    assert float(images[1, 0, 24, 24]) == pytest.approx((200 - 123.675) / 58.395, abs=0.1)
    assert load("imagenet", tmp_path, resnet18).image == 224
    assert len(load("imagenet", tmp_path, resnet18, limit=4).train) == 4


def test_digits_and_text_are_split() -> None:
    digits = load("digits")
    assert (len(digits.train), len(digits.test), digits.image) == (1437, 360, 32)
    assert load("digits", image=16).image == 16
    text = load("text", spec=gpt2_small, sequence=16)
    inputs, targets = batch_at(text.train, 3, seed=0, step=0)
    assert inputs.shape == (3, 16) and torch.equal(inputs[:, 1:], targets[:, :-1])
    hidden, wanted = batch_at(load("text", spec=bert_base).train, 2, seed=0, step=0)
    assert hidden.shape == (2, 128) and torch.equal(hidden == 0, wanted != -100)


def test_an_epoch_goes_over_everything_once() -> None:
    data = load("digits", limit=50, image=8)
    assert steps_an_epoch(data.train, 16) == 3
    seen = torch.cat([batch_at(data.train, 25, seed=4, step=step)[0] for step in (0, 1)])
    every = data.train.fetch(torch.arange(50), stream(0, 0, ""))[0]
    assert torch.equal(seen.flatten(1).sum(1).sort().values, every.flatten(1).sum(1).sort().values)
    later = torch.cat([batch_at(data.train, 25, seed=4, step=step)[0] for step in (2, 3)])
    other = torch.cat([batch_at(data.train, 25, seed=5, step=step)[0] for step in (0, 1)])
    assert not torch.equal(seen, later) and not torch.equal(seen, other)
    assert sum(len(labels) for _, labels in in_order(data.test, 16, 0)) == 50
    with pytest.raises(UserError, match="--batch 64: there are only 50 examples to train on"):
        steps_an_epoch(data.train, 64)


def test_large_seeds_are_not_cut() -> None:
    data = load("digits", image=8)
    first, second = (batch_at(data.train, 8, seed, 0)[1] for seed in (1, 1 + 2**32))
    assert not torch.equal(first, second)


def _cut(name: str, size: int = 40) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def _pipe(name: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def _image(width: int, height: int, kind: str = "PNG") -> Callable[[Path], object]:
    return lambda folder: Image.new("L", (width, height)).save(folder / "train/n01/0.JPEG", kind)


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("fashion-mnist", _cut(f"train{IDX[0]}.gz"), "train-images-idx3-ubyte.gz: is not a whole gzip file"),
    (
        "fashion-mnist",
        lambda folder: (folder / f"t10k{IDX[1]}.gz").unlink(),
        "holds no t10k-labels-idx1-ubyte.gz; the Debian package has them (apt-get install dataset-fashion-mnist)",
    ),
    (
        "fashion-mnist",
        lambda folder: (folder / f"train{IDX[1]}.gz").write_bytes(gzip.compress(idx(b"\3" * 5, 5))),
        "train-labels-idx1-ubyte.gz: 5 labels for the 12 images of train-images-idx3-ubyte.gz",
    ),
    (
        "fashion-mnist",
        lambda folder: (folder / f"train{IDX[0]}.gz").write_bytes(gzip.compress(idx(b"\3" * 5, 5))),
        "train-images-idx3-ubyte.gz: is not an IDX file of bytes with 3 axes",
    ),
    (
        "fashion-mnist",
        lambda folder: (folder / f"train{IDX[0]}.gz").write_bytes(gzip.compress(idx(b"\3" * 5, 2, 28, 28))),
        "is not whole: 5 values where its head promises 1568",
    ),
    ("fashion-mnist", lambda folder: write_fashion(folder, label=10), "holds label 10; there are only the classes 0"),
    (
        "fashion-mnist",
        lambda folder: (folder / f"train{IDX[0]}.gz").write_bytes(gzip.compress(idx(bytes(2**26), 12, 28, 28))),
        "train-images-idx3-ubyte.gz: is not whole: more than 9408 values where its head promises 9408",
    ),
    (
        "fashion-mnist",
        lambda folder: (folder / f"train{IDX[0]}.gz").write_bytes(gzip.compress(idx(b"", 2**31, 28, 28))),
        "its head promises 2147483648x28x28 values; 268,435,456 are read, and 4,096 a side",
    ),
    (
        "fashion-mnist",
        lambda folder: (folder / f"train{IDX[0]}.gz").write_bytes(b"no gzip file"),
        "train-images-idx3-ubyte.gz: is not a whole gzip file",
    ),
    ("cifar10", _pipe("data_batch_3.bin"), "data_batch_3.bin: is not a regular file"),
    ("cifar10", lambda folder: os.truncate(folder / "data_batch_3.bin", 2**40), "data_batch_3.bin: has more than 256"),
    ("imagenet", _pipe("train/n01/0.JPEG"), "train/n01/0.JPEG: is not a regular file"),
    ("imagenet", _image(9000, 9000), "0.JPEG: has 9000x9000 pixels, 37x37 when its shorter side is 37; at most 67,108"),
    ("imagenet", _image(60000, 1), "has 60000x1 pixels, 2220000x37 when its shorter side is 37; at most 67,108,864"),
    ("imagenet", _image(15000, 15000), "train/n01/0.JPEG: is not a whole image"),
    ("imagenet", _image(70, 70, "GIF"), "train/n01/0.JPEG: is not a whole image"),
    ("cifar10", _cut("data_batch_3.bin"), "data_batch_3.bin: is not whole: 40 bytes are no multiple of 3073"),
    (
        "cifar10",
        lambda folder: (folder / "test_batch.bin").rename(folder / "test_batch"),
        "holds no test_batch.bin, a file of CIFAR-10's binary version; this is the Python version, whose files are",
    ),
    ("imagenet", _cut("train/n01/0.JPEG"), "train/n01/0.JPEG: is not a whole image"),
    (
        "imagenet",
        lambda folder: (folder / "val").rename(folder / "test"),
        "holds no folder 'val'; ImageNet's layout is",
    ),
    ("imagenet", lambda folder: (folder / "val/n02").rename(folder / "val/n03"), "val/n03: is no class of"),
    ("imagenet", lambda folder: (folder / "train").rename(folder / "t"), "train: holds no class folders; ImageNet's"),
]


@pytest.mark.parametrize(("name", "damage", "sentence"), BROKEN)
def test_broken_data_is_one_sentence(
    tmp_path: Path, name: str, damage: Callable[[Path], object], sentence: str
) -> None:
    {"fashion-mnist": write_fashion, "cifar10": write_cifar, "imagenet": write_imagenet}[name](tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError) as error:
        data = load(name, tmp_path, image=32)
        data.train.fetch(torch.arange(2), stream(0, 0, ""))
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_images_of_imagenet_need_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_imagenet(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UserError, match="its JPEG files need the package 'pillow': pip install pillow"):
        load("imagenet", tmp_path)
