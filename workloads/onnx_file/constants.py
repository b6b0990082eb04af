"""Sizes that a graph works out from sizes, done here: shape inference of `onnx` follows whole numbers alone, and few
operators.

Every result of `Shape` becomes a constant once its input has sizes, and so does what is made of small constants by
operators that gather, join and count. Each constant that was found may give sizes to more values, so that this goes on
until nothing is new.
"""

from math import prod

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.reference

SMALL = 1024  # elements of what is worked out: sizes, axes, and what they are made of
ROUNDS = 64  # each is one inference of shapes; a U-Net takes one for every level
# None of these makes much of little.
COUNTING = frozenset(
    """
    Add Sub Mul Div Mod Neg Abs Floor Ceil Round Sqrt Min Max Cast Concat Gather Slice Split Squeeze Unsqueeze Reshape
    Identity Equal Greater Less GreaterOrEqual LessOrEqual Not And Or Where ReduceProd ReduceSum ReduceMax ReduceMin
    Transpose Flatten Size
    """.split()  # noqa: SIM905 - a list of quoted words is twice as long
)
Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


def with_constants(model: onnx.ModelProto) -> bool:
    """Put a constant in the place of every node whose result can be worked out, in place. Gives whether one was new.

    Parameters may be small too, so what comes of this is a graph to infer sizes in, and none to read products from.
    """
    graph = model.graph
    shapes = {each.name: _shape(each) for each in (*graph.value_info, *graph.input, *graph.output)}
    shapes |= {each.name: tuple(each.dims) for each in graph.initializer}
    known = {each.name: found for each in graph.initializer if (found := _array(each)) is not None}
    left, new = [], []
    for node in graph.node:
        made = _made(node, known, shapes, model)
        known.update(zip(node.output, made, strict=False))
        if made and node.op_type != "Constant":
            new += [onnx.numpy_helper.from_array(array, name) for name, array in zip(node.output, made, strict=False)]
        else:
            left.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(left)
    graph.initializer.extend(new)
    return bool(new)


def is_open(model: onnx.ModelProto) -> bool:
    """Whether the size of something that a node makes is not known."""
    graph = model.graph
    known = {each.name for each in (*graph.value_info, *graph.output) if _shape(each) is not None}
    return any(name and name not in known for node in graph.node for name in node.output)


def _shape(info: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    kind = info.type.tensor_type
    known = kind.HasField("shape") and all(each.HasField("dim_value") for each in kind.shape.dim)
    return tuple(each.dim_value for each in kind.shape.dim) if known else None


def _array(tensor: onnx.TensorProto) -> Array | None:
    """The values of a small constant that the file holds; None for others."""
    if prod(tensor.dims) > SMALL or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    try:
        found: Array = onnx.numpy_helper.to_array(tensor)
    except Exception:  # values that are passed over, or damaged
        return None
    return found


def _made(
    node: onnx.NodeProto,
    known: dict[str, Array],
    shapes: dict[str, tuple[int, ...] | None],
    model: onnx.ModelProto,
) -> list[Array]:
    """What a node makes of constants; nothing where that cannot be said, or is not wanted."""
    if node.op_type == "Constant":
        values = (_array(each.t) for each in node.attribute if each.name == "value")
        return [each for each in values if each is not None]
    sizes = shapes.get(node.input[0]) if node.input else None
    if node.op_type == "Shape" and sizes is not None:
        ends = {each.name: each.i for each in node.attribute}
        return [np.array(sizes[ends.get("start") : ends.get("end")], np.int64)]
    given = {name: known[name] for name in node.input if name in known}
    if node.op_type not in COUNTING or len(given) < len({name for name in node.input if name}) or not given:
        return []
    try:
        alone = onnx.helper.make_graph(
            [node],
            "alone",
            [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in given],
            [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output],
        )
        whole = onnx.helper.make_model(alone, opset_imports=model.opset_import)
        found = onnx.reference.ReferenceEvaluator(whole).run(None, given)
    except Exception:  # a fault is found where the value is read
        return []
    arrays = [np.asarray(each) for each in found]
    return arrays if all(each.size <= SMALL for each in arrays) else []
