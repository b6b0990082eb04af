"""Training data that every machine has."""

from pathlib import Path

import pytest
import torch

from workloads.models.bert import bert_base
from workloads.models.gpt2 import gpt2_small
from workloads.models.loss import IGNORED
from workloads.models.resnet import resnet18
from workloads.training.data import HIDDEN, MASK_BYTE, batches, corpus, describe, digits


def test_digits_are_enlarged_to_three_channels() -> None:
    images, labels = next(batches(resnet18, 5, image=48))
    assert images.shape == (5, 3, 48, 48) and images.dtype == torch.float32
    assert torch.equal(images[:, 0], images[:, 2])
    assert labels.shape == (5,) and int(labels.max()) < 10
    pictures, _ = digits()
    assert abs(float(pictures.mean())) < 1e-3 and abs(float(pictures.std()) - 1) < 1e-3


def test_the_next_byte_is_the_target() -> None:
    inputs, targets = next(batches(gpt2_small, 3, 20))
    assert inputs.shape == targets.shape == (3, 20)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_hidden_bytes_are_the_targets() -> None:
    inputs, targets = next(batches(bert_base, 16, 200))
    hidden = targets != IGNORED
    assert torch.equal(hidden, inputs == MASK_BYTE)
    assert abs(float(hidden.float().mean()) - HIDDEN) < 0.03
    assert (targets[hidden] > 0).all()


def test_a_seed_gives_the_same_batches_again() -> None:
    for spec in (resnet18, bert_base):
        first, second, other = (next(batches(spec, 4, 16, seed=seed)) for seed in (1, 1, 2))
        assert torch.equal(first[0], second[0]) and not torch.equal(first[0], other[0])


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_text_is_there_without_the_systems_licences(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "MIT").write_bytes(b"Permission is hereby granted\0")
    text = corpus(tmp_path / name)
    assert len(text) > 100_000 and MASK_BYTE not in text
    assert (b"Permission is hereby granted " in text) == (name == "folder")


def test_the_data_is_described() -> None:
    assert describe(resnet18, 64) == "digits of scikit-learn, 1797 images of 8x8, enlarged to 64x64"
    assert describe(bert_base).startswith(f"{len(corpus())} bytes of licences and Python documentation, sha256 ")
