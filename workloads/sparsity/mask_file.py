"""A file of masks: safetensors, with the masks of each layer as `LAYER.ff`, `LAYER.bp` and `LAYER.order`.

Masks are booleans (or factors, while a method lets weights fade) in the shape of the weight; `order` are the output
channels of each convolution group in the order in which the backward mask is grouped. The metadata have, as JSON under
`masks`, the schema and each layer's method, pattern and step. Other programs read it with the safetensors package
alone.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from workloads.errors import UserError
from workloads.files.reading import check_schema, checked, parse_json
from workloads.files.tensors import Array, read_tensors, write_tensors
from workloads.op import CLOSED, Amount, Phase
from workloads.sparsity.masked_weight import MaskedWeight, check_module, masked_weights

KEY, SCHEMA, WHAT = "masks", 1, "a file of masks"
PARTS = ("ff", "bp", "order")
HEAD_BYTES = 2**20  # of names and metadata, for a thousand layers; the tensors are as large as the model's own masks


@final
@dataclass(frozen=True)
class Layer:
    """What the file says of a layer beside its masks."""

    method: str
    pattern: str
    step: Amount

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


@final
@dataclass(frozen=True)
class Head:
    """The metadata."""

    schema: int
    layers: dict[str, Layer]

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


def save_masks(model: nn.Module, path: str | Path) -> None:
    """Write the masks of a sparse model. Raises UserError where it has none, and where the file cannot be written."""
    found = _masks(model)
    layers = {name: _said(weight) for name, weight in found.items()}
    tensors = {
        f"{name}.{part}": tensor.detach().cpu().numpy()
        for name, weight in found.items()
        for part in PARTS
        if (tensor := weight.buffer(part)) is not None
    }
    write_tensors(tensors, {KEY: json.dumps(asdict(Head(SCHEMA, layers)))}, Path(path))


def load_masks(model: nn.Module, path: str | Path) -> None:
    """Put the masks of a file on a model that was made sparse in the same way, and go on from their step.

    Raises UserError, with the model as it was, where the file is not whole, is of other layers, methods or patterns, or
    holds masks that their pattern forbids.
    """
    path, found = Path(path), _masks(model)
    least = sum(each.numel() * each.element_size() for weight in found.values() for each in _buffers(weight).values())
    tensors, metadata = read_tensors(path, 4 * least + HEAD_BYTES)
    if KEY not in metadata:
        raise UserError(f"{path}: is no file of masks: its metadata have no '{KEY}'")
    node = check_schema(parse_json(metadata[KEY], str(path)), str(path), SCHEMA, WHAT)
    head = checked(Head, node, str(path), strict=True)
    for name, weight in found.items():
        if head.layers.get(name) is None:
            raise UserError(f"{path}: has no masks of layer '{name}'")
        said, here = head.layers[name], _said(weight)
        if (said.method, said.pattern) != (here.method, here.pattern):
            raise UserError(
                f"{path}: layer '{name}': its masks are of {said.method} {said.pattern}; the model's are of "
                f"{here.method} {here.pattern}"
            )
    wanted = {f"{name}.{part}": (weight, part) for name, weight in found.items() for part in _buffers(weight)}
    for key in sorted(tensors.keys() ^ wanted.keys()):
        has, lacks = ("file", "model") if key in tensors else ("model", "file")
        raise UserError(f"{path}: '{key}': the {has} has it, and the {lacks} does not")
    orders_first = sorted(wanted, key=lambda key: not key.endswith("order"))  # backward masks are held against them
    made = {key: _checked(path, key, *wanted[key], tensors) for key in orders_first}
    for key, (weight, part) in wanted.items():
        weight.put(part, made[key])
    for name, weight in found.items():
        weight.put("step", torch.tensor(head.layers[name].step))


def _masks(model: nn.Module) -> dict[str, MaskedWeight]:
    check_module(model, "masks")
    found = {name: weight for name, weight in masked_weights(model) if weight.buffer("ff") is not None}
    if not found:
        raise UserError("the model has no masks; sparsify makes some")
    return found


def _buffers(weight: MaskedWeight) -> dict[str, Tensor]:
    return {part: tensor for part in PARTS if (tensor := weight.buffer(part)) is not None}


def _said(weight: MaskedWeight) -> Layer:
    return Layer(weight.treatment.method.name, str(weight.treatment.pattern), weight.step)


def _checked(path: Path, key: str, weight: MaskedWeight, part: str, tensors: Mapping[str, Array]) -> Tensor:
    """A mask or an order of the file. Raises UserError where the model cannot have it."""
    given = torch.from_numpy(tensors[key].copy())
    held = weight.buffer(part)
    assert held is not None
    kinds = (torch.int64,) if part == "order" else (torch.bool, torch.float32)
    if given.shape != held.shape or given.dtype not in kinds:
        raise UserError(
            f"{path}: '{key}' is {_sizes(given)} of {given.dtype}; wanted is {_sizes(held)} of "
            f"{' or '.join(map(str, kinds))}"
        )
    if part == "order":
        if not torch.equal(given.sort(-1).values, torch.arange(given.shape[-1]).expand(given.shape)):
            raise UserError(f"{path}: '{key}' is no order of channels")
        return given
    order = tensors.get(f"{key.removesuffix(part)}order")
    phase = Phase.FF if part == "ff" else Phase.BP
    if not weight.holds(given, phase, None if order is None else torch.from_numpy(order)):
        raise UserError(f"{path}: '{key}' keeps more than {weight.mask_pattern(phase)} allows")
    return given


def _sizes(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape)
