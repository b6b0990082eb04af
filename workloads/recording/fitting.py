"""A step with its sizes as functions of batch and sequence length: recorded at several points, fitted, and checked on
one more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

from workloads.op import Op
from workloads.shape_fit import Size, evaluate, fit, resolve
from workloads.stored import op_node

Point = tuple[int, int]  # batch and sequence length
Nodes = list[dict[str, object]]  # ops as JSON
IMAGE_POINTS: tuple[Point, ...] = ((2, 1), (3, 1), (5, 1))
TEXT_POINTS: tuple[Point, ...] = ((2, 16), (3, 16), (2, 24), (5, 24), (3, 40), (7, 32), (4, 56), (6, 48))
IMAGE_CHECK, TEXT_CHECK = (7, 1), (9, 72)


@final
class Unfit(ValueError):
    """A size that is no function of batch and sequence length of the known form."""


@final
@dataclass(frozen=True)
class Step:
    """What is fitted of a recorded step."""

    ops: tuple[Op, ...]
    saved_elements: int
    parameters: int


@final
@dataclass(frozen=True)
class Shapes:
    """Ops as JSON and the elements kept for the backward pass, with sizes as functions of B and S; parameters."""

    ops: Nodes
    saved_elements: Size
    parameters: int


def fitted(record: Callable[[Point], Step], points: Sequence[Point], check: Point) -> Shapes:
    """The step that `record` gives at every point. Raises Unfit where sizes have no such form, or miss the check."""
    recorded = [record(point) for point in points]
    steps = [_nodes(each) for each in recorded]
    if len({len(nodes) for nodes in steps}) > 1:
        raise Unfit("the number of ops changes with the batch or the sequence length")
    ops = [_fit_fields(nodes, tuple(points)) for nodes in zip(*steps, strict=True)]
    saved = _fit_size(tuple(each.saved_elements for each in recorded), tuple(points))
    there = record(check)
    if resolve(ops, *check) != _nodes(there) or evaluate(saved, *check) != there.saved_elements:
        raise Unfit(f"the fitted shapes miss batch {check[0]}, sequence {check[1]}")
    return Shapes(ops, saved, recorded[0].parameters)


def _nodes(recorded: Step) -> Nodes:
    return [op_node(op) for op in recorded.ops]


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
