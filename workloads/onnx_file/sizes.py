"""The sizes of a graph's inputs: the batch is put where the file leaves it open."""

from pathlib import Path

import onnx

from workloads.errors import UserError

LARGEST = 2**31


def with_batch(path: Path, model: onnx.ModelProto, batch: int | None) -> int:
    """Put the batch where the first axis of an input is open, in place. Gives the batch that the inputs have.

    Open sizes have names, and one name is one size: values in the middle of a graph repeat them. Names there that are
    none of the inputs', such as `2*batch`, are taken off, since what they stand for is inferred. Raises UserError where
    no batch was given, another one is fixed, or another size is open.
    """
    weights = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights and each.type.HasField("tensor_type")]
    first = {each.name: each.type.tensor_type.shape.dim[0] for each in inputs if each.type.tensor_type.shape.dim}
    left = {name: axis for name, axis in first.items() if _is_open(axis)}
    _check_batch(path, first, left, batch)
    named = {axis.dim_param: batch for axis in left.values() if axis.dim_param}
    for axis in left.values():
        axis.dim_value = batch
    for info in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if info.type.HasField("tensor_type"):
            for axis in info.type.tensor_type.shape.dim:
                if axis.dim_param in named:
                    axis.dim_value = named[axis.dim_param]
                elif axis.dim_param and info.name not in first:
                    axis.ClearField("dim_param")
    _check_inputs(path, inputs)
    return next((int(axis.dim_value) for axis in first.values()), 1)


def _is_open(axis: onnx.TensorShapeProto.Dimension) -> bool:
    return not axis.HasField("dim_value")


def _check_batch(
    path: Path,
    first: dict[str, onnx.TensorShapeProto.Dimension],
    left: dict[str, onnx.TensorShapeProto.Dimension],
    batch: int | None,
) -> None:
    if left and batch is None:
        name, axis = next(iter(left.items()))
        called = f" ('{axis.dim_param}')" if axis.dim_param else ""
        raise UserError(f"{path}: the first axis of its input '{name}'{called} is open; --batch N says how large it is")
    if left and batch is not None and batch >= LARGEST:
        raise UserError(f"{path}: --batch {batch}: must be below {LARGEST}")
    fixed = {int(axis.dim_value) for name, axis in first.items() if name not in left}
    if batch is not None and not left and batch not in fixed:
        said = f"was exported at batch {max(fixed)}" if fixed else "has no input with a batch"
        raise UserError(f"{path}: --batch {batch}: {said}, and holds no other; export it with its first axis open")


def _check_inputs(path: Path, inputs: list[onnx.ValueInfoProto]) -> None:
    """Raises UserError for an input that has another open size, or none that is known."""
    for info in inputs:
        kind = info.type.tensor_type
        if not kind.HasField("shape"):
            raise UserError(f"{path}: its input '{info.name}' has no sizes; export it with sizes")
        for number, axis in enumerate(kind.shape.dim):
            if _is_open(axis):
                called = f" ('{axis.dim_param}')" if axis.dim_param else ""
                raise UserError(
                    f"{path}: axis {number} of its input '{info.name}'{called} is open, and --batch sets first axes "
                    "alone; export it with that size fixed"
                )
            if not 0 < axis.dim_value < LARGEST:
                raise UserError(f"{path}: axis {number} of its input '{info.name}' has size {axis.dim_value}")
