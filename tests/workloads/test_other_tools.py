"""Modules that other tools made sparse or quantised: recorded where plain tensors are multiplied, refused elsewhere.

torch's own tools are in test_odd_modules.py. STen (0.0.4) asks for notebooks and a formatter, so a stand-in takes its
place that answers torch's functions with a dense tensor, as its wrapper does.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

from tests.workloads.test_odd_modules import products, record, updates
from workloads.errors import UserError
from workloads.op import MatrixOp, Role
from workloads.recording.record import Recorded

PLAIN = [("0", "FF"), ("2", "FF"), ("4", "FF"), ("4", "BP"), ("4", "WU"), ("2", "BP"), ("2", "WU"), ("0", "WU")]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """torchao logs that its CUDA libraries cannot be loaded."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64, bias=False), nn.ReLU(), nn.Linear(64, 32))


def weight_zeros(recorded: Recorded) -> dict[tuple[str, str], float | None]:
    ops = [op for op in recorded.ops if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT]
    return {(op.layer, op.phase.value): op.right.zeros for op in ops}


def wanda(squash: bool) -> nn.Module:
    from torchao.sparsity import WandaSparsifier

    model = network()
    sparsifier = WandaSparsifier(sparsity_level=0.5, semi_structured_block_size=4)
    sparsifier.prepare(model, [{"tensor_fqn": "2.weight"}])
    model(torch.randn(32, 64))
    sparsifier.step()
    if squash:
        sparsifier.squash_mask()
    return model


def fake_sparsity() -> nn.Module:
    from torchao.sparsity import apply_fake_sparsity

    model = network()
    apply_fake_sparsity(model[2:3])
    return model


def supermask() -> nn.Module:
    from torchao.sparsity import SupermaskLinear

    model = network()
    model[2] = SupermaskLinear.from_linear(model[2], sparsity_level=0.5, blocksize=4)
    return model


@pytest.mark.filterwarnings("ignore:WandaSparsifier", "ignore:torch.ao.quantization is deprecated")
@pytest.mark.parametrize("build", [lambda: wanda(False), lambda: wanda(True), fake_sparsity, supermask])
def test_torchao_swaps_that_multiply_by_a_mask_show_their_zeros(build: Callable[[], nn.Module]) -> None:
    recorded = record(build(), torch.randn(4, 64))
    assert sorted(line[:2] for line in products(recorded)) == sorted(PLAIN)
    zeros = weight_zeros(recorded)
    assert zeros[("2", "FF")] == zeros[("2", "BP")] == 0.5
    assert {zeros[(layer, "FF")] for layer in ("0", "4")} == {0.0}
    assert updates(recorded)["2"] == 4096


def test_weights_that_torchao_rounds_in_training_are_still_weights() -> None:
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerAxis, quantize_
    from torchao.quantization.qat import QATConfig

    model = network()
    config = Int8DynamicActivationIntxWeightConfig(weight_granularity=PerAxis(0))
    quantize_(model, QATConfig(config, step="prepare"), lambda _, name: name == "2")
    recorded = record(model, torch.randn(4, 64))
    assert sorted(line[:2] for line in products(recorded)) == sorted(PLAIN)
    assert {line[3] for line in products(recorded) if line[:2] == ("2", "FF")} == {"2.weight"}


def semi_sparse() -> nn.Module:
    from torchao.sparsity.training import SemiSparseLinear, swap_linear_with_semi_sparse_linear

    model = network()
    swap_linear_with_semi_sparse_linear(model, {"2": SemiSparseLinear})
    return model


def block_sparse() -> nn.Module:
    from torchao.sparsity import block_sparse_weight, sparsify_

    model = network()
    with torch.no_grad():
        model[2].weight[:32] = 0
    sparsify_(model, block_sparse_weight(blocksize=16), lambda _, name: name == "2")
    return model


def quantised() -> nn.Module:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = network()
    quantize_(model, Int8WeightOnlyConfig(), lambda _, name: name == "2")
    return model


@final
class Wrapped(nn.Parameter):
    """Stores something else and answers with a dense tensor, as STen's wrapper of sparse formats does."""

    def __new__(cls, dense: Tensor) -> "Wrapped":
        made = Tensor._make_subclass(cls, torch.full((2, 2, 3), 770.0), True)
        made.dense = dense  # type: ignore[attr-defined]
        return made  # type: ignore[return-value]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args = [each.dense if isinstance(each, Wrapped) else each for each in args]
        return func(*args, **(kwargs or {}))


