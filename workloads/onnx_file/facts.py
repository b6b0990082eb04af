"""What the values of a graph are made from: of data or of constants, with weights that train in them or not.

A file does not tell a parameter from a constant. Every floating-point initializer is taken for a parameter that has an
axis and is no setting, such as the statistics of a batch norm or the state before a sequence; the values of `Constant`
nodes are constants. What is made of parameters and constants alone is a weight.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from workloads.errors import UserError
from workloads.onnx_file.graph import Graph, Node, Value
from workloads.onnx_file.operators import RANDOM, SETTINGS, SIZES

# What gives the same data again, as the recorder names it.
VIEWS = frozenset(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Cast", "CastLike"])


@dataclass(frozen=True)
class Facts:
    """nodes: those that some output depends on. fixed: values that depend on no data. trained: those that depend on a
    parameter. wanted: those whose gradient an output gives. parents: what fixed values are made from. roots: of
    reshaped and copied values, what they are of."""

    path: Path
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    fixed: frozenset[str]
    trained: frozenset[str]
    wanted: frozenset[str]
    parameters: Mapping[str, int]
    parents: Mapping[str, tuple[str, ...]]
    roots: Mapping[str, str]
    truths: frozenset[str]

    def shape(self, node: Node, name: str) -> tuple[int, ...]:
        """The sizes of a value that a node reads or makes. Raises UserError where they cannot be known, or are 0."""
        value = self.values.get(name)
        if value is None or value.shape is None:
            raise UserError(
                f"{self.path}: {node.shown}: how large '{name}' is is known only when it runs; export the model with "
                "fixed sizes"
            )
        if not all(value.shape):
            raise UserError(f"{self.path}: {node.shown}: '{name}' has an axis of size 0, so there is nothing to do")
        return value.shape

    def shaped(self, node: Node, name: str, axes: int) -> tuple[int, ...]:
        """The sizes of a value that has so many axes. Raises UserError where it has others."""
        shape = self.shape(node, name)
        if len(shape) != axes:
            raise UserError(f"{self.path}: {node.shown}: '{name}' has {len(shape)} axes, and {axes} are wanted")
        return shape

    def elements(self, node: Node, name: str) -> int:
        return prod(self.shape(node, name))

    def is_weight(self, name: str) -> bool:
        """Whether a value is made of parameters alone."""
        return name in self.fixed and name in self.trained

    def root(self, name: str) -> str:
        """What a value is a view or a copy of; of a weight the largest parameter that it is made from."""
        if self.is_weight(name):
            return max(self.sources(name), key=lambda each: self.parameters[each])
        return self.roots.get(name, name)

    def sources(self, name: str) -> list[str]:
        """The parameters that a fixed value is made from, as they are met."""
        found, seen, left = list[str](), {name}, [name]
        while left:
            each = left.pop()
            if each in self.parameters:
                found.append(each)
            more = [parent for parent in self.parents.get(each, ()) if parent not in seen]
            seen.update(more)
            left.extend(reversed(more))
        return found

    def learns(self, name: str, made: str) -> bool:
        """Whether what makes `made` of a value has to give the value's gradient."""
        return name in self.trained and made in self.wanted


def facts_of(path: Path, graph: Graph) -> Facts:
    """What is known of a graph's values. Raises UserError for a size that cannot be known before it runs."""
    nodes = _needed(graph)
    no_parameters = {
        node.given(index) for node in graph.nodes for index in SETTINGS.get(node.operator, ()) if node.given(index)
    }
    values = graph.values
    read = {name for node in nodes for name in node.inputs}
    parameters = {
        name: prod(values[name].shape or ())
        for name in sorted(graph.weights & read)
        if values[name].floating and values[name].shape and name not in no_parameters
    }
    fixed, trained = set(graph.weights), set(parameters)
    parents, roots = dict[str, tuple[str, ...]](), dict[str, str]()
    for node in nodes:
        given = [name for name in node.inputs if name]
        constant = node.operator in SIZES or (all(name in fixed for name in given) and node.operator not in RANDOM)
        for name in filter(None, node.outputs):
            if constant:
                fixed.add(name)
                parents[name] = () if node.operator in SIZES else tuple(given)
            if node.operator not in SIZES and name in values and values[name].floating:
                trained.update([name] if any(each in trained for each in given) else [])
            if node.operator in VIEWS and not constant:
                roots[name] = roots.get(node.inputs[0], node.inputs[0])
    wanted = _wanted(graph, nodes)
    found = Facts(
        path=path,
        nodes=nodes,
        values=values,
        fixed=frozenset(fixed),
        trained=frozenset(trained),
        wanted=wanted,
        parameters=parameters,
        parents=parents,
        roots=roots,
        truths=graph.truths,
    )
    for node in nodes:
        for name in node.outputs:
            if name and name not in fixed:
                found.shape(node, name)
    return found


def _needed(graph: Graph) -> tuple[Node, ...]:
    """The nodes that an output depends on: others are not run."""
    wanted, found = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(filter(None, node.outputs)):
            wanted.update(node.inputs)
            found.append(node)
    return tuple(reversed(found))


def _wanted(graph: Graph, nodes: tuple[Node, ...]) -> frozenset[str]:
    """Values whose gradient some output gives: every floating output is taken to be in the loss."""

    def floating(names: tuple[str, ...]) -> Iterator[str]:
        return (name for name in names if name in graph.values and graph.values[name].floating)

    found = set(floating(graph.outputs))
    for node in reversed(nodes):
        if node.operator not in SIZES and not found.isdisjoint(floating(node.outputs)):
            found.update(floating(node.inputs))
    return frozenset(found)
