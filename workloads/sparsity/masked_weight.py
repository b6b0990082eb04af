"""A weight that a method keeps sparse: its masks, which are buffers of the module, and the operands made with them.

For a weight named `weight` the buffers are `mask_ff`, `mask_bp` where the backward mask is another one, `mask_order`
where it is grouped in an order of output channels, `mask_step`, the optimizer's steps so far, and `mask_of`, the
letters of method and pattern, so that masks of others are not loaded. Those of a weight named `in_proj_weight` are
`in_proj_mask_ff` and so on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from workloads.errors import UserError
from workloads.methods.base import END_OF_RUN, Known, MaskUse, Method
from workloads.op import Phase, Role
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.sparsity.products import masked, rounded
from workloads.training.masks import largest_group_count, reordered

Transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TREATMENTS = "_treatments"  # the attribute of a module that has them, by the name of the weight


@final
@dataclass(frozen=True)
class Treatment:
    """A method on the weight of a layer, with the pattern that was asked of the layer, the precision of operands, and
    the patterns that were asked of the whole model, in words."""

    method: Method
    pattern: Pattern
    mixed: bool = False
    asked: str = ""
    layer: str = "model"  # its name in the model that the method was put on


@final
@dataclass(frozen=True)
class Masks:
    """The masks in force, in the weight's shape, and the permutation (G, O) in which the backward one is grouped."""

    forward: Tensor
    backward: Tensor
    permutation: Tensor | None


