"""Recurrent layers: one product with all inputs, and one a step with the state, as torch runs them.

The state before the first step needs no gradient unless it is learned, so that step has no BP; it is multiplied all the
same, also where the file leaves it out and it is zero. Both directions, and both weights, are one layer.
"""

from math import prod

from workloads.errors import UserError
from workloads.onnx_file.draft import Draft
from workloads.onnx_file.facts import Facts
from workloads.onnx_file.graph import Node
from workloads.onnx_file.products import Work, data_of, factor
from workloads.onnx_file.vector import work_of
from workloads.op import MatrixOp, Operand, Phase, Role, VectorKind

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# Passes over one step's state beside the gates' own: sums and products of the cell, and how often each is read.
CELL = {"LSTM": 4, "GRU": 5, "RNN": 0}


def recurrent(node: Node, layer: str, facts: Facts) -> Work:
    """The products of every direction of a layer."""
    data, inputs, states = node.given(0), node.given(1), node.given(2)
    steps, batch, width = facts.shaped(node, data, 3)
    if node.number("layout", 0):
        steps, batch = batch, steps
    directions, gated, _ = facts.shaped(node, inputs, 3)
    hidden, gates = facts.shaped(node, states, 3)[2], GATES[node.operator]
    if gated != gates * hidden:
        raise UserError(f"{facts.path}: {node.shown} has {gated} gate outputs where {gates} gates have {hidden} each")
    made = node.made
    wanted = any(each in facts.wanted for each in node.outputs if each)
    learns = [wanted and each in facts.trained for each in (data, inputs, states)]
    started = wanted and node.given(5) in facts.trained
    split = node.operator == "GRU" and not node.number("linear_before_reset", 0)
    widths = (2 * hidden, hidden) if split else (gated,)  # the last gate multiplies what the others let through
    for direction in range(directions):
        op = MatrixOp(layer, Phase.FF, steps * batch, width, gated, data_of(data, facts), factor(inputs, facts))
        yield Draft(op, learns[0], learns[1])
        yield work_of(layer, VectorKind.ELEMENTWISE, steps * batch * gated)
        for step in range(steps):
            state = Operand(f"{made}.{direction}.{step}", Role.ACTIVATION)
            for cols in widths:
                op = MatrixOp(layer, Phase.FF, batch, hidden, cols, state, factor(states, facts))
                yield Draft(op, started if step == 0 else wanted, learns[2])
            yield work_of(layer, VectorKind.ELEMENTWISE, batch * gated, reads=2)
            yield work_of(layer, VectorKind.ACTIVATION, batch * gated)
            if CELL[node.operator]:
                yield work_of(layer, VectorKind.ELEMENTWISE, CELL[node.operator] * batch * hidden, reads=2)


def kept(node: Node, facts: Facts) -> int:
    """Elements that the backward pass needs of every step: its gates and its states."""
    directions, gated, hidden = facts.shaped(node, node.given(2), 3)
    steps = prod(facts.shape(node, node.given(0))[:2])
    return directions * steps * (gated + 2 * hidden)
