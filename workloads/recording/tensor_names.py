"""Which tensors of a step are the same data, and what they are called.

A tensor is known by its storage, the part of the storage it covers, and how often the storage was written before.
Transposing or reshaping gives the same name; a copy, or a change of number format, does too. A weak reference to every
storage seen keeps its address from being given out again, while its memory is freed as in a step that nobody records.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.multiprocessing.reductions import StorageWeakRef

Layout = tuple[tuple[int, int], ...]
Key = tuple[int, int, int, Layout]


def is_fake(tensor: Tensor) -> bool:
    """True for a tensor that has a shape and no values."""
    return tensor.is_meta or isinstance(tensor, FakeTensor)


def storage_of(tensor: Tensor) -> int:
    """What identifies the tensor's storage while it is alive; fake tensors have one, sparse ones stand for theirs."""
    return int(tensor.untyped_storage()._cdata) if tensor.layout is torch.strided else -id(tensor)


def layout(tensor: Tensor) -> Layout:
    """Sizes and strides with broadcast axes left out, largest stride first, neighbours merged where they can be."""
    if tensor.layout is not torch.strided:
        return ((0, tensor.numel()),)
    axes = sorted(((stride, size) for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1))
    merged: list[tuple[int, int]] = []
    for stride, size in axes:
        if stride == 0:
            continue
        if merged and merged[-1][0] * merged[-1][1] == stride:
            merged[-1] = (merged[-1][0], merged[-1][1] * size)
        else:
            merged.append((stride, size))
    return tuple(merged)


@final
@dataclass
class TensorNames:
    """Names of the tensors of one step. Not frozen: it learns while the step runs."""

    parameters: dict[int, str] = field(default_factory=dict)  # by storage; tensors made from a parameter too
    _registered: set[int] = field(default_factory=set)  # storages of the parameters themselves
    _fixed: set[int] = field(default_factory=set)  # storages of constants: buffers, and what is made from no data
    _composed: set[int] = field(default_factory=set)  # storages of products of parameters, and what is made from them
    _same: dict[Key, Key] = field(default_factory=dict)
    _names: dict[Key, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _writes: dict[int, int] = field(default_factory=dict)
    _again: set[int] = field(default_factory=set)
    _seen: dict[int, StorageWeakRef | Tensor] = field(default_factory=dict)  # by storage

    def register(self, model: nn.Module) -> None:
        """Learn the parameters. A tied one keeps the first of its names."""
        for name, parameter in model.named_parameters():
            self.parameters.setdefault(self._storage(parameter), name)
            self._registered.add(self._storage(parameter))
        self._fixed.update(self._storage(buffer) for buffer in model.buffers())

    def parameter(self, tensor: Tensor) -> str | None:
        """The parameter that the tensor is, is a part of, or was made from."""
        return self.parameters.get(storage_of(tensor))

    def weight(self, tensor: Tensor) -> str | None:
        """The parameter that a factor of a product is, or was made from.

        What parameters were multiplied to is a weight where it is one matrix, as that of merged adapters; with a batch
        of its own it is data, as the heads of learned queries are.
        """
        name = self.parameter(tensor)
        single = tensor.dim() == 2 or tensor.shape[0] == 1 or tensor.stride(0) == 0
        return name if single or storage_of(tensor) not in self._composed else None

    def is_fixed(self, tensor: Tensor) -> bool:
        """Whether the tensor depends on no data: a parameter, a constant, or what was made from them."""
        storage = storage_of(tensor)
        return storage in self.parameters or storage in self._fixed

    def fix(self, made: Tensor) -> None:
        """`made` is a constant, or made from constants."""
        self._fixed.add(self._storage(made))

    def derive(self, made: Tensor, source: Tensor, composed: bool = False) -> None:
        """`made` is the parameter `source` with something done to it: masked, rounded, added to another one.

        composed: it is a product of parameters.
        """
        storage, origin = self._storage(made), storage_of(source)
        self.parameters[storage] = self.parameters[origin]
        if composed or origin in self._composed:
            self._composed.add(storage)

    def copied(self, made: Tensor, source: Tensor) -> None:
        """`made` holds the same data as `source`."""
        origin = self.key(source)
        made_key = self._raw_key(made)
        if made_key != origin:
            self._same[made_key] = origin

    def written(self, tensor: Tensor, fixed: bool) -> None:
        """The tensor was changed in place: from now on it is other data. fixed: it depends on none still."""
        storage = self._storage(tensor)
        self._writes[storage] = self._writes.get(storage, 0) + 1
        if not fixed:
            self._fixed.discard(storage)
            if storage not in self._registered:
                self.parameters.pop(storage, None)

    def made_again(self, tensors: Sequence[Tensor]) -> None:
        """A checkpoint made data of the forward pass once more, inside the backward pass."""
        self._again.update(self._storage(tensor) for tensor in tensors)

    def is_made_again(self, tensor: Tensor) -> bool:
        return storage_of(tensor) in self._again

    def key(self, tensor: Tensor) -> Key:
        """Equal for two tensors that are the same data."""
        raw = self._raw_key(tensor)
        return self._same.get(raw, raw)

    def name(self, tensor: Tensor, wanted: str) -> str:
        """The tensor's name; a tensor without one gets `wanted`, with a number where another has that already."""
        key = self.key(tensor)
        if key not in self._names:
            self._names[key] = self._free(wanted)
        return self._names[key]

    def _storage(self, tensor: Tensor) -> int:
        storage = storage_of(tensor)
        if storage not in self._seen:
            strided = tensor.layout is torch.strided
            self._seen[storage] = StorageWeakRef(tensor.untyped_storage()) if strided else tensor  # type: ignore[no-untyped-call]
        return storage

    def _raw_key(self, tensor: Tensor) -> Key:
        storage, strided = self._storage(tensor), tensor.layout is torch.strided
        start = int(tensor.storage_offset()) if strided else 0
        return storage, self._writes.get(storage, 0), start, layout(tensor)

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}.{number}"
        self._taken.add(name)
        return name