@final
@dataclass(frozen=True)
class MaskedWeight:
    """A weight of a module, by name, and what is done to it. It holds nothing: the module has masks and counter."""

    module: nn.Module
    name: str
    treatment: Treatment

    @property
    def master(self) -> nn.Parameter:
        """The dense weight. Raises UserError where another tool took it."""
        found = self.module._parameters.get(self.name)
        if found is None:
            raise UserError(
                f"{self.said}: its parameter '{self.name}' is not there any more: another tool took it; give that tool "
                "the model of workloads.finalize, or the layer to exclude="
            )
        return found

    @property
    def said(self) -> str:
        """The layer, in a sentence."""
        return f"layer '{self.treatment.layer}'"

    def buffer_name(self, what: str) -> str:
        """The name of a buffer: ff, bp, order, step or of."""
        return f"{self.name.removesuffix('weight')}mask_{what}"

    @property
    def buffer_names(self) -> list[str]:
        """Those of its buffers that are there."""
        names = (self.buffer_name(what) for what in ("ff", "bp", "order", "step", "of"))
        return [name for name in names if name in self.module._buffers]

    def buffer(self, what: str) -> Tensor | None:
        return self.module._buffers.get(self.buffer_name(what))

    def put(self, what: str, value: Tensor) -> None:
        """Set a buffer. In place where it can be, so that whoever holds it sees the change."""
        name = self.buffer_name(what)
        held = self.module._buffers.get(name)
        if held is None:
            self.module.register_buffer(name, value.to(self.master.device))
        elif held.dtype is value.dtype and held.shape == value.shape:
            held.copy_(value)
        else:
            self.module._buffers[name] = value.to(held.device)

    @property
    def step(self) -> int:
        """Steps of the optimizer so far."""
        held = self.buffer("step")
        return 0 if held is None or held.is_meta else int(held)

    @property
    def words(self) -> str:
        """Method and pattern."""
        return f"{self.treatment.method.name} {self.treatment.pattern}"

    @property
    def masks(self) -> Masks | None:
        ahead = self.buffer("ff")
        if ahead is None:
            return None
        back = self.buffer("bp")
        return Masks(ahead, ahead if back is None else back, self.buffer("order"))

    @property
    def operand_masks(self) -> tuple[Tensor | None, Tensor | None]:
        """What FF and BP multiply the weight by; None for the whole weight."""
        if self.treatment.method.mask_use is not MaskUse.OPERANDS:
            return None, None
        ahead, back = self.buffer("ff"), self.buffer("bp")
        return ahead, ahead if back is None else back

    @property
    def groups(self) -> int:
        """Of a convolution; 1 elsewhere."""
        return self.module.groups if isinstance(self.module, _ConvNd) else 1

    @property
    def transposed(self) -> bool:
        """Whether the weight is (C, O / groups, *kernel)."""
        return isinstance(self.module, Transposed)

    def canonical(self, weight: Tensor) -> Tensor:
        """A tensor of the weight's shape as (G, O, C, T)."""
        found = weight.reshape(self.groups, weight.shape[0] // self.groups, weight.shape[1], -1)
        return found.transpose(1, 2).contiguous() if self.transposed else found

    def own(self, canonical: Tensor) -> Tensor:
        """A tensor in (G, O, C, T) as one of the weight's shape."""
        return (canonical.transpose(1, 2) if self.transposed else canonical).reshape(self.master.shape)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Output and input channels of a group, and kernel positions."""
        groups, shape = self.groups, self.master.shape
        outside, inside = (shape[1], shape[0] // groups) if self.transposed else (shape[0] // groups, shape[1])
        return outside, inside, shape[2:].numel()

    @property
    def pattern(self) -> Pattern:
        """The pattern in force."""
        return self.treatment.method.pattern_at(self.treatment.pattern, self.step)

    def pattern_of(self, phase: Phase, role: Role) -> Pattern:
        """The pattern in force of one operand; dense where its groups are too short for anything to be dropped."""
        if not self.treatment.method.operand(phase, role):
            return DENSE
        outside, inside, taps = self.sizes
        return self.pattern.on(inside if phase is Phase.FF else outside, taps)

    def mask_pattern(self, phase: Phase) -> Pattern:
        """The pattern that a mask has in a phase: that of the operand, or, where no operand is masked and the mask only
        says which weights fade, the one asked for."""
        fades = self.treatment.method.mask_use is MaskUse.DECAY and phase is Phase.FF
        return self.treatment.pattern if fades else self.pattern_of(phase, Role.WEIGHT)

    def holds(self, mask: Tensor, phase: Phase, order: Tensor | None = None) -> bool:
        """Whether a mask of the weight's shape keeps no more than its pattern allows in a phase.

        order: of output channels, (G, O), in which the groups of BP hold.
        """
        pattern, axis = self.mask_pattern(phase), 2 if phase is Phase.FF else 1
        kept = self.canonical(mask) != 0
        if phase is Phase.BP and order is not None:
            kept = reordered(kept, order)
        if pattern.kind is PatternKind.FAN_IN:
            return int(kept.flatten(2).sum(-1).max()) <= pattern.fan_in
        return not pattern.is_grouped or largest_group_count(kept.float(), pattern.m, axis) <= pattern.n

    def permutation_of(self, phase: Phase, role: Role) -> Tensor | None:
        """The order, (G, O), in which an operand's groups hold; None: as they are."""
        operand = self.treatment.method.operand(phase, role)
        return self.buffer("order") if operand and operand.permuted else None

    @property
    def drops(self) -> bool:
        """Whether the method makes it sparse, now or later."""
        method, pattern = self.treatment.method, self.treatment.pattern
        outside, inside, taps = self.sizes
        phases = {each.phase for each in method.sparse} or set(Phase)
        channels = [size for phase, size in ((Phase.FF, inside), (Phase.BP, outside)) if phase in phases]
        some = any(not pattern.on(size, taps).is_dense for size in channels)
        used = method.mask_use is not MaskUse.NONE or not method.pattern_at(pattern, END_OF_RUN).is_dense
        return some and used

    @torch.no_grad()
    def make_masks(self, step: int, first: Tensor | None = None) -> None:
        """Count the step, and make its masks if the method makes new ones then. first: a forward mask to begin with.

        Raises UserError for a layer or pattern that the method cannot mask.
        """
        method, pattern = self.treatment.method, self.treatment.pattern
        if pattern.is_dense:
            return
        if hasattr(self.master, "full_tensor"):  # as a DTensor has
            raise UserError(
                f"{self.said}: its weight is cut up over processes (FSDP), and its groups may lie across the parts; "
                "DistributedDataParallel trains sparse models"
            )
        method.pattern_at(pattern, step)
        if method.mask_use is not MaskUse.NONE and (method.makes_masks(step) or self.buffer("ff") is None):
            weight = self.canonical(rounded(self.master.detach(), self.treatment.mixed))
            self._put_masks(self._made(weight, step, first))
        self.put("step", torch.tensor(step))
        if self.buffer("of") is None:
            self.put("of", torch.tensor(list(self.words.encode()), dtype=torch.uint8))

    def _made(self, weight: Tensor, step: int, first: Tensor | None) -> Masks:
        method, pattern, known = self.treatment.method, self.treatment.pattern, self._known()
        with method.named():
            ahead = method.forward_mask(weight, pattern, known, step) if first is None else first
            order = method.permutation(ahead, pattern, known, step) if method.permutation else None
            now = replace(known, forward_mask=ahead, permutation=order)
            back = method.backward_mask(weight, pattern, now, step) if method.backward_mask else ahead
        return Masks(ahead, back, order)

    def _put_masks(self, made: Masks) -> None:
        self.put("ff", self.own(made.forward))
        if self.treatment.method.backward_mask:  # one buffer where there is one mask: safetensors refuses shared memory
            self.put("bp", self.own(made.backward))
        if made.permutation is not None:
            self.put("order", made.permutation)

    def _known(self) -> Known:
        gradient = None if self.master.grad is None else self.canonical(self.master.grad)
        masks = self.masks
        if masks is None:
            return Known(gradient=gradient)
        return Known(self.canonical(masks.forward), masks.permutation, gradient)

    @torch.no_grad()
    def weights(self) -> tuple[Tensor, Tensor]:
        """The weights that FF and BP use."""
        found = rounded(self.master.detach(), self.treatment.mixed)
        ahead, back = (found if mask is None else self._masked(found, mask) for mask in self.operand_masks)
        return ahead, back

    def _masked(self, found: Tensor, mask: Tensor) -> Tensor:
        """Factors leave FP16, so their product is rounded once more."""
        return rounded(masked(found, mask), self.treatment.mixed and mask.dtype is not torch.bool)

    def pruned(self, gradient: Tensor, channels: int) -> Tensor:
        """The output gradient that BP uses; its channels lie on axis `channels`."""
        prune = self.treatment.method.pruned_gradient
        if prune is None or self.pattern_of(Phase.BP, Role.GRADIENT).is_dense:
            return gradient
        last = gradient.movedim(channels, -1)
        grouped = last.reshape(-1, self.groups, last.shape[-1] // self.groups)
        return prune(grouped, self.pattern).reshape(last.shape).movedim(-1, channels)


def check_module(model: object, what: str) -> None:
    """Raises UserError for a model that is none. what: the function that wants it."""
    if not isinstance(model, nn.Module):
        raise UserError(f"{what}: wanted is a torch module, not of type '{type(model).__name__}'")


def masked_weights_of(module: nn.Module) -> Iterator[MaskedWeight]:
    """The weights of one module that a method was put on."""
    treatments: dict[str, Treatment] = module.__dict__.get(TREATMENTS, {})
    return (MaskedWeight(module, name, treatment) for name, treatment in treatments.items())


def masked_weights(model: nn.Module) -> Iterator[tuple[str, MaskedWeight]]:
    """The weights of a model that a method was put on, by layer: `encoder.linear1`, or `encoder.attention.in_proj`."""
    for name, module in model.named_modules():
        for weight in masked_weights_of(module):
            yield layer_name(f"{name}.{weight.name}" if name else weight.name), weight


def layer_name(parameter: str) -> str:
    """What the layer of a weight is called: "attention.in_proj" for "attention.in_proj_weight"."""
    return parameter.removesuffix("weight").rstrip("._") or "model"
