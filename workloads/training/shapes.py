"""A model's step as a function of batch and sequence length: recorded on fake tensors at several points and fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from workloads.errors import UserError
from workloads.models.loss import CrossEntropy
from workloads.models.spec import DataKind, ModelSpec
from workloads.shape_fit import Size, evaluate, fit, resolve
from workloads.stored import op_node
from workloads.training.record import Recorded, record_pass

Point = tuple[int, int]
Nodes = list[dict[str, object]]  # ops as JSON
IMAGE_POINTS: tuple[Point, ...] = ((2, 1), (3, 1), (5, 1))
TEXT_POINTS: tuple[Point, ...] = ((2, 16), (3, 16), (2, 24), (5, 24), (3, 40), (7, 32), (4, 56), (6, 48))
CHECKS = {DataKind.IMAGES: (7, 1), DataKind.BYTES: (9, 72)}


@final
class Unfit(ValueError):
    """A size that is no function of batch and sequence length of the known form."""


@final
@dataclass(frozen=True)
class Shapes:
    """Ops as JSON and the elements kept for the backward pass, with sizes as functions of B and S; parameters."""

    ops: Nodes
    saved_elements: Size
    parameters: int


def example(
    spec: ModelSpec, batch: int, sequence: int | None = None, image: int | None = None
) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the right shapes and types, filled with random values: enough to record shapes."""
    if spec.data is DataKind.IMAGES:
        side = image or spec.sizes.image
        return torch.randn(batch, 3, side, side), torch.randint(0, spec.sizes.classes, (batch,))
    shape = (batch, sequence or spec.sequence)
    return torch.randint(0, 256, shape), torch.randint(0, 256, shape)


def shapes_at(spec: ModelSpec, point: Point) -> Recorded:
    """One step of the model at (batch, sequence), without values: nothing is computed."""
    with FakeTensorMode():
        model, loss = spec.build(), CrossEntropy()
        inputs, targets = example(spec, *point)
        return record_pass(model, loss, lambda: loss(model(inputs), targets).backward(), spec.optimizer)


def fitted_shapes(spec: ModelSpec) -> Shapes:
    """The model's step. Raises UserError when sizes have no such form or miss the point they were not fitted on."""
    points = IMAGE_POINTS if spec.data is DataKind.IMAGES else TEXT_POINTS
    recorded = [shapes_at(spec, point) for point in points]
    try:
        ops = _fit_ops([_nodes(each) for each in recorded], points)
        saved = _fit_size(tuple(each.saved_elements for each in recorded), points)
    except Unfit as error:
        raise UserError(f"model '{spec.name}': {error}") from None
    check = CHECKS[spec.data]
    there = shapes_at(spec, check)
    if resolve(ops, *check) != _nodes(there) or evaluate(saved, *check) != there.saved_elements:
        raise UserError(f"model '{spec.name}': the fitted shapes miss batch {check[0]}, sequence {check[1]}")
    return Shapes(ops, saved, recorded[0].parameters)


def _nodes(recorded: Recorded) -> Nodes:
    return [op_node(op) for op in recorded.ops]


def _fit_ops(steps: Sequence[Nodes], points: tuple[Point, ...]) -> Nodes:
    if len({len(nodes) for nodes in steps}) > 1:
        raise Unfit("the number of ops changes with the batch or the sequence length")
    return [_fit_fields(nodes, points) for nodes in zip(*steps, strict=True)]


def _fit_fields(nodes: Sequence[Mapping[str, object]], points: tuple[Point, ...]) -> dict[str, object]:
    first = nodes[0]
    if any(node.keys() != first.keys() for node in nodes):
        raise Unfit(f"the fields of an op change with the batch or the sequence length: {sorted(first)}")
    return {key: _fit([node[key] for node in nodes], points) for key in first}


def _fit(values: Sequence[object], points: tuple[Point, ...]) -> object:
    """One value of an op: fields, a list, a size, or what is the same at all points."""
    first = values[0]
    if len({type(value) for value in values}) > 1:
        raise Unfit(f"'{first}' is something else at another batch or sequence length")
    if isinstance(first, dict):
        return _fit_fields([value for value in values if isinstance(value, dict)], points)
    if isinstance(first, list):
        lists = [value for value in values if isinstance(value, list)]
        if len({len(value) for value in lists}) > 1:
            raise Unfit("a list in an op changes its length with the batch or the sequence length")
        return [_fit(inner, points) for inner in zip(*lists, strict=True)]
    if isinstance(first, int) and not isinstance(first, bool):
        return _fit_size(tuple(value for value in values if isinstance(value, int)), points)
    if any(value != first for value in values):
        raise Unfit(f"'{first}' changes with the batch or the sequence length")
    return first


@lru_cache(maxsize=4096)
def _fit_size(values: tuple[int, ...], points: tuple[Point, ...]) -> Size:
    try:
        return fit(points, values)
    except ValueError as error:
        raise Unfit(str(error)) from None
