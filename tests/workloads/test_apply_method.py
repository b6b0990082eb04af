"""A method put on a captured step."""

from dataclasses import replace

import pytest

from workloads.apply_method import apply_method, for_inference, with_input_gradient
from workloads.methods.adams import ADAMS
from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.methods.fields import changed, load_method
from workloads.methods.mdgf import MDGF
from workloads.methods.sdgf import SDGF
from workloads.methods.sdgp import SDGP
from workloads.methods.srigl import SRIGL
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
    sparse = apply_method(dense, BDWP, parse_patterns(["2:8"]))
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
    sparse = apply_method(load_shipped("resnet18", 4), BDWP, parse_patterns(["2:8,layer3.*=1:8,fc=4:8"]))
    forward = patterns_of(sparse, Phase.FF)
    assert (forward["fc"], forward["conv1"], forward["layer3.0.conv1"], forward["layer4.0.conv1"]) == (
        "4:8",
        "dense",
        "1:8",
        "2:8",
    )
    assert masks_of(sparse)["fc"] == {"FF": "4:8", "BP": "4:8"}


def test_attention_products_stay_dense() -> None:
    sparse = apply_method(load_shipped("vit-s", 2), BDWP, parse_patterns(["2:8"]))
    ops = [op for op in sparse.ops if isinstance(op, MatrixOp) and Role.WEIGHT not in (op.left.role, op.right.role)]
    assert ops and all(op.right.pattern == op.left.pattern == DENSE for op in ops)


def test_zeros_of_a_masked_weight_are_unknown_and_others_stay() -> None:
    dense = load_shipped("resnet18", 4)
    sparse = apply_method(dense, BDWP, parse_patterns(["2:8"]))
    for before, after in zip(dense.ops, sparse.ops, strict=True):
        if isinstance(before, MatrixOp) and isinstance(after, MatrixOp):
            assert after.left.zeros == before.left.zeros
            assert after.right.zeros == (before.right.zeros if after.right.pattern.is_dense else None)


def test_the_dense_method_takes_patterns_off_again() -> None:
    dense = load_shipped("resnet9", 4)
    sparse = apply_method(dense, BDWP, parse_patterns(["2:8"]))
    again = apply_method(sparse, DENSE_TRAINING, parse_patterns(["2:8"]))
    assert set(patterns_of(again, Phase.FF).values()) == {"dense"} and masks_of(again) == {}


def test_a_workload_trained_under_the_method_is_left_alone() -> None:
    trained = apply_method(load_shipped("resnet9", 4), BDWP, parse_patterns(["2:8"]))
    trained = replace(trained, capture=replace(trained.capture, masks="measured"))
    assert apply_method(trained, BDWP, parse_patterns(["2:8"])) is trained
    assert apply_method(trained, BDWP, parse_patterns(["2:4"])).capture.masks == "derived"


BOTH, FORWARD = {"FF": "2:4", "BP": "2:4"}, {"FF": "2:4"}
PUT_ON = {
    **dict.fromkeys(("ste", "srste", "mdgf", "sdgf"), (FORWARD, 0.5)),
    **dict.fromkeys(("bdwp", "transposable", "torch24", "torch24-magnitude"), (BOTH, None)),
    "bimask": (BOTH, 0.59375),  # 0.406 are left of random weights, 0.409 after the search
    "sdwp": ({"BP": "2:4"}, None),
}


@pytest.mark.parametrize("name", PUT_ON)
def test_methods_on_a_capture(name: str) -> None:
    """The weights that are sparse, and the zeros that BP's has from the forward mask."""
    sparse = apply_method(load_shipped("resnet18", 4), load_method(name), parse_patterns(["2:4"]))
    masks, zeros = PUT_ON[name]
    assert set(map(str, masks_of(sparse).values())) == {str(masks)}
    for op in (op for op in sparse.ops if isinstance(op, MatrixOp) and op.layer.startswith("layer")):
        assert str(op.right.pattern) == masks.get(op.phase.value, "dense") and op.left.pattern.is_dense
        if op.phase is Phase.BP:
            assert op.right.zeros == zeros
        ordered = op.right.permutation == f"{op.layer}.weight.order"
        assert ordered == (name == "bimask" and op.phase is Phase.BP)


def test_methods_without_sparse_weights_on_a_capture() -> None:
    dense = load_shipped("resnet9", 4)
    pruned = apply_method(dense, SDGP, parse_patterns(["2:4"]))
    left = {op.phase.value: str(op.left.pattern) for op in pruned.ops if isinstance(op, MatrixOp) and "res" in op.layer}
    assert left == {"FF": "dense", "BP": "2:4", "WU": "dense"}
    assert masks_of(pruned) == {} and set(patterns_of(pruned, Phase.BP).values()) == {"dense"}
    assert apply_method(dense, ADAMS, parse_patterns(["2:4"])).ops == dense.ops
    fan_in = apply_method(dense, SRIGL, parse_patterns(["fan-in 64"]))
    conv = {op.phase: op for op in fan_in.ops if isinstance(op, MatrixOp) and op.layer == "layer1.conv"}
    assert str(conv[Phase.FF].right.pattern) == "fan-in 64" and conv[Phase.BP].right.pattern.is_dense
    assert conv[Phase.BP].right.zeros == round(1 - 64 / (9 * 64), 6)


def test_a_schedule_is_over_unless_a_step_is_named() -> None:
    dense, asked = load_shipped("resnet9", 4), parse_patterns(["1:8"])
    sdgf = changed(SDGF, total_steps=40)
    shown = [patterns_of(apply_method(dense, sdgf, asked, *step), Phase.FF) for step in ((5,), (15,), ())]
    assert [patterns["layer1.conv"] for patterns in shown] == ["7:8", "4:8", "1:8"]
    assert set(patterns_of(apply_method(dense, MDGF, asked, 0), Phase.FF).values()) == {"dense"}
    soft = apply_method(dense, MDGF, asked, 0)
    assert [op.right.zeros for op in soft.ops if isinstance(op, MatrixOp)] == [
        op.right.zeros for op in dense.ops if isinstance(op, MatrixOp)
    ]


def test_inference_is_the_forward_pass() -> None:
    workload = for_inference(load_shipped("resnet18", 1))
    assert workload.mode is Mode.INFERENCE and workload.saved_elements == 0
    assert {op.phase for op in workload.ops} == {Phase.FF}
    assert workload.macs == 1_814_073_344
    assert not any(isinstance(op, VectorOp) and op.kind is VectorKind.LOSS for op in workload.ops)


def test_inference_leaves_out_what_only_training_needs() -> None:
    training = load_shipped("bert-base", 1, 384)
    inference = for_inference(training)
    assert any(op.layer == "head.decoder" for op in training.ops)
    assert not any(op.layer.startswith("head.") for op in inference.ops)
    encoder = 12 * (12 * 768 * 768 * 384 + 2 * 384 * 384 * 768)
    assert inference.macs == encoder


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
