"""A method put on a captured step."""

from dataclasses import replace

import pytest

from workloads.apply_method import apply_method, for_inference, with_input_gradient
from workloads.methods.bdwp import Bdwp
from workloads.methods.dense import Dense
from workloads.op import MatrixOp, Phase, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, parse_pattern, parse_patterns
from workloads.shipped import load_shipped
from workloads.workload import Mode, Workload


def patterns_of(workload: Workload, phase: Phase) -> dict[str, str]:
    return {op.layer: str(op.right.pattern) for op in workload.ops if isinstance(op, MatrixOp) and op.phase is phase}


def masks_of(workload: Workload) -> dict[str, dict[str, str]]:
    updates = (op for op in workload.ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE)
    return {op.layer: {phase.value: str(pattern) for phase, pattern in op.masks} for op in updates if op.masks}


def test_bdwp_makes_weights_sparse_in_ff_and_bp_and_nothing_else() -> None:
    dense = load_shipped("resnet18", 4)
    sparse = apply_method(dense, Bdwp(), parse_patterns(["2:8"]))
    assert (sparse.method, sparse.pattern, sparse.capture.masks) == ("bdwp", "2:8", "derived")
    forward, backward = patterns_of(sparse, Phase.FF), patterns_of(sparse, Phase.BP)
    assert {layer for layer, pattern in forward.items() if pattern == "dense"} == {"conv1", "fc"}
    assert {layer for layer, pattern in backward.items() if pattern == "dense"} == {"fc"}
    assert set(patterns_of(sparse, Phase.WU).values()) == {"dense"}
    assert masks_of(sparse) == {layer: {"FF": "2:8", "BP": "2:8"} for layer in forward if layer not in ("conv1", "fc")}
    assert sparse.macs == dense.macs
    lefts = {str(op.left.pattern) for op in sparse.ops if isinstance(op, MatrixOp)}
    assert lefts == {"dense"}


def test_globs_reach_layers_kept_dense() -> None:
    sparse = apply_method(load_shipped("resnet18", 4), Bdwp(), parse_patterns(["2:8,layer3.*=1:8,fc=4:8"]))
    forward = patterns_of(sparse, Phase.FF)
    assert (forward["fc"], forward["conv1"], forward["layer3.0.conv1"], forward["layer4.0.conv1"]) == (
        "4:8",
        "dense",
        "1:8",
        "2:8",
    )
    assert masks_of(sparse)["fc"] == {"FF": "4:8", "BP": "4:8"}


def test_attention_products_stay_dense() -> None:
    sparse = apply_method(load_shipped("vit-s", 2), Bdwp(), parse_patterns(["2:8"]))
    ops = [op for op in sparse.ops if isinstance(op, MatrixOp) and Role.WEIGHT not in (op.left.role, op.right.role)]
    assert ops and all(op.right.pattern == op.left.pattern == DENSE for op in ops)


def test_zeros_of_a_masked_weight_are_unknown_and_others_stay() -> None:
    dense = load_shipped("resnet18", 4)
    sparse = apply_method(dense, Bdwp(), parse_patterns(["2:8"]))
    for before, after in zip(dense.ops, sparse.ops, strict=True):
        if isinstance(before, MatrixOp) and isinstance(after, MatrixOp):
            assert after.left.zeros == before.left.zeros
            assert after.right.zeros == (before.right.zeros if after.right.pattern.is_dense else None)


def test_the_dense_method_takes_patterns_off_again() -> None:
    dense = load_shipped("resnet9", 4)
    sparse = apply_method(dense, Bdwp(), parse_patterns(["2:8"]))
    again = apply_method(sparse, Dense(), parse_patterns(["2:8"]))
    assert set(patterns_of(again, Phase.FF).values()) == {"dense"} and masks_of(again) == {}


def test_a_workload_trained_under_the_method_is_left_alone() -> None:
    trained = apply_method(load_shipped("resnet9", 4), Bdwp(), parse_patterns(["2:8"]))
    trained = replace(trained, capture=replace(trained.capture, masks="measured"))
    assert apply_method(trained, Bdwp(), parse_patterns(["2:8"])) is trained
    assert apply_method(trained, Bdwp(), parse_patterns(["2:4"])).capture.masks == "derived"


def test_inference_is_the_forward_pass() -> None:
    workload = for_inference(load_shipped("resnet18", 1))
    assert workload.mode is Mode.INFERENCE and workload.saved_elements == 0
    assert {op.phase for op in workload.ops} == {Phase.FF}
    assert workload.macs == 1_814_073_344


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "conv1"), ("vit-s", "patch_embed")])
def test_the_gradient_of_the_input_can_be_added(name: str, layer: str) -> None:
    before = load_shipped(name, 2)
    after = with_input_gradient(before)
    added = [op for op in after.ops if op not in before.ops]
    assert len(added) == 1 and isinstance(added[0], MatrixOp)
    op = added[0]
    forward = next(each for each in before.ops if isinstance(each, MatrixOp) and each.layer == layer)
    assert (op.layer, op.phase, op.macs) == (layer, Phase.BP, forward.macs)
    assert (op.left.role, op.right.role, op.right.tensor) == (Role.GRADIENT, Role.WEIGHT, forward.right.tensor)
    position = after.ops.index(op)
    following = after.ops[position + 1]
    assert (following.layer, following.phase) == (layer, Phase.WU)
    assert with_input_gradient(after) == after


def test_language_models_lack_no_gradient() -> None:
    workload = load_shipped("bert-base", 2)
    assert with_input_gradient(workload) == workload
    assert parse_pattern("2:8") not in {op.right.pattern for op in workload.ops if isinstance(op, MatrixOp)}
