"""Modules that run in unusual ways: shared parts, checkpoints, casts, accumulation, and weights that others pruned."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

from workloads.op import MatrixOp, Optimizer, Phase, VectorKind, VectorOp
from workloads.recording.record import Recorded, record_pass

Line = tuple[str, str, str, str]


def record(model: nn.Module, x: Tensor, passes: int = 1) -> Recorded:
    def run() -> None:
        for _ in range(passes):
            model(x).square().sum().backward()

    return record_pass(model, nn.Identity(), run, Optimizer.MOMENTUM)


def products(recorded: Recorded) -> list[Line]:
    ops = [op for op in recorded.ops if isinstance(op, MatrixOp)]
    return [(op.layer, op.phase.value, op.left.tensor, op.right.tensor) for op in ops]


def updates(recorded: Recorded) -> dict[str, int]:
    ops = [op for op in recorded.ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE]
    assert len({op.layer for op in ops}) == len(ops)
    return {op.layer: op.elements for op in ops}


class Chain(nn.Module):
    """Linear, then a block of two with ReLU between, then linear. `again` says how the block is checkpointed."""

    def __init__(self, again: bool | None) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.block = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8))
        self.last = nn.Linear(8, 4)
        self.again = again

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.again is None:
            return self.last(self.block(x))  # type: ignore[no-any-return]
        return self.last(checkpoint(self.block, x, use_reentrant=self.again))  # type: ignore[no-any-return]


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_runs_its_forward_pass_twice_and_keeps_less(reentrant: bool) -> None:
    x = torch.randn(5, 8)
    plain, again = record(Chain(None), x), record(Chain(reentrant), x)
    first, second = products(plain), products(again)
    once_more = [line for line in second if line[1] == "FF"][4:]  # behind those of the forward pass
    # the one that is not reentrant stops as soon as everything is there again: the last product is not needed
    assert [line[0] for line in once_more] == (["block.0", "block.2"] if reentrant else ["block.0"])
    assert [line[:2] for line in second[:4] + second[4 + len(once_more) :]] == [line[:2] for line in first]
    weights = {("block.2", "BP"): "block.2.weight", ("block.0", "BP"): "block.0.weight"}
    assert {line[:2]: line[3] for line in second if line[:2] in weights} == weights
    read = {line[0]: (line[2], line[3]) for line in second if line[1] == "WU"}
    assert read["block.2"] == ("block.2.input.2", "block.2.grad_output")  # made again, so it is another tensor
    assert read["block.0"] == ("block.0.input", "block.0.grad_output")
    assert updates(again) == updates(plain)
    assert plain.saved_elements - again.saved_elements == 5 * 12


def test_a_checkpoint_around_attention() -> None:
    class Mixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x @ x.mT).softmax(-1) @ x

    class Model(nn.Module):
        def __init__(self, again: bool) -> None:
            super().__init__()
            self.first, self.mix, self.again = nn.Linear(6, 6), Mixed(), again

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return checkpoint(self.mix, x, use_reentrant=False) if self.again else self.mix(x)  # type: ignore[no-any-return]

    sides = []
    for again in (False, True):
        ops = [op for op in record(Model(again), torch.randn(2, 3, 6)).ops if isinstance(op, MatrixOp)]
        sides.append([(op.rows, op.inner, op.cols, op.left.role, op.right.role) for op in ops if op.phase is Phase.BP])
    assert sides[0] == sides[1]


def test_tied_weights_have_one_update() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    model[2].weight = model[0].weight
    recorded = record(model, torch.randn(5, 8))
    assert {line[3] for line in products(recorded) if line[1] == "FF"} == {"0.weight"}
    assert [line[0] for line in products(recorded) if line[1] == "WU"] == ["2", "0"]
    assert updates(recorded) == {"0": 64, "0.bias": 8, "2": 8}


def test_a_shared_module_runs_twice_and_has_one_update() -> None:
    shared = nn.Linear(8, 8)
    recorded = record(nn.Sequential(shared, nn.ReLU(), shared), torch.randn(5, 8))
    assert [line[:2] for line in products(recorded)] == [("0", phase) for phase in ("FF", "FF", "BP", "WU", "WU")]
    assert len({line[2] for line in products(recorded) if line[1] == "FF"}) == 2
    assert updates(recorded) == {"0": 64, "0.bias": 8}


def test_products_under_autocast_know_their_weights() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8))

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                result: Tensor = self.layers(x).float()
            return result

    x = torch.randn(5, 8)
    model = Cast()
    plain = [(f"layers.{layer}", *rest) for layer, *rest in products(record(model.layers, x))]
    assert [line[:2] for line in products(record(model, x))] == [tuple(line[:2]) for line in plain]
    assert {line[3] for line in products(record(model, x)) if line[1] == "FF"} == {"layers.0.weight", "layers.2.weight"}
    assert updates(record(model, x)) == {"layers.0": 96, "layers.0.bias": 12, "layers.2": 96, "layers.2.bias": 8}


def test_accumulated_gradients_have_one_update() -> None:
    once, thrice = (record(Chain(None), torch.randn(5, 8), passes) for passes in (1, 3))
    assert len(products(thrice)) == 3 * len(products(once))
    assert updates(thrice) == updates(once)
    assert thrice.saved_elements == 3 * once.saved_elements - 2 * 5 * 8  # the input is the same


@pytest.mark.parametrize("how", ["whole", "inside", "in place"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # dynamo's own
def test_compiled_by_the_eager_back_end(how: str) -> None:
    plain = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8))
    model: nn.Module = nn.Sequential(*plain)
    if how == "whole":
        model = torch.compile(model, backend="eager")  # type: ignore[assignment]
    elif how == "inside":
        model[2] = torch.compile(model[2], backend="eager")  # type: ignore[operator]
    else:
        model.compile(backend="eager")
    x = torch.randn(5, 8)
    found = [
        (layer.replace("_orig_mod.", "").replace("._orig_mod", ""), phase)
        for layer, phase, *_ in products(record(model, x))
    ]
    assert found == [line[:2] for line in products(record(plain, x))]


@pytest.mark.parametrize("squashed", [False, True])
def test_weights_pruned_by_torch_ao_show_their_zeros(squashed: bool) -> None:
    from torch.ao.pruning import WeightNormSparsifier

    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    if squashed:
        sparsifier.squash_mask()
    recorded = record(model, torch.randn(5, 8))
    zeros = {op.layer: op.right.zeros for op in recorded.ops if isinstance(op, MatrixOp) and op.phase is Phase.FF}
    assert zeros == {"0": 0.5, "2": 0.0}
    assert [line[:2] for line in products(recorded)] == [
        ("0", "FF"), ("2", "FF"), ("2", "BP"), ("2", "WU"), ("0", "WU"),
    ]  # fmt: skip
    assert updates(recorded)["0"] == 64


def test_weights_pruned_by_torch_nn_utils_show_their_zeros() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Conv1d(5, 4, 3))
    prune.l1_unstructured(model[0], "weight", 0.25)
    prune.custom_from_mask(model[2], "weight", torch.arange(60).reshape(4, 5, 3) % 4 == 0)
    recorded = record(model, torch.randn(2, 5, 8))
    ops = [op for op in recorded.ops if isinstance(op, MatrixOp)]
    assert [(op.layer, op.phase.value) for op in ops] == [
        ("0", "FF"), ("2", "FF"), ("2", "BP"), ("2", "WU"), ("0", "WU"),
    ]  # fmt: skip
    assert {(op.layer, op.phase.value): op.right.zeros for op in ops if op.right.role == "weight"} == {
        ("0", "FF"): 0.25,
        ("2", "FF"): 0.75,
        ("2", "BP"): 0.75,
    }
    assert updates(recorded) == {"0": 64, "0.bias": 8, "2": 60, "2.bias": 4}
