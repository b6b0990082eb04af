"""A step from a forward pass: the products of the backward pass, the updates, and what is kept for it."""

from collections.abc import Iterator, Sequence

from workloads.onnx_file.draft import Draft, backward
from workloads.onnx_file.facts import Facts
from workloads.onnx_file.graph import Node
from workloads.onnx_file.operators import PRODUCTS, VECTOR
from workloads.onnx_file.recurrent import GATES, kept
from workloads.op import Op, Optimizer, VectorKind, VectorOp
from workloads.stated import update_of

# Kinds of vector work whose backward pass needs what came in; sums and pooling by means need none of it.
NEEDING = (VectorKind.NORMALISATION, VectorKind.ACTIVATION, VectorKind.SOFTMAX, VectorKind.LOSS)
ALSO = frozenset(["Mul", "Div", "Pow", "Sqrt", "Erf", "Exp", "Log", "MaxPool"])


def backward_ops(drafts: Sequence[Draft]) -> Iterator[Op]:
    """The products of the backward pass, from the last layer to the first."""
    for draft in reversed(drafts):
        yield from backward(draft)


def updates(nodes: Sequence[tuple[Node, str]], facts: Facts, optimizer: Optimizer) -> list[VectorOp]:
    """An update for every layer, of all parameters that its weight is made from, and for those of other nodes.

    A parameter that several nodes read is the first one's that multiplies by it; the biases of a layer are one more.
    """
    taken, sizes = set[str](), dict[str, int]()
    for node, layer in nodes:
        if node.operator in PRODUCTS:
            weights = node.inputs[1:3] if node.operator in GATES else node.inputs[:2]
            _claim([name for name in weights if facts.is_weight(name)], layer, facts, taken, sizes)
    for node, layer in nodes:
        shown = f"{layer}.bias" if node.operator in PRODUCTS else layer
        _claim([name for name in node.inputs if name in facts.parameters], shown, facts, taken, sizes)
    return [update_of(layer, size, optimizer) for layer, size in sizes.items()]


def _claim(names: list[str], layer: str, facts: Facts, taken: set[str], sizes: dict[str, int]) -> None:
    for each in (source for name in names for source in facts.sources(name)):
        if each not in taken:
            taken.add(each)
            sizes[layer] = sizes.get(layer, 0) + facts.parameters[each]


def saved_elements(nodes: Sequence[Node], facts: Facts) -> int:
    """Elements kept for the backward pass: what came into a product, a norm, an activation, once each.

    A file does not say what training would keep; this is what it needs at least where nothing is made again.
    """
    seen, total = dict[str, int](), 0
    for node in nodes:
        if node.made not in facts.trained:
            continue
        if node.operator in GATES:
            total += kept(node, facts)
        needed = node.operator in PRODUCTS or node.operator in ALSO or VECTOR.get(node.operator) in NEEDING
        for name in node.inputs if needed else ():
            if name in facts.values and name not in facts.fixed and facts.values[name].floating:
                seen[facts.root(name)] = facts.elements(node, name)
    return total + sum(seen.values())
