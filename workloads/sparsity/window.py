"""A window: the time in which a module reads masked weights where its dense ones are.

In the forward pass the weight that is read is the one of FF, made by `Through`, whose gradient goes to the dense weight
as it is. The backward pass of a product needs the weight only as a tensor that was saved for it. So a saved-tensor hook
can give it the weight of BP instead, whichever operator multiplied: a view of the weight is known by its storage, and
made again from the other weight. A product of a slice of a (6, 4) weight, rows 2 to 3, saves a view of shape (2, 4)
with strides (4, 1) at offset 8; backward it gets the same view of the BP weight.

Saved-tensor hooks do not nest, so what is no weight is handed to the hooks around the window, those of an activation
checkpoint for example (torch 2.8 and later say which these are; before, it is simply kept).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from workloads.errors import UserError
from workloads.sparsity.masked_weight import MaskedWeight
from workloads.sparsity.products import Context, How, applied, product_dtype, seen

Key = tuple[int, str, torch.dtype]


class Through(torch.autograd.Function):
    """The FF weight, made of the dense one, which gets the whole gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, mask: Tensor | None, how: How) -> Tensor:
        return seen(weight, mask, how)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, Tensor | None, How], output: Tensor) -> None:  # noqa: ARG004
        ctx.how = How(inputs[0].dtype, False, None)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.to(ctx.how.dtype), None, None


@final
@dataclass(frozen=True)
class Exchange:
    """A saved FF weight, or a view of it, and what stands for it in the backward pass."""

    weight: MaskedWeight
    how: How
    version: int  # of the dense weight when the product ran
    size: torch.Size
    stride: tuple[int, ...]
    offset: int

    def backward_weight(self) -> Tensor:
        """The weight of BP. Raises RuntimeError, as autograd does, where the dense one was changed in between."""
        master = self.weight.master
        if master._version != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: the "
                f"'{self.weight.name}' of the sparse {self.weight.said}"
            )
        whole = seen(master.detach(), self.weight.operand_masks[1], self.how)
        return whole.as_strided(self.size, self.stride, self.offset)


@final
@dataclass
class Window:
    """What was read in a window. Not frozen: it fills while the window is open.

    What was made stays alive until the window closes, since another tensor would get its storage's address.
    """

    made: dict[Key, Tensor] = field(default_factory=dict)
    sources: dict[int, tuple[MaskedWeight, How]] = field(default_factory=dict)  # by storage
    met: set[int] = field(default_factory=set)  # storages that were saved for the backward pass

    def read(self, weight: MaskedWeight) -> Tensor:
        """The weight as FF sees it."""
        master = weight.master
        how = How(product_dtype(master, master), False, None)
        key = id(weight.module), weight.name, how.dtype
        if key not in self.made:
            made = applied(Through, master, weight.operand_masks[0], how)
            self.made[key] = made
            self.sources[_storage(made)] = weight, how
        return self.made[key]

    def pack(self, tensor: Tensor) -> Exchange | None:
        """What stands for a saved tensor; None where it is no weight.

        Raises UserError for a weight whose method prunes the gradient, which only a product of its own layer can do.
        """
        found = self.sources.get(_storage(tensor))
        if found is None or tensor is found[0].master:  # the dense weight itself is saved by a product of its own layer
            return None
        self.met.add(_storage(tensor))
        weight, how = found
        method = weight.treatment.method
        if method.pruned_gradient:
            raise UserError(
                f"{weight.said}: another module reads its weight, where "
                f"method '{method.name}' cannot prune the gradient; keep this layer dense"
            )
        place = tensor.size(), tuple(tensor.stride()), int(tensor.storage_offset())
        return Exchange(weight, how, weight.master._version, *place)

    def was_multiplied(self, module: nn.Module) -> bool:
        """Whether a product saved a weight of the module for its backward pass."""
        made = (tensor for (owner, _, _), tensor in self.made.items() if owner == id(module))
        return any(_storage(tensor) in self.met for tensor in made)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata) if tensor.layout is torch.strided else -id(tensor)


_open: ContextVar[Window | None] = ContextVar("window", default=None)


def window_now() -> Window | None:
    """The window that is open."""
    return _open.get()


@contextmanager
def open_window() -> Iterator[Window]:
    """Weights that are read inside are masked. Inside a window there is no other one."""
    inside = _open.get()
    if inside is not None:
        yield inside
        return
    window, (outer_pack, outer_unpack) = Window(), _outer_hooks()

    def pack(tensor: Tensor) -> object:
        return window.pack(tensor) or outer_pack(tensor)

    def unpack(packed: object) -> Tensor:
        return packed.backward_weight() if isinstance(packed, Exchange) else outer_unpack(packed)

    token = _open.set(window)
    try:
        with saved_tensors_hooks(pack, unpack):
            yield window
    finally:
        _open.reset(token)


def _outer_hooks() -> tuple[Callable[[Tensor], object], Callable[[object], Tensor]]:
    """The saved-tensor hooks in force."""
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)  # not in torch 2.6
    found = top(True) if top else None
    return found if found else (_same, _same)


def _same(tensor: object) -> Tensor:
    assert isinstance(tensor, Tensor)
    return tensor
