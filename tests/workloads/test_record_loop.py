"""One step of a user's own loop as a workload: products and updates that ran, and nothing else that a loop does."""

import pytest
import torch
from torch import Tensor, nn

from tests.workloads.small import Small
from workloads import record, sparsify
from workloads.errors import UserError
from workloads.methods.bdwp import BDWP
from workloads.op import MatrixOp, Op, Phase, VectorKind, VectorOp
from workloads.pattern import parse_patterns
from workloads.training.loop import Recipe, Training
from workloads.training.updates import Momentum
from workloads.workload import Mode

X, Y = torch.randn(8, 1, 8, 8), torch.arange(8)


def shapes(ops: tuple[Op, ...]) -> list[tuple[object, ...]]:
    found = [op for op in ops if isinstance(op, MatrixOp)]
    return [(op.layer, op.phase, op.rows, op.inner, op.cols, op.left.pattern, op.right.pattern) for op in found]


def test_it_is_the_step_that_our_own_training_records() -> None:
    torch.manual_seed(3)
    run = Training(Small(), Recipe(BDWP, parse_patterns(["2:4"]), ("stem", "head"), Momentum(0.1, 0.0)))
    expected, _ = run.record_step((X, Y))
    torch.manual_seed(3)
    model = Small()
    sparsify(model, "bdwp", "2:4", exclude=["stem", "head"])
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    with record(model) as step:
        images = (X - X.mean()) / X.std() * 1.0  # the making of a batch
        loss = nn.functional.cross_entropy(model(X), Y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(model)
        with torch.no_grad():
            right = (images.sum((1, 2, 3)).argmax(-1) == Y).sum()  # a metric
    found = step.workload
    assert right >= 0 and shapes(found.ops) == shapes(expected.ops)
    assert found.saved_elements == expected.saved_elements
    updates, wanted = (
        [op for op in ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE]
        for ops in (found.ops, expected.ops)
    )
    assert updates == wanted
    assert {op.kind for op in found.ops if isinstance(op, VectorOp) and op.layer == "loss"} == {VectorKind.LOSS}
    assert (found.method, found.pattern, found.batch, found.mode) == ("bdwp", "2:4", 8, Mode.TRAINING)
    assert found.kept_dense == ("stem", "head")
    assert found.capture.notes == ("optimizer SGD, counted as momentum",)


def test_accumulation_and_two_steps_are_said() -> None:
    model = Small()
    optimizer = torch.optim.AdamW(model.parameters())
    with record(model, name="mine") as step:
        for part in (slice(0, 4), slice(4, 8)):
            nn.functional.cross_entropy(model(X[part]), Y[part]).backward()
        optimizer.step()
    found = step.workload
    forward = [op for op in found.ops if isinstance(op, MatrixOp) and op.phase is Phase.FF]
    assert (found.model, found.batch, len(forward)) == ("mine", 8, 10) and found.method == "dense"
    assert {op.optimizer for op in found.ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE} == {"adamw"}
    with record(model) as step:
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
    assert step.workload.capture.notes[-1].startswith("2 steps of an optimizer, taken as one")
    assert len(repr(step)) < 200 and len(repr(step.workload)) < 200


def test_without_gradients_it_is_inference_and_without_an_optimizer_there_are_no_updates() -> None:
    model = Small()
    with record(model) as step, torch.no_grad():
        model(X)
    assert step.workload.mode is Mode.INFERENCE and step.workload.saved_elements == 0
    with record(model) as step:
        nn.functional.cross_entropy(model(X), Y).backward()
    assert "no optimizer stepped inside the block, so there are no updates" in step.workload.capture.notes
    assert {op.phase for op in step.workload.ops} == {Phase.FF, Phase.BP, Phase.WU}


def test_a_step_that_overflowed_has_no_update() -> None:
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu")
    with record(model) as step:
        scaler.scale(model(X).square().mean() * torch.inf).backward()
        scaler.step(optimizer)
        scaler.update()
    assert not [op for op in step.workload.ops if op.phase is Phase.UP]


class Breaks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.linalg.inv(self.layer(x))
        return result


def test_what_cannot_be_recorded_is_one_sentence() -> None:
    model = Breaks()
    with pytest.raises(UserError, match="record: the model did not run inside the block"), record(model):
        pass
    with pytest.raises(UserError, match=r"layer 'model': runs 'aten::linalg_inv.*'"), record(model) as step:
        model(torch.eye(8))
    with pytest.raises(UserError, match=r"step\.workload: is there when the block of record is left"):
        _ = step.workload
    with pytest.raises(UserError, match="record: wanted is a torch module, not of type 'int'"), record(3):  # type: ignore[arg-type]
        pass
