"""How many mask bits flip from one step to the next."""

from collections.abc import Mapping

from torch import Tensor, nn

from workloads.sparsity.masked_weight import Masks, masked_weights

MaskState = Mapping[str, Masks]


def masks_of(model: nn.Module) -> MaskState:
    """Copies of the masks in force, by layer."""
    found = {name: weight.masks for name, weight in masked_weights(model)}
    return {name: _copied(masks) for name, masks in found.items() if masks is not None}


def _copied(masks: Masks) -> Masks:
    ahead = masks.forward.clone()
    back = ahead if masks.backward is masks.forward else masks.backward.clone()
    return Masks(ahead, back, None if masks.permutation is None else masks.permutation.clone())


def flips(before: MaskState, after: MaskState) -> tuple[int, int]:
    """How many weights changed their place in the masks of FF and of BP. A layer without masks then or now has none."""
    both = [(before[name], masks) for name, masks in after.items() if name in before]
    return (
        sum(_changed(old.forward, new.forward) for old, new in both),
        sum(_changed(old.backward, new.backward) for old, new in both),
    )


def _changed(old: Tensor, new: Tensor) -> int:
    return int((_kept(old) != _kept(new)).sum())


def _kept(mask: Tensor) -> Tensor:
    """Of a mask of factors, what is there in full."""
    return mask if not mask.dtype.is_floating_point else mask >= 1
