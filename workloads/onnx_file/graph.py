"""The graph of an ONNX file as plain values: nodes, and the sizes of everything they read and write.

Everything that the package `onnx` does is done here and in `sizes`; the rest of the reader knows these values alone.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from workloads.errors import UserError
from workloads.files.limits import LIMITS, Limits
from workloads.files.slim import read_slim
from workloads.onnx_file.inference import inferred
from workloads.onnx_file.operators import OURS, fault
from workloads.onnx_file.sizes import with_batch

FLOATS = frozenset(
    getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "COMPLEX64", "COMPLEX128")
)
GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
PLAIN = {  # kinds of attributes that are read, and the field that has each
    onnx.AttributeProto.INT: "i",
    onnx.AttributeProto.FLOAT: "f",
    onnx.AttributeProto.STRING: "s",
    onnx.AttributeProto.INTS: "ints",
}
SCOPES = "pkg.torch.onnx.name_scopes"  # where torch.export notes the modules that a node stands in
DEEPEST = 64  # functions that call functions


@dataclass(frozen=True)
class Value:
    """A tensor. shape: None where it is known only when the graph runs. floating: whether it can have a gradient."""

    name: str
    shape: tuple[int, ...] | None
    floating: bool


@dataclass(frozen=True)
class Node:
    """An operator. An input or output that is left out is an empty name. module: what it stands in, where that is
    noted."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[str, int | float]
    lists: Mapping[str, tuple[int, ...]]
    words: Mapping[str, str]
    module: str = ""

    @property
    def shown(self) -> str:
        """The node as sentences name it."""
        return f"node '{self.name or (self.outputs[0] if self.outputs else '')}' ({self.operator})"

    def number(self, name: str, default: int) -> int:
        return int(self.numbers.get(name, default))

    @property
    def made(self) -> str:
        """The first result that is not left out."""
        return next(filter(None, self.outputs), "")

    def given(self, index: int) -> str:
        """The name of an input; empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run. `weights` are the initializers, `truths` constants that are true."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: frozenset[str]
    values: Mapping[str, Value]
    truths: frozenset[str]
    producer: str
    opset: int
    batch: int


def read_graph(path: Path, batch: int | None = None, limits: Limits = LIMITS) -> Graph:
    """The graph of an ONNX file. Raises UserError for a damaged one, for operators that are not known, and for sizes
    that are open."""
    try:
        model = onnx.load_model_from_string(read_slim(path, limits))
    except UserError:
        raise
    except Exception:  # protobuf has errors of its own, by version
        raise UserError(f"{path}: is no ONNX file, or one that was cut or damaged") from None
    _check(path, model, limits)
    size = with_batch(path, model, batch)
    return _graph(path, inferred(path, model), size)


def _check(path: Path, model: onnx.ModelProto, limits: Limits) -> None:
    """Raises UserError for a file without a graph, of another time, and for one that grows beyond what is taken."""
    if not model.graph.node:
        raise UserError(f"{path}: holds no graph; an ONNX file has one, with nodes")
    if any(isinstance(each, bytes) for each in _words(model)):  # so protobuf gives what is no text
        raise UserError(f"{path}: is a damaged ONNX file: one of its names is no text")
    opset = max((each.version for each in model.opset_import if each.domain in OURS), default=0)
    known = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= known:
        raise UserError(
            f"{path}: is of opset {opset}, and the package onnx {onnx.__version__} knows 1 to {known}; "
            "pip install -U onnx, or export for an opset that it knows"
        )
    if model.graph.sparse_initializer:
        raise UserError(f"{path}: has sparse initializers, which are not read; export its weights dense")
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    for nodes in (model.graph.node, *(each.node for each in functions.values())):
        for node in nodes:
            said = "" if (node.domain, node.op_type, node.overload) in functions else fault(node.domain, node.op_type)
            if not said and any(each.type in GRAPHS for each in node.attribute):
                said = "has a graph of its own, which is not read"
            if said:
                raise UserError(f"{path}: node '{node.name}' ({node.op_type}) {said}")
    limits.check("ops", _written_out(path, model.graph.node, functions, {}, 0), f"{path}: the graph")


def _words(model: onnx.ModelProto) -> Iterator[object]:
    """Every name and other text of a file that is read."""
    graph = model.graph
    yield from (model.producer_name, model.producer_version)
    yield from (each.domain for each in model.opset_import)
    yield from (each.name for each in (*graph.initializer, *graph.input, *graph.output, *graph.value_info))
    for info in (*graph.input, *graph.output, *graph.value_info):
        yield from (axis.dim_param for axis in info.type.tensor_type.shape.dim)
    for function in model.functions:
        yield from (function.domain, function.name, function.overload, *function.input, *function.output)
    for nodes in (graph.node, *(each.node for each in model.functions)):
        for node in nodes:
            yield from (node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
            yield from (each.name for each in node.attribute)
            yield from (word for each in node.metadata_props for word in (each.key, each.value))


Key = tuple[str, str, str]


def _written_out(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    functions: Mapping[Key, onnx.FunctionProto],
    known: dict[Key, int],
    depth: int,
) -> int:
    """How many nodes there are with every function where it is called. Raises UserError where there is no end."""
    if depth > DEEPEST:
        raise UserError(f"{path}: its functions call each other more than {DEEPEST} deep, or in a circle")
    total = 0
    for node in nodes:
        key = (node.domain, node.op_type, node.overload)
        if key in functions and key not in known:
            known[key] = _written_out(path, functions[key].node, functions, known, depth + 1)
        total += known.get(key, 1)
    return total


def _graph(path: Path, model: onnx.ModelProto, batch: int) -> Graph:
    graph = model.graph
    values = {each.name: _value(each) for each in (*graph.value_info, *graph.input, *graph.output)}
    for tensor in graph.initializer:
        values[tensor.name] = Value(tensor.name, tuple(tensor.dims), tensor.data_type in FLOATS)
    weights = frozenset(tensor.name for tensor in graph.initializer)
    nodes = tuple(map(_node, graph.node))
    _check_order(path, nodes, weights | {each.name for each in graph.input})
    return Graph(
        nodes=nodes,
        inputs=tuple(each.name for each in graph.input if each.name not in weights),
        outputs=tuple(each.name for each in graph.output),
        weights=weights,
        values=values,
        truths=frozenset(_truths(graph)),
        producer=" ".join(part for part in (model.producer_name, model.producer_version) if part),
        opset=max(each.version for each in model.opset_import if each.domain in OURS),
        batch=batch,
    )


def _value(info: onnx.ValueInfoProto) -> Value:
    kind = info.type.tensor_type
    known = info.type.HasField("tensor_type") and kind.HasField("shape")
    sizes = [each.dim_value if each.HasField("dim_value") else None for each in kind.shape.dim]
    shape = tuple(size for size in sizes if size is not None and size >= 0)
    return Value(info.name, shape if known and len(shape) == len(sizes) else None, kind.elem_type in FLOATS)


def _node(node: onnx.NodeProto) -> Node:
    found = {each.name: getattr(each, PLAIN[each.type]) for each in node.attribute if each.type in PLAIN}
    return Node(
        name=node.name,
        operator=node.op_type,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        numbers={name: each for name, each in found.items() if isinstance(each, int | float)},
        lists={each.name: tuple(each.ints) for each in node.attribute if each.type == onnx.AttributeProto.INTS},
        words={name: each.decode(errors="replace") for name, each in found.items() if isinstance(each, bytes)},
        module=next((_module(each.value) for each in node.metadata_props if each.key == SCOPES), ""),
    )


def _module(noted: str) -> str:
    """The innermost module of a list such as ['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d'], whose last entry
    is the operator."""
    try:
        names = ast.literal_eval(noted) if len(noted) < 10_000 else []
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ""
    inner = [each for each in names[:-1] if isinstance(each, str) and each] if isinstance(names, list) else []
    return inner[-1] if inner else ""


def _check_order(path: Path, nodes: Sequence[Node], there: frozenset[str]) -> None:
    """Raises UserError for a node that reads what nothing before it has made, and for a name that is made twice."""
    made = set(there)
    for node in nodes:
        for name in node.inputs:
            if name and name not in made:
                raise UserError(f"{path}: {node.shown} reads '{name}', which nothing before it makes")
        for name in node.outputs:
            if name and name in made:
                raise UserError(f"{path}: {node.shown} makes '{name}', which is there already")
            made.add(name)


def _truths(graph: onnx.GraphProto) -> list[str]:
    """The names of constants of one element that are true: whether a dropout drops is said so."""
    tensors = [(each.name, each) for each in graph.initializer]
    tensors += [
        (node.output[0], each.t)
        for node in graph.node
        for each in node.attribute
        if node.op_type == "Constant" and each.name == "value" and node.output
    ]
    return [
        name
        for name, each in tensors
        if each.data_type == onnx.TensorProto.BOOL and (any(each.int32_data) or any(each.raw_data[:8]))
    ]
