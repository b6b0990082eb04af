"""A model's step as a function of batch and sequence length: recorded on fake tensors at several points and fitted."""

from functools import lru_cache
from typing import Any, final

from torch._subclasses.fake_tensor import FakeTensorMode

from workloads.errors import UserError
from workloads.models.loss import CrossEntropy
from workloads.models.spec import DataKind, ModelSpec
from workloads.shape_fit import Size, fit, resolve
from workloads.training.record import Recorded, record_pass
from workloads.workload import op_node

Point = tuple[int, int]
IMAGE_POINTS: tuple[Point, ...] = ((2, 1), (3, 1), (5, 1))
TEXT_POINTS: tuple[Point, ...] = ((2, 16), (3, 16), (2, 24), (5, 24), (3, 40), (7, 32), (4, 56), (6, 48))
CHECKS = {DataKind.IMAGES: (7, 1), DataKind.BYTES: (9, 72)}


@final
class Unfit(ValueError):
    """A size that is no function of batch and sequence length of the known form."""


def shapes_at(spec: ModelSpec, point: Point) -> Recorded:
    """One step of the model at (batch, sequence), without values: nothing is computed."""
    with FakeTensorMode():
        model, loss = spec.build(), CrossEntropy()
        inputs, targets = spec.example(*point)
        return record_pass(model, loss, lambda: loss(model(inputs), targets).backward(), spec.optimizer)


def node_of(recorded: Recorded) -> dict[str, Any]:
    """What was recorded, as JSON."""
    return {"ops": [op_node(op) for op in recorded.ops], "saved_elements": recorded.saved_elements}


def fitted_shapes(spec: ModelSpec) -> tuple[dict[str, Any], int]:
    """(ops and saved elements with sizes as functions of B and S, number of parameters).

    Raises UserError when the sizes have no such form or when they miss the point they were not fitted on.
    """
    points = IMAGE_POINTS if spec.data is DataKind.IMAGES else TEXT_POINTS
    recorded = [shapes_at(spec, point) for point in points]
    try:
        fitted = _fit([node_of(each) for each in recorded], points)
    except Unfit as error:
        raise UserError(f"model '{spec.name}': {error}") from None
    check = CHECKS[spec.data]
    if resolve(fitted, *check) != node_of(shapes_at(spec, check)):
        raise UserError(f"model '{spec.name}': the fitted shapes miss batch {check[0]}, sequence {check[1]}")
    return fitted, recorded[0].parameters


def _fit(nodes: list[Any], points: tuple[Point, ...]) -> Any:
    first = nodes[0]
    if isinstance(first, dict):
        if any(node.keys() != first.keys() for node in nodes):
            raise Unfit(f"the fields of an op change with the batch or the sequence length: {sorted(first)}")
        return {key: _fit([node[key] for node in nodes], points) for key in first}
    if isinstance(first, list):
        if len({len(node) for node in nodes}) > 1:
            raise Unfit("the number of ops changes with the batch or the sequence length")
        return [_fit(list(inner), points) for inner in zip(*nodes, strict=True)]
    if isinstance(first, int) and not isinstance(first, bool):
        return _fit_size(tuple(nodes), points)
    if any(node != first for node in nodes):
        raise Unfit(f"'{first}' changes with the batch or the sequence length")
    return first


@lru_cache(maxsize=4096)
def _fit_size(values: tuple[int, ...], points: tuple[Point, ...]) -> Size:
    try:
        return fit(points, values)
    except ValueError as error:
        raise Unfit(str(error)) from None
