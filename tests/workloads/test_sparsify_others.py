"""Between sparsify and other tools: models that they pruned, and weights in the packed form that they read."""

import logging
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.sparse import SparseSemiStructuredTensor, SparseSemiStructuredTensorCUTLASS

from tests.workloads.test_other_tools import block_sparse, network, quantised
from workloads import finalize, sparsify
from workloads.errors import UserError


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """torchao logs that its CUDA libraries cannot be loaded."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def odd_two_of_four(weight: Tensor) -> Tensor:
    """2:4, and not the largest: the first and the last of every four."""
    return torch.tensor([True, False, False, True]).repeat(weight.shape[0], weight.shape[1] // 4)


def by_torch() -> nn.Sequential:
    model = network()
    prune.custom_from_mask(model[2], "weight", odd_two_of_four(model[2].weight))
    return model


def made_permanent() -> nn.Sequential:
    model = by_torch()
    prune.remove(model[2], "weight")
    return model


def by_ao() -> nn.Sequential:
    from torch.ao.pruning import WeightNormSparsifier

    model = network()
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(model, [{"tensor_fqn": "2.weight"}])
    model[2].parametrizations.weight[0].mask.copy_(odd_two_of_four(network()[2].weight))
    return model


def by_torchao() -> nn.Sequential:
    from torchao.sparsity import WandaSparsifier

    model = network()
    sparsifier = WandaSparsifier(sparsity_level=0.5, semi_structured_block_size=4)
    sparsifier.prepare(model, [{"tensor_fqn": "2.weight"}])
    model(torch.randn(32, 64) * torch.arange(1, 65))
    sparsifier.step()
    return model


@pytest.mark.filterwarnings("ignore:WandaSparsifier", "ignore:torch.ao.quantization is deprecated")
@pytest.mark.parametrize("build", [by_torch, made_permanent, by_ao, by_torchao])
@pytest.mark.parametrize("method", ["bdwp", "torch24", "srste"])
def test_zeros_of_a_pruned_model_are_the_first_mask(build: Callable[[], nn.Sequential], method: str) -> None:
    model, x = build(), torch.randn(4, 64)
    with torch.no_grad():
        before, kept = model(x), model[2].weight.detach() != 0
    names = sparsify(model, method, "2:4", exclude=["0", "4"])
    if method == "torch24":  # needs 2:4 along both axes, which these zeros are not
        assert names == ["2"] and float(model[2].mask_ff.float().mean()) <= 0.5
        return
    assert names == ["2"] and torch.equal(model[2].mask_ff, kept)
    assert torch.equal(model(x), before) and type(model[2].weight) is nn.Parameter


def test_zeros_of_a_fan_in_are_the_first_mask_where_the_method_would_draw_one() -> None:
    model = network()
    with torch.no_grad():
        model[2].weight[:, 16:] = 0
        model[4].weight[:, :47] = 0  # 17 an output
    sparsify(model, "srigl", "fan-in 16", exclude=["0"], total_steps=100)
    assert torch.equal(model[2].mask_ff, model[2].weight != 0)
    assert set(model[4].mask_ff.sum(1).tolist()) == {16}


def test_a_weight_of_zeros_alone_gets_a_mask_all_the_same() -> None:
    model = network()
    nn.init.zeros_(model[2].weight)
    sparsify(model, "bank", "2:4", total_steps=10)
    assert model[2].mask_ff.all()  # bank pruning begins with everything


@pytest.mark.filterwarnings("ignore:Sparse BSR tensor support")
@pytest.mark.parametrize("build", [block_sparse, quantised])
def test_packed_weights_become_plain_or_are_refused(build: Callable[[], nn.Sequential]) -> None:
    model = build()
    try:
        sparsify(model, "bdwp", "2:4", exclude=["0", "4"])
    except UserError as error:
        assert str(error).startswith("layer '2': its weight is a ") and "only plain tensors can be made" in str(error)
    else:
        assert type(model[2].weight) is nn.Parameter and model(torch.randn(2, 64)).isfinite().all()


@pytest.fixture
def _packs_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch packs for CUDA alone, and its way to pack for CUTLASS is plain torch: only the check of devices goes."""
    monkeypatch.setattr(SparseSemiStructuredTensor, "_FORCE_CUTLASS", True)
    monkeypatch.setattr(
        SparseSemiStructuredTensorCUTLASS, "_validate_device_dim_dtype_shape", classmethod(lambda *_: None)
    )


@pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor")
@pytest.mark.usefixtures("_packs_on_a_cpu")
@pytest.mark.parametrize(
    ("pattern", "packed"), [("2:4", True), ("1:4", True), ("2:8", True), ("4:8", False), ("3:4", False)]
)
def test_two_of_four_is_packed_where_the_pattern_allows_it(pattern: str, packed: bool) -> None:
    model = network().half()
    sparsify(model, "bdwp", pattern, exclude=["4"])
    if not packed:
        with pytest.raises(UserError, match="no layer could be packed: no linear layer keeps at most 2 of every 4"):
            finalize(model, to="torchao")
        return
    made = finalize(model, to="torchao")
    for layer in (made[0], made[2]):
        assert isinstance(layer.weight, SparseSemiStructuredTensor)
    plain = finalize(model)
    assert torch.equal(made[0].weight.to_dense(), plain[0].weight) and type(made[4].weight) is nn.Parameter


def test_without_a_device_for_it_nothing_is_packed() -> None:
    model = network().half()
    sparsify(model, "bdwp", "2:4")
    with pytest.raises(UserError, match=r"finalize to='torchao': no layer could be packed: .*Only CUDA tensors"):
        finalize(model, to="torchao")
    with pytest.raises(UserError, match="to: unknown form 'torcao'; did you mean 'torchao'"):
        finalize(model, to="torcao")
    with pytest.raises(UserError, match="finalize: the model has no sparse layer; sparsify makes some"):
        finalize(network())
