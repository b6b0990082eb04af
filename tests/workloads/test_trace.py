"""A real step of a real run as a workload."""

import pytest
import torch

from workloads.apply_method import apply_method
from workloads.methods.bdwp import BDWP
from workloads.methods.dense import DENSE_TRAINING
from workloads.models.resnet import resnet9
from workloads.op import MatrixOp, Optimizer, VectorOp
from workloads.pattern import parse_patterns
from workloads.recording import capture
from workloads.shipped import load_shipped
from workloads.training.data import batches
from workloads.training.loop import Recipe, Training, trace_step
from workloads.training.updates import update_for
from workloads.workload import Workload


def traced(pattern: str, mixed: bool = False) -> Workload:
    torch.manual_seed(3)
    method = DENSE_TRAINING if pattern == "dense" else BDWP
    update = update_for(Optimizer.MOMENTUM, 0.01, 0.0)
    recipe = Recipe(method, parse_patterns([pattern]), resnet9.kept_dense, update, mixed)
    training = Training(resnet9.build(), recipe)
    return trace_step(resnet9, training, next(batches(resnet9, 2)))


def test_a_traced_step_says_what_was_trained() -> None:
    workload = traced("2:8")
    assert (workload.method, workload.pattern, workload.batch) == ("bdwp", "2:8", 2)
    assert workload.capture.masks == "measured"
    assert apply_method(workload, BDWP, parse_patterns(["2:8"])) is workload
    zeros = {op.right.zeros for op in workload.ops if isinstance(op, MatrixOp) and not op.right.pattern.is_dense}
    assert zeros == {0.75}


def test_a_traced_step_has_the_ops_of_the_capture_with_the_method_put_on() -> None:
    real, put_on = traced("2:8"), apply_method(load_shipped("resnet9", 2), BDWP, parse_patterns(["2:8"]))
    for one, other in zip(real.ops, put_on.ops, strict=True):
        assert (one.layer, one.phase) == (other.layer, other.phase)
        if isinstance(one, MatrixOp) and isinstance(other, MatrixOp):
            sides = [(op.left.tensor, op.right.tensor, op.left.pattern, op.right.pattern) for op in (one, other)]
            assert sides[0] == sides[1]
            assert (one.rows, one.inner, one.cols, one.geometry) == (
                other.rows,
                other.inner,
                other.cols,
                other.geometry,
            )
        if isinstance(one, VectorOp):
            assert one == other


@pytest.mark.parametrize("mixed", [False, True])
def test_layers_of_a_method_keep_what_plain_ones_keep(mixed: bool) -> None:
    assert traced("2:8", mixed).saved_elements == load_shipped("resnet9", 2).saved_elements


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the models to capture, or give --all and no names"),
        (["resnet9", "--all"], "name the models to capture, or give --all and no names"),
        (["resnet9", "--out", "nowhere"], "--out: 'nowhere' is not a folder"),
        (["resnet"], "unknown model 'resnet'; did you mean 'resnet9'?"),
    ],
)
def test_mistakes_in_the_capture_command(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture.main(arguments) == 2
    assert capsys.readouterr().err.startswith(message)
