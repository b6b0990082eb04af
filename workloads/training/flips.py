"""How many mask bits flip from one step to the next."""

from collections.abc import Mapping

from torch import Tensor, nn

from workloads.training.layers import Masks, method_layers

MaskState = Mapping[str, Masks | None]


def masks_of(model: nn.Module) -> MaskState:
    """The masks in force, by layer."""
    return {name: layer.masks for name, layer in method_layers(model)}


def flips(before: MaskState, after: MaskState) -> tuple[int, int]:
    """How many weights changed their place in the masks of FF and of BP. A layer without masks then or now has none."""
    pairs = [(before.get(name), masks) for name, masks in after.items()]
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    return (
        sum(_changed(old.forward, new.forward) for old, new in both),
        sum(_changed(old.backward, new.backward) for old, new in both),
    )


def _changed(old: Tensor, new: Tensor) -> int:
    return 0 if old is new else int((_kept(old) != _kept(new)).sum())


def _kept(mask: Tensor) -> Tensor:
    """Of a mask of factors, what is there in full."""
    return mask if not mask.dtype.is_floating_point else mask >= 1
