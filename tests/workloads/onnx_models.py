"""Small networks of every kind that an ONNX file may hold, as torch modules, and files made from them or by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional


@final
class Block(nn.Module):
    """A residual block whose shortcut changes size."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.down = nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.down(x))


@final
class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.pool(torch.relu(self.stem(x))))
        result: Tensor = self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return result


@final
class Encoder(nn.Module):
    """One layer of a transformer over tokens, with the head's weight its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 8), nn.Parameter(torch.randn(1, 6, 8))
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.up, self.down, self.head = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(8, 20, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places
        queries, keys, values = self.qkv(self.norm1(x)).view(-1, 6, 3, 2, 4).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        x = x + self.out(mixed.transpose(1, 2).reshape(-1, 6, 8))
        result: Tensor = self.head(x + self.down(functional.gelu(self.up(self.norm2(x)))))
        return result


@final
class UNet(nn.Module):
    """Dilated, strided and transposed convolutions, one of them in groups and one with output padding."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, 2, 1)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.join = nn.Conv2d(8, 4, 3, padding=1)
        self.more = nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1, groups=2)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        left = torch.relu(self.first(x))
        inner = torch.relu(self.wide(torch.relu(self.down(left))))
        x = torch.relu(self.more(self.join(torch.cat([left, self.up(inner)], 1))))
        result: Tensor = self.last(functional.interpolate(x, scale_factor=0.5))
        return result


@final
class First(nn.Module):
    """The outputs of a recurrent layer without its states."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x)[0]
        return result


@final
class Factors(nn.Module):
    """Weights by weights, weights on the left and with a batch, and an Einsum of data."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(torch.randn(5, 2)), nn.Parameter(torch.randn(2, 6))
        self.left, self.heads = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(2, 6, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.left @ (x @ (self.down @ self.up))
        x = x @ self.heads
        return torch.einsum("bqd,bkd->bqk", x, x)


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, 1, 1, groups=8),
        nn.Hardswish(),
        nn.Conv2d(8, 16, 1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16, 10),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (2, 3, 32, 32)),
    "depthwise": (depthwise, (2, 3, 16, 16)),
    "encoder": (Encoder, (2, 6)),
    "unet": (UNet, (2, 1, 16, 16)),
    "lstm": (lambda: First(nn.LSTM(5, 7, 2, bidirectional=True, batch_first=True)), (2, 3, 5)),
    "gru": (lambda: First(nn.GRU(5, 7, batch_first=True)), (2, 3, 5)),
    "rnn": (lambda: First(nn.RNN(5, 7, batch_first=True)), (2, 3, 5)),
    "factors": (Factors, (2, 3, 5)),
    "signal": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.ConvTranspose1d(4, 6, 2, 2, groups=2)), (2, 3, 9)),
    "volume": (lambda: nn.Sequential(nn.Conv3d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv3d(4, 4, 3)), (2, 1, 8, 8, 8)),
}


def example(name: str) -> tuple[nn.Module, Tensor]:
    """A model in training mode, and inputs of batch 2."""
    make, sizes = MODELS[name]
    torch.manual_seed(0)
    inputs = torch.randint(0, 20, sizes) if name == "encoder" else torch.randn(sizes)
    return make().train(), inputs


def export(module: nn.Module, inputs: Tensor, path: Path, is_open: bool = False, training: bool = True) -> Path:
    """An ONNX file of a module by torch's older exporter, which needs no package but onnx."""
    torch.onnx.export(
        module,
        (inputs,),
        str(path),
        dynamo=False,
        opset_version=20,
        input_names=["x"],
        training=torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL,
        do_constant_folding=not is_open,
        dynamic_axes={"x": {0: "batch"}} if is_open else None,
    )
    return path


def by_hand(
    path: Path,
    nodes: Sequence[tuple[Any, ...]],
    sizes: Sequence[Sequence[int | str | None]],
    weights: dict[str, Sequence[int]],
    opset: int = 20,
    **more: Any,
) -> Path:
    """An ONNX file of nodes, each (operator, inputs, outputs, attributes, domain), with inputs x0, x1 and so on of some
    sizes, weights of others, and the last node's first result as its output."""
    import onnx  # not installed everywhere

    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    made = []
    for operator, inputs, outputs, *rest in nodes:
        attributes, domain = rest[0] if rest else {}, rest[1] if len(rest) > 1 else ""
        made.append(helper.make_node(operator, inputs, outputs, name=f"my_{outputs[0]}", domain=domain, **attributes))
    graph = helper.make_graph(
        made,
        "graph",
        [helper.make_tensor_value_info(f"x{number}", kind, each) for number, each in enumerate(sizes)],
        [helper.make_tensor_value_info(nodes[-1][2][0], more.pop("result", kind), None)],
        [
            helper.make_tensor(name, kind, each, bytes(4 * torch.Size(each).numel()), raw=True)
            for name, each in weights.items()
        ],
    )
    domains = {"": opset, **{node.domain: 1 for node in made if node.domain}}
    imports = [helper.make_opsetid(name, version) for name, version in domains.items()]
    onnx.save(helper.make_model(graph, opset_imports=imports, **more), str(path))
    return path
