"""Vector work of a graph's nodes, in elements, as `recording.traffic` counts that of torch's operators.

Nothing is fused or kept on chip. An axis that is broadcast counts once, a scalar not at all. Normalisation and softmax
read their input twice. A gather reads what it writes. Work on constants alone is none: it is done once.
"""

from math import prod

from workloads.onnx_file.facts import Facts
from workloads.onnx_file.graph import Node
from workloads.onnx_file.operators import VECTOR
from workloads.op import Phase, VectorKind, VectorOp

SMALLEST = 2  # a scalar is no vector work
TWO_PASSES = (VectorKind.NORMALISATION, VectorKind.SOFTMAX)
MEANS = frozenset(["ReduceMean", "ReduceMax"])


def is_work(node: Node, facts: Facts) -> bool:
    """False for what is done once, for what touches scalars alone, and for a dropout that drops nothing."""
    if all(name in facts.fixed for name in node.outputs if name):
        return False
    if node.operator == "Dropout" and not _drops(node, facts):
        return False
    return max(_sizes(node, facts), default=0) >= SMALLEST


def _drops(node: Node, facts: Facts) -> bool:
    training = node.given(2)
    return bool(training) and (training in facts.truths or training not in facts.fixed)


def vector_op(node: Node, layer: str, facts: Facts) -> VectorOp:
    """The vector op of one node."""
    kind = _kind(node, facts)
    made = facts.elements(node, node.made)
    given = [size for size in _given(node, facts) if size >= SMALLEST]
    if kind in (VectorKind.EMBEDDING, VectorKind.GATHER) and node.operator.startswith("Gather"):
        return VectorOp(layer, Phase.FF, kind, made, made, made)
    if kind in TWO_PASSES or node.operator == "LogSoftmax":
        given = given[:1] * 2
    return VectorOp(layer, Phase.FF, kind, max(_sizes(node, facts)), sum(given), made)


def bias_op(node: Node, layer: str, facts: Facts) -> VectorOp:
    """Adding the bias to a product's result."""
    return work_of(layer, VectorKind.ELEMENTWISE, facts.elements(node, node.made))


def work_of(layer: str, kind: VectorKind, size: int, reads: int = 1) -> VectorOp:
    """Work on so many elements, each read so many times and written once."""
    return VectorOp(layer, Phase.FF, kind, size, reads * size, size)


def _kind(node: Node, facts: Facts) -> VectorKind:
    if node.operator == "Gather" and facts.is_weight(node.given(0)):
        return VectorKind.EMBEDDING
    if node.operator in MEANS and len(facts.shape(node, node.given(0))) == 4:
        return VectorKind.POOLING
    return VECTOR.get(node.operator, VectorKind.ELEMENTWISE)


def _given(node: Node, facts: Facts) -> list[int]:
    """Elements of the inputs that can be known; those that say sizes and axes may not."""
    values = (facts.values.get(name) for name in node.inputs if name)
    return [prod(value.shape) for value in values if value is not None and value.shape is not None]


def _sizes(node: Node, facts: Facts) -> list[int]:
    return [*_given(node, facts), facts.elements(node, node.made)]
