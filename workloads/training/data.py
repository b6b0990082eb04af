"""Data that is already there: scikit-learn's digits as images, and text of the Python installation as bytes."""

import importlib
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workloads.errors import UserError
from workloads.models.loss import IGNORED
from workloads.models.spec import DataKind, ModelSpec, Objective

LICENCES = Path("/usr/share/common-licenses")  # Debian's; other systems go without
MODULES = (
    *("argparse", "asyncio", "collections", "datetime", "decimal", "difflib", "email", "fractions", "functools"),
    *("http.client", "itertools", "json", "logging", "optparse", "pathlib", "pickle", "random", "re", "statistics"),
    *("string", "subprocess", "tarfile", "threading", "unittest", "urllib.request", "zipfile"),
)
SMALLEST = 50_000  # bytes of text below which training on it says nothing
MASK_BYTE = 0  # stands for a hidden token; no text holds it
HIDDEN = 0.15  # share of tokens hidden, arXiv 1810.04805


def describe(spec: ModelSpec, image: int | None = None) -> str:
    """One line on the data a model trains on."""
    if spec.data is DataKind.IMAGES:
        side = image or spec.sizes.image
        return f"digits of scikit-learn, 1797 images of 8x8, enlarged to {side}x{side}"
    text = corpus()
    return f"{len(text)} bytes of licences and Python documentation, sha256 {sha256(text).hexdigest()[:16]}"


def batches(
    spec: ModelSpec, batch: int, sequence: int | None = None, image: int | None = None, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (inputs, targets) for a model, drawn at random with replacement.

    Images: (B, 3, side, side) of mean 0 and deviation 1, and labels (B,). Text: (B, S) bytes and their targets.
    """
    generator = torch.Generator().manual_seed(seed)
    if spec.data is DataKind.IMAGES:
        yield from _images(batch, image or spec.sizes.image, generator)
    yield from _text(spec.objective, batch, sequence or spec.sequence, generator)


def _images(batch: int, side: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    pictures, labels = digits()
    while True:
        chosen = torch.randint(0, len(labels), (batch,), generator=generator)
        enlarged = interpolate(pictures[chosen], (side, side), mode="bilinear", align_corners=False)
        yield enlarged.expand(-1, 3, -1, -1).contiguous(), labels[chosen]


def _text(
    objective: Objective, batch: int, sequence: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    text = torch.frombuffer(bytearray(corpus()), dtype=torch.uint8).long()
    while True:
        starts = torch.randint(0, len(text) - sequence - 1, (batch, 1), generator=generator)
        window = text[starts + torch.arange(sequence + 1)]
        if objective is Objective.NEXT:
            yield window[:, :-1], window[:, 1:]
        else:
            yield hide(window[:, :-1], generator)


def hide(tokens: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens with some of them hidden, and those as the targets: both (B, S)."""
    hidden = torch.rand(tokens.shape, generator=generator) < HIDDEN
    hidden[:, 0] = True  # a loss needs at least one target
    return tokens.masked_fill(hidden, MASK_BYTE), tokens.masked_fill(~hidden, IGNORED)


@lru_cache(maxsize=1)
def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits: images (1797, 1, 8, 8) of mean 0 and deviation 1, labels (1797,)."""
    pictures, labels = read_digits()
    return (pictures - pictures.mean()) / pictures.std(), labels


def read_digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's digits as they are: images (1797, 1, 8, 8) of values from 0 to 16, labels (1797,)."""
    from sklearn.datasets import load_digits  # an extra, which text and other images do without

    found = load_digits()
    return torch.tensor(found.images, dtype=torch.float32).unsqueeze(1), torch.tensor(found.target)


@lru_cache(maxsize=1)
def corpus(licences: Path = LICENCES) -> bytes:
    """Licence texts, where the system has them, and the documentation inside Python. The same on one machine always.

    Raises UserError where Python was installed without documentation (-OO).
    """
    parts = [path.read_bytes() for path in sorted(licences.glob("*")) if path.is_file() and not path.is_symlink()]
    parts += [text.encode() for text in _language_reference() + _docstrings()]
    text = b"\n\n".join(parts).replace(bytes([MASK_BYTE]), b" ")
    if len(text) < SMALLEST:
        raise UserError(f"only {len(text)} bytes of text on this machine; Python without -OO brings the rest")
    return text


def _language_reference() -> list[str]:
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:  # some distributions leave it out
        return []
    return [topics[name] for name in sorted(topics)]


def _docstrings() -> list[str]:
    modules = [importlib.import_module(name) for name in MODULES]
    found = []
    for module in modules:
        named = [getattr(module, name) for name in sorted(vars(module)) if not name.startswith("_")]
        found += [str(each.__doc__) for each in [module, *named] if isinstance(each.__doc__, str)]
    return list(dict.fromkeys(found))
