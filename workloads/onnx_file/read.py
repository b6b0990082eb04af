"""A workload from an ONNX file: what it multiplies forward, and for training what follows from that."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from workloads.ends import first_and_last
from workloads.errors import UserError
from workloads.files.limits import LIMITS, Limits
from workloads.onnx_file.attention import attention
from workloads.onnx_file.convolutions import convolution
from workloads.onnx_file.derive import backward_ops, saved_elements, updates
from workloads.onnx_file.draft import Draft
from workloads.onnx_file.facts import Facts, facts_of
from workloads.onnx_file.graph import Graph, Node, read_graph
from workloads.onnx_file.names import layer_names
from workloads.onnx_file.operators import VECTOR
from workloads.onnx_file.products import Work, einsum, gemm, matmul
from workloads.onnx_file.recurrent import GATES, recurrent
from workloads.onnx_file.vector import is_work, vector_op
from workloads.op import Op, Optimizer, VectorKind
from workloads.workload import Capture, Mode, Workload

Rule = Callable[[Node, str, Facts], Work]
RULES: dict[str, Rule] = {
    "Conv": convolution,
    "ConvTranspose": convolution,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "Attention": attention,
    **dict.fromkeys(GATES, recurrent),
}
DERIVED = "derived from the forward pass of an ONNX file; vector work of the backward pass and the loss are not in it"
STATED = "sizes of an ONNX file"
LENGTHS = ("every sequence is as long as the longest",)
FOLDED = "it has no layer that normalises, which an export for inference may have folded into products"


def from_onnx(
    path: Path,
    batch: int | None = None,
    mode: Mode = Mode.TRAINING,
    optimizer: Optimizer = Optimizer.MOMENTUM,
    limits: Limits = LIMITS,
) -> Workload:
    """The step of an ONNX file. Raises UserError, with the file and the node, for whatever cannot be read."""
    graph = read_graph(path, batch, limits)
    facts = facts_of(path, graph)
    named = list(zip(facts.nodes, layer_names(path, facts.nodes), strict=True))
    found = list(islice(_forward(named, facts), limits.ops + 1))
    limits.check("ops", len(found), f"{path}: the step")
    drafts = [each for each in found if isinstance(each, Draft)]
    if not drafts:
        raise UserError(f"{path}: multiplies nothing, so there is nothing to simulate")
    ops: list[Op] = [each.op if isinstance(each, Draft) else each for each in found]
    training = mode is Mode.TRAINING
    if training:
        ops += islice(backward_ops(drafts), limits.ops)
        if len(ops) == len(found):
            raise UserError(
                f"{path}: no output depends on a weight by floating-point numbers, so there is nothing to train; "
                "--mode inference takes its forward pass"
            )
        ops += updates(named, facts, optimizer)
    limits.check("ops", len(ops), f"{path}: the step")
    return Workload(
        model=path.stem,
        method="dense",
        pattern="dense",
        batch=graph.batch,
        sequence=1,
        mode=mode,
        ops=tuple(ops),
        parameters=sum(facts.parameters.values()),
        saved_elements=saved_elements(facts.nodes, facts) if training else 0,
        kept_dense=first_and_last(ops),
        capture=_capture(path, graph, facts, training),
    )


def _forward(nodes: list[tuple[Node, str]], facts: Facts) -> Work:
    """The products and the vector work of the forward pass, in the order of the graph."""
    for node, layer in nodes:
        rule = RULES.get(node.operator)
        if rule is not None and not _is_done_once(node, facts):
            for each in rule(node, layer, facts):
                yield _checked(node, each, facts) if isinstance(each, Draft) else each
        elif rule is None and node.operator in VECTOR and is_work(node, facts):
            yield vector_op(node, layer, facts)


def _is_done_once(node: Node, facts: Facts) -> bool:
    """Whether a product is of constants that no training changes."""
    made = [name for name in node.outputs if name]
    return all(name in facts.fixed and name not in facts.trained for name in made)


def _checked(node: Node, draft: Draft, facts: Facts) -> Draft:
    if wrong := draft.op.mismatch():
        raise UserError(f"{facts.path}: {node.shown}: {wrong}")
    return draft


def _capture(path: Path, graph: Graph, facts: Facts, training: bool) -> Capture:
    """Where the workload comes from, and what is not in it."""
    said = [DERIVED if training else STATED]
    if training and not any(VECTOR.get(node.operator) is VectorKind.NORMALISATION for node in facts.nodes):
        said.append(FOLDED)
    lengths = any(node.operator in GATES and node.given(4) for node in facts.nodes)
    made_by = f", made by {graph.producer}" if graph.producer else ""
    return Capture(
        source=f"ONNX file {path.name}{made_by}",
        shapes="; ".join(said),
        versions={"opset": str(graph.opset)},
        assumed=LENGTHS if lengths else (),
    )
