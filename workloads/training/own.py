"""A module and examples of the user's own in a training run: found by `package.module:name`, batched, and its loss.

Examples are numbered, so that a run that was killed goes on with the very batches it would have had. They come from a
data set of torch's kind (`len` and numbers in brackets), or from a DataLoader, whose data set, collate function and
batch size are taken; from a pair of either, the second is what is tested on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, SequentialSampler, default_collate

from workloads.errors import UserError
from workloads.models.loss import IGNORED
from workloads.models.spec import DataKind, ModelSpec, Objective, Sizes
from workloads.op import Optimizer
from workloads.recording.step_loss import LOGITS, OWN, parts_of, sizes_of
from workloads.recording.user_module import blamed_on, build, find_named, find_target
from workloads.training.data import Batch, Examples
from workloads.training.datasets import DataSet

LEARNING_RATE = 0.01  # assumed, with momentum, unless the user says otherwise
LABELS = "labels"  # what transformers call the targets in a batch of names


def own_model(target: str) -> ModelSpec:
    """A module of the user's as a model. Raises UserError where there is none."""
    found = find_target(target)
    return ModelSpec(
        name=target,
        make=lambda _: build(target, found),
        sizes=Sizes(classes=0),
        data=DataKind.OWN,
        objective=Objective.CLASSIFY,
        optimizer=Optimizer.MOMENTUM,
        kept_dense=(),
        batch=1,
        learning_rate=LEARNING_RATE,
    )


@final
@dataclass(frozen=True)
class OwnExamples(Examples):
    """Examples of the user's own; `collate` makes a batch of several. `batch`: the size that their loader has.
    `shuffled`: whether every epoch has an order of its own."""

    name: str
    source: Any  # whatever has a length and numbers
    collate: Callable[[list[object]], object]
    batch: int | None
    shuffled: bool = True

    def __len__(self) -> int:
        with blamed_on(f"--data {self.name}: its length stopped"):
            return len(self.source)

    def fetch(self, chosen: Tensor, generator: torch.Generator) -> Batch:
        """Chance in an example, as that of augmentations drawn by torch, is the generator's."""
        with torch.random.fork_rng(devices=[]), blamed_on(f"--data {self.name}: its examples stopped"):
            torch.manual_seed(generator.initial_seed())
            made = self.collate([self.source[number] for number in chosen.tolist()])
        return _batch(self.name, made)


def own_data(target: str) -> DataSet:
    """Examples of the user's. Raises UserError where there are none, or none with numbers."""
    found = find_named(target)
    with blamed_on(f"--data {target}: making it stopped"):
        made = found() if callable(found) and not isinstance(found, (DataLoader, torch.utils.data.Dataset)) else found
    pair = made if isinstance(made, (tuple, list)) and len(made) == 2 else (made, None)
    train, test = (None if each is None else _examples(target, each) for each in pair)
    assert train is not None
    described = f"{target}, {len(train):,} examples" + (f" and {len(test):,} to test on" if test is not None else "")
    return DataSet(described, None, 0, train, test)


def _examples(target: str, made: object) -> OwnExamples:
    collate, batch, shuffled = cast(Callable[[list[object]], object], default_collate), None, True
    if isinstance(made, DataLoader) and not isinstance(made.dataset, IterableDataset):
        if type(made.sampler) not in (RandomSampler, SequentialSampler) or made.batch_size is None:
            raise UserError(
                f"--data {target}: its DataLoader has a {type(made.sampler).__name__} or batches of its own; wanted is "
                "one with shuffle=True or False, since a run that goes on finds its examples by number"
            )
        shuffled = isinstance(made.sampler, RandomSampler)
        collate, batch, made = made.collate_fn, made.batch_size, made.dataset
    none = (IterableDataset, nn.Module, Mapping, str, bytes)  # some of which have a length and brackets all the same
    if isinstance(made, none) or not hasattr(made, "__getitem__") or not hasattr(made, "__len__"):
        raise UserError(
            f"--data {target}: gives a {type(made).__name__}, which has no numbered examples; wanted is a data "
            "set with a length, a DataLoader of one, or a pair of them (workloads.sparsify is for any other loop)"
        )
    return OwnExamples(target, made, collate, batch, shuffled)


def _batch(name: str, made: object) -> Batch:
    """What a collate function gave: inputs and targets, or inputs by name."""
    if isinstance(made, Mapping):
        targets = made.get(LABELS)
        return dict(made), targets if isinstance(targets, Tensor) else None
    if isinstance(made, Sequence) and len(made) == 2 and isinstance(made[1], Tensor):
        return made[0], made[1]
    raise UserError(
        f"--data {name}: a batch is a {type(made).__name__}; wanted are inputs and targets, (x, y) with y a tensor, or "
        "a dict of inputs by name for a module that gives its own loss"
    )


@final
class OwnLoss(nn.Module):
    """The loss of what a module returns: its own, else one of its logits, or of its first tensor, against targets.

    Whole targets are classes (cross entropy over the last axis, or over the second where targets lack just that one);
    real ones are values (mean squared error).
    """

    def forward(self, output: object, targets: Tensor | None) -> Tensor:
        """Raises UserError where there is nothing to take a loss of."""
        own = output if isinstance(output, Tensor) else dict(parts_of("", output)).get(OWN, getattr(output, OWN, None))
        if isinstance(own, Tensor) and own.dim() == 0:
            return own
        logits = logits_of(output)
        if targets is None or logits is None:
            raise UserError(
                f"--model: returns a {type(output).__name__} without a loss of its own (a scalar, `{OWN}` in a dict, "
                f"tuple or object), and the batch has no targets (x, y) and no '{LABELS}' to take one against"
            )
        if targets.is_floating_point():
            if targets.numel() != logits.numel():
                raise UserError(f"--data: targets of {sizes_of(targets)} do not fit an output of {sizes_of(logits)}")
            return functional.mse_loss(logits, targets.reshape(logits.shape).to(logits.dtype))
        if logits.shape[:-1] == targets.shape:
            return functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)
        if logits.dim() > 1 and (logits.shape[0], *logits.shape[2:]) == tuple(targets.shape):
            return functional.cross_entropy(logits, targets, ignore_index=IGNORED)
        raise UserError(f"--data: targets of {sizes_of(targets)} do not fit an output of {sizes_of(logits)}")


def logits_of(output: object) -> Tensor | None:
    """The part of an output that a loss is taken of."""
    parts = {name: each for name, each in parts_of("", output) if each.is_floating_point() and each.dim()}
    return parts.get(LOGITS, next(iter(parts.values()), None))