@final
class Packed(Tensor):
    """Keeps its numbers in another tensor, below torch's dispatcher, as torchao's formats do."""

    @staticmethod
    def __new__(cls, dense: Tensor) -> "Packed":
        made = Tensor._make_wrapper_subclass(cls, dense.shape, dtype=dense.dtype)  # type: ignore[attr-defined]
        made.dense = dense
        return made  # type: ignore[no-any-return]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*(each.dense if isinstance(each, Packed) else each for each in args), **(kwargs or {}))
        return Packed(made) if func is torch.ops.aten.detach.default else made


def with_weight(weight: nn.Parameter) -> nn.Module:
    model = network()
    model[2].weight = weight
    return model


class Multiplies(nn.Module):
    """Its own dense layer, and a product with whatever it is given."""

    def __init__(self, factor: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.factor = nn.Linear(64, 64), factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor(self.layer(x))


@torch.library.custom_op("another::fused", mutates_args=())
def fused(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight


@torch.library.custom_op("another::clipped", mutates_args=())
def clipped(x: Tensor) -> Tensor:
    return x.clamp(0, 1)


fused.register_autograd(lambda _, gradient: (gradient, None))
clipped.register_autograd(lambda _, gradient: gradient)
HALF = torch.eye(64)
REFUSED: list[tuple[str, Callable[[], nn.Module], str]] = [
    ("semi-sparse", semi_sparse, "layer '2': runs 'aten::_sparse_semi_structured_tile', which works on a compressed"),
    ("block-sparse", block_sparse, "layer '2': its weight is a BlockSparseTensor of torchao, which hides its values"),
    ("int8", quantised, "layer '2': its weight is an Int8Tensor of torchao, which hides its values; give it a plain"),
    ("wrapped", lambda: with_weight(Wrapped(HALF)), "layer '2': its weight is a Wrapped of tests, which hides"),
    ("packed", lambda: with_weight(nn.Parameter(Packed(HALF))), "layer '2': its weight is a Packed of tests, which"),
    ("csr", lambda: with_weight(nn.Parameter(HALF.to_sparse_csr())), "layer '2': its weight is a tensor of layout spa"),
    (
        "sparse factor",
        lambda: Multiplies(lambda x: torch.sparse.mm(HALF.to_sparse(), x.mT).mT),
        "layer 'model': runs 'aten::_to_sparse', which works on a compressed tensor, which hides its zeros",
    ),
    ("packed factor", lambda: Multiplies(lambda x: x @ Packed(HALF)), "layer 'model': multiplies by a Packed of tests"),
    (
        "int8 product",
        lambda: Multiplies(lambda x: x + torch._int_mm(HALF.char(), HALF.char())[:4]),
        "layer 'model': runs 'aten::_int_mm', which belongs to a quantised model; record the module before",
    ),
    (
        "another library, one matrix",
        lambda: Multiplies(clipped),
        "layer 'model': runs 'another::clipped', which is an operator of another library, and what it does cannot",
    ),
    (
        "another library",
        lambda: Multiplies(lambda x: fused(x, HALF)),
        "layer 'model': runs 'another::fused', which is an operator of another library, and what it does cannot",
    ),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's: sparse layouts are in beta
@pytest.mark.parametrize(("build", "sentence"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_hidden_products_and_hidden_values_are_refused(build: Callable[[], nn.Module], sentence: str) -> None:
    model = build()
    with pytest.raises(UserError) as caught:
        record(model, torch.randn(4, 64))
    assert str(caught.value).startswith(sentence)


def test_an_embedding_with_sparse_gradients() -> None:
    model = nn.Sequential(nn.Embedding(50, 16, sparse=True), nn.Linear(16, 4))
    recorded = record(model, torch.randint(0, 50, (2, 3)))
    assert [line[:2] for line in products(recorded)] == [("1", "FF"), ("1", "BP"), ("1", "WU")]
    assert updates(recorded)["0"] == 50 * 16


def test_weights_made_of_one_parameter_are_that_parameter() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.utils.parametrizations.weight_norm(nn.Linear(16, 8)))
    recorded = record(model, torch.randn(2, 16))
    original = "1.parametrizations.weight.original1"
    assert [line[1:] for line in products(recorded) if line[0] == "1"] == [
        ("FF", "1.input", original), ("BP", "1.grad_output", original), ("WU", "1.input", "1.grad_output"),
    ]  # fmt: skip


def test_data_a_parameter_is_added_to_stays_data() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions, self.layer = nn.Parameter(torch.randn(1, 6, 16)), nn.Linear(16, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x + self.positions)  # type: ignore[no-any-return]

    recorded = record(Positions(), torch.randn(1, 6, 16))
    assert products(recorded)[0][1:] == ("FF", "layer.input", "layer.weight")
