"""Training loops as users write them, around a small network that any method can be put on."""

from collections.abc import Callable
from copy import deepcopy
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

from workloads import sparsify
from workloads.methods.base import Method
from workloads.registry import METHODS, names
from workloads.sparsity.masked_weight import MaskedWeight, masked_weights

METHOD_NAMES = [name for name in names(METHODS) if name != "dense"]
NUMBERS: dict[str, dict[str, object]] = {  # so that every method renews its masks and changes its pattern in few steps
    "adams": {"rate": 1e-3, "period": 1},
    "bank": {"start_share": 0.0, "stop_share": 0.5, "period": 1},
    "bimask": {"candidates": 5, "period": 2},
    "srigl": {"period": 2},
    "transposable": {"period": 2},
}
SCHEDULED = ("adams", "bank", "mdgf", "sdgf", "srigl")
STEPS = 8  # of a whole run
ATTENTION = "encoder.self_attn"  # runs its own forward pass, which sdgp cannot train
DECAY = 0.9  # of the averaged weights
Batch = tuple[Tensor, Tensor]


@final
class Network(nn.Module):
    """A convolution, an encoder layer of torch's own and two linear layers, for 4 x 4 pictures of 4 channels."""

    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        self.reentrant = reentrant  # of the activation checkpoints; None: there are none
        self.conv = nn.Conv2d(4, 16, 3, padding=1)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.hidden = nn.Linear(16, 24)
        self.head = nn.Linear(24, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x)).flatten(2).mT
        x = self._run(self.encoder, x)
        x = self._run(self.hidden, x.mean(1))
        result: Tensor = self.head(torch.relu(x))
        return result

    def _run(self, module: nn.Module, x: Tensor) -> Tensor:
        held = module(x) if self.reentrant is None else checkpoint(module, x, use_reentrant=self.reentrant)
        return cast(Tensor, held)


def sparse_network(method: str | Method, seed: int = 3, reentrant: bool | None = None) -> Network:
    """A network under a method, with what the method needs for a run of `STEPS`."""
    torch.manual_seed(seed)
    model = Network(reentrant)
    put_on(model, method)
    return model


def put_on(model: nn.Module, method: str | Method) -> list[str]:
    """The layers that became sparse: all but the attention of sdgp."""
    name = method if isinstance(method, str) else method.name
    return sparsify(
        model,
        method,
        "fan-in 8" if name == "srigl" else "2:4",
        exclude=[ATTENTION] if name == "sdgp" else [],
        numbers=NUMBERS.get(name) if isinstance(method, str) else None,
        total_steps=STEPS if name in SCHEDULED else None,
    )


def batch(at: int, size: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(100 + at)
    return torch.randn(size, 4, 4, 4, generator=generator), torch.randint(0, 8, (size,), generator=generator)


@final
class Loop:
    """Two micro-batches a step, clipping, AdamW under a one-cycle schedule, and an average of the weights."""

    def __init__(self, model: nn.Module, half: bool = False) -> None:
        self.model, self.half, self.done = model, half, 0
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
        self.schedule = OneCycleLR(self.optimizer, max_lr=1e-2, total_steps=STEPS)
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))

    def run(self, steps: int, between: Callable[[int], None] = lambda _: None) -> "Loop":
        """between: called with 0 and 1 after each micro-batch."""
        for _ in range(steps):
            for micro in range(2):
                x, target = batch(2 * self.done + micro)
                with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                    loss = cross_entropy(self.model(x), target) / 2
                loss.backward()
                between(micro)
            nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
            self.average.update_parameters(self.model)
            self.done += 1
        return self

    def state(self) -> dict[str, object]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def resume(self, state: dict[str, object], done: int) -> "Loop":
        self.model.load_state_dict(cast(dict[str, Tensor], state["model"]))
        self.optimizer.load_state_dict(cast(dict[str, object], state["optimizer"]))
        self.schedule.load_state_dict(cast(dict[str, object], state["schedule"]))
        self.done = done
        return self


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Weights, masks and counters as they are now."""
    return deepcopy(model.state_dict())


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert value.dtype is right[name].dtype and torch.equal(value, right[name]), name


def weights_of(model: nn.Module) -> dict[str, MaskedWeight]:
    return dict(masked_weights(model))


def counters(model: nn.Module) -> set[int]:
    """The steps that the layers counted, by their buffers."""
    return {int(value) for name, value in model.state_dict().items() if name.endswith("mask_step")}


def largest(values: Tensor, axis: int) -> Tensor:
    """Where the two largest magnitudes of every 4 along an axis are, one group after the other, by a plain sort."""
    groups = values.abs().movedim(axis, -1)
    order = groups.unflatten(-1, (-1, 4)).argsort(dim=-1, descending=True, stable=True)
    kept = torch.zeros(order.shape, dtype=torch.bool).scatter(-1, order[..., :2], True)
    return kept.flatten(-2).movedim(-1, axis)


def most_of_four(values: Tensor, axis: int) -> int:
    """The most non-zeros of any 4 neighbours along an axis."""
    return int((values.movedim(axis, -1).unflatten(-1, (-1, 4)) != 0).sum(-1).max())


def through(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(output, its gradient, that of the input, that of the weight) for a fixed gradient of the output."""
    x = x.clone().requires_grad_()
    y = module(x)
    sent = torch.sin(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape).to(y.dtype)
    dx, dw = torch.autograd.grad(y, (x, module.get_parameter("weight")), sent)
    return y.detach(), sent, dx, dw


def own_loss(model: nn.Module, at: int = 0) -> Tensor:
    x, target = batch(at)
    return cross_entropy(model(x), target)
