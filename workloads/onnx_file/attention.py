"""Attention as one node (opset 23): queries by keys, softmax, and its result by values.

Keys that several heads share are multiplied once for all of them: count is batch times heads of keys, and rows are
those of every query that reads them.
"""

from workloads.errors import UserError
from workloads.onnx_file.draft import Draft
from workloads.onnx_file.facts import Facts
from workloads.onnx_file.graph import Node
from workloads.onnx_file.products import Work, data_of
from workloads.onnx_file.vector import work_of
from workloads.op import MatrixOp, Operand, Phase, Role, VectorKind

QUERIES, KEYS, VALUES, MASK, PAST_KEYS = range(5)


def attention(node: Node, layer: str, facts: Facts) -> Work:
    """Scores, their scale, mask and softmax, and the sum of values that they weigh."""
    queries, keys, values = (node.given(each) for each in (QUERIES, KEYS, VALUES))
    batch, heads, rows, width = _by_heads(node, facts, queries, "q_num_heads")
    _, shared, length, _ = _by_heads(node, facts, keys, "kv_num_heads")
    _, _, _, depth = _by_heads(node, facts, values, "kv_num_heads")
    if heads % shared:
        raise UserError(f"{facts.path}: {node.shown} has {heads} heads of queries by {shared} of keys")
    if past := node.given(PAST_KEYS):
        length += facts.shaped(node, past, 4)[2]
    count, rows = batch * shared, rows * (heads // shared)
    made, scores = node.made, count * rows * length
    yield work_of(layer, VectorKind.ELEMENTWISE, facts.elements(node, queries))
    yield work_of(layer, VectorKind.ELEMENTWISE, facts.elements(node, keys))
    learn = facts.learns(queries, made), facts.learns(keys, made)
    op = MatrixOp(layer, Phase.FF, rows, width, length, data_of(queries, facts), data_of(keys, facts), count)
    yield Draft(op, *learn)
    if node.given(MASK) or node.number("is_causal", 0):
        yield work_of(layer, VectorKind.ELEMENTWISE, scores, reads=2)
    yield work_of(layer, VectorKind.SOFTMAX, scores, reads=2)
    weights = Operand(f"{made}.scores", Role.ACTIVATION)
    op = MatrixOp(layer, Phase.FF, rows, length, depth, weights, data_of(values, facts), count)
    yield Draft(op, any(learn), facts.learns(values, made))


def _by_heads(node: Node, facts: Facts, name: str, heads: str) -> tuple[int, int, int, int]:
    """(batch, heads, length, width) of an input, which may have the heads in its last axis."""
    shape = facts.shape(node, name)
    if len(shape) == 4:
        batch, number, length, width = shape
        return batch, number, length, width
    number = node.number(heads, 0)
    if len(shape) != 3 or number < 1 or shape[2] % number:
        raise UserError(f"{facts.path}: {node.shown}: '{name}' cannot be split in {number} heads")
    return shape[0], number, shape[1], shape[2] // number
