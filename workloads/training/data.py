"""Examples to train on, from pictures in memory and from text, and the data that is already there for them.

There are scikit-learn's digits as images, and text of the Python installation as bytes. Which examples make up a step
is a function of seed and step alone, so a run can go on anywhere.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from workloads.errors import UserError
from workloads.files.reading import read_bytes
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
Inputs = Tensor | Sequence[object] | Mapping[str, object]  # of a model: one, several in order, or by name
Batch = tuple[Inputs, Tensor | None]  # with targets, if they stand apart
CHUNK, CHUNK_VALUES = 1000, 4_000_000  # images looked at together, and the values in them


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
    parts = [read_bytes(path) for path in sorted(licences.glob("*")) if path.is_file() and not path.is_symlink()]
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


class Examples(ABC):
    """Numbered examples. `shuffled`: whether every epoch has an order of its own."""

    shuffled: bool = True

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:
        """Inputs and targets of the examples with these numbers. Chance, where there is any, is the generator's."""


@final
@dataclass(frozen=True)
class Scaling:
    """How pixels become inputs: mean and deviation by channel, in units of the pixels, and the side of the image."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    side: int

    def applied(self, pixels: Tensor) -> Tensor:
        """pixels: (B, C, H, W) of any number format. Returns (B, 3, side, side)."""
        mean, deviation = (torch.tensor(each).view(-1, 1, 1) for each in (self.mean, self.deviation))
        x = (pixels.float() - mean) / deviation
        if x.shape[-2:] != (self.side, self.side):
            x = interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        return x.expand(-1, 3, -1, -1).contiguous()


def scaling_of(pixels: Tensor, side: int) -> Scaling:
    """The scaling that gives these images mean 0 and deviation 1 in every channel."""
    total = torch.zeros(2, pixels.shape[1], dtype=torch.float64)
    for part in torch.split(pixels, min(CHUNK, max(1, CHUNK_VALUES // max(1, pixels[0].numel())))):
        values = part.double()
        total += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
    mean, square = total / (pixels.numel() / pixels.shape[1])
    deviation = (square - mean.square()).clamp(min=1e-12).sqrt()
    return Scaling(tuple(mean.tolist()), tuple(deviation.tolist()), side)


@final
@dataclass(frozen=True)
class Pictures(Examples):
    """Images in memory: pixels (N, C, H, W) in bytes, labels (N,)."""

    pixels: Tensor
    labels: Tensor
    scaling: Scaling

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:  # noqa: ARG002  nothing is left to chance
        return self.scaling.applied(self.pixels[chosen]), self.labels[chosen]


@final
@dataclass(frozen=True)
class Texts(Examples):
    """Windows of a text, one byte a token, side by side: (B, sequence) inputs and targets."""

    text: Tensor
    sequence: int
    objective: Objective

    def __len__(self) -> int:
        return max(0, len(self.text) - 1) // self.sequence

    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:
        window = self.text[chosen.unsqueeze(1) * self.sequence + torch.arange(self.sequence + 1)]
        if self.objective is Objective.NEXT:
            return window[:, :-1], window[:, 1:]
        return hide(window[:, :-1], generator)


def batch_at(examples: Examples, batch: int, seed: int, step: int) -> Batch:
    """The examples of a step, counted from 0: every epoch goes over all of them in an order of its own.

    What does not fill the last batch of an epoch is left out. Raises UserError for a batch larger than all there is.
    """
    epoch, place = divmod(step, steps_an_epoch(examples, batch))
    order = _order(len(examples), seed, epoch) if examples.shuffled else torch.arange(len(examples))
    return examples.fetch(order[place * batch : (place + 1) * batch], stream(seed, step, "examples"))


def in_order(examples: Examples, batch: int, seed: int) -> Iterator[Batch]:
    """All examples once, in their order."""
    for number, chosen in enumerate(torch.split(torch.arange(len(examples)), batch)):
        yield examples.fetch(chosen, stream(seed, number, "test"))


def steps_an_epoch(examples: Examples, batch: int) -> int:
    """Raises UserError where there are not enough examples for one batch."""
    if len(examples) < batch:
        raise UserError(f"--batch {batch}: there are only {len(examples)} examples to train on")
    return len(examples) // batch


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=stream(seed, epoch, "order"))


def stream(seed: int, number: int, what: str) -> torch.Generator:
    """A generator of its own for each purpose. Torch uses 32 bits of a seed, so all parts are mixed into those."""
    mixed = sha256(f"{seed}/{number}/{what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(mixed[:4], "big"))
