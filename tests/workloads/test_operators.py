"""A closed world: every operator of torch is known, split into known ones, or refused by name with what helps there."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

import workloads
from tests.workloads.pointwise import POINTWISE
from workloads.errors import UserError
from workloads.recording.calls import functional_name
from workloads.recording.decompositions import OWN
from workloads.recording.operators import FREE, PRODUCTS, VECTOR, Sort, sort_of

# Parts of names that products have. Those known as something else are no products all the same.
MULTIPLY = ("mm", "matmul", "conv", "dot", "linear", "mv", "attention", "rnn", "lstm", "gru", "einsum", "trilinear")
NO_PRODUCTS = """
    upsample_linear1d upsample_trilinear3d upsample_bilinear2d _upsample_bilinear2d_aa digamma lgamma igamma igammac
    mvlgamma polygamma cummin cummax hamming_window
"""
MUTABLE = ("_batch_norm_with_update", "rrelu_with_noise", "record_stream", "fill_diagonal_")  # have no other form
NEWER = {"_grouped_mm", "_fused_rms_norm", "_fused_rms_norm_backward", "linalg__powsum"}  # not in torch 2.6


def registered() -> list[OpOverload]:
    """Every overload of torch's own operators that gives new tensors, as far as Python can name it."""
    found = []
    for full in torch._C._dispatch_get_all_op_names():
        space, _, rest = full.partition("::")
        name, _, overload = rest.partition(".")
        packet = getattr(torch.ops.aten, name, None) if space == "aten" else None
        each = getattr(packet, overload or "default", None) if packet is not None else None
        if isinstance(each, OpOverload) and not each._schema.is_mutable:
            found.append(each)
    assert len(found) > 1_000
    return found


def test_names_that_are_known_are_torchs() -> None:
    names = {each.overloadpacket.__name__ for each in registered()}
    names |= {functional_name(getattr(torch.ops.aten, name).default) for name in MUTABLE}
    known = PRODUCTS | FREE | set(VECTOR) | set(OWN)
    assert known - names - {"group_mask"} <= NEWER


def test_a_new_torch_cannot_add_an_operator_that_nobody_looked_at() -> None:
    """What is neither named nor a view nor split is refused; one mark of torch alone makes an operator vector work."""
    marked = {
        each.overloadpacket.__name__
        for each in registered()
        if sort_of(each) is Sort.VECTOR and each.overloadpacket.__name__ not in VECTOR
    }
    assert marked <= set(POINTWISE.split()), "look at what these do, and name them in operators.py or pointwise.py"


def test_nothing_that_multiplies_is_taken_for_something_else() -> None:
    silent = {
        each.overloadpacket.__name__
        for each in registered()
        if sort_of(each) in (Sort.VECTOR, Sort.FREE) and any(part in each.overloadpacket.__name__ for part in MULTIPLY)
    }
    assert {name.removesuffix("_backward") for name in silent} <= set(NO_PRODUCTS.split())


class Does(nn.Module):
    def __init__(self, then: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.then = nn.Linear(16, 16), then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.layer(x))


def fused(y: Tensor) -> Tensor:
    heads = y.view(1, 1, 16, 16)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return scaled_dot_product_attention(heads, heads, heads)


def recurrent(y: Tensor) -> Tensor:
    state, weights = torch.zeros(1, 16, 4), [torch.randn(16, 16), torch.randn(16, 4)]
    return torch._VF.lstm(y[None], (state, state), weights, False, 1, 0.0, False, False, True)[0]  # type: ignore[attr-defined]


SQUARE = 1e3 * torch.eye(16)
CURES = [
    (fused, r"_scaled_dot_product_\w+', which is attention in one operator; leave out the sdpa_kernel"),
    (recurrent, r"mkldnn_rnn_layer\w*', which is a recurrent layer in one operator; run it under torch.back"),
    (lambda y: torch.linalg.solve(y.mT @ y + SQUARE, y), "_linalg_solve_ex', which solves or factorises a matrix"),
    (lambda y: torch.linalg.svdvals(y), "_linalg_svd', which solves or factorises a matrix"),
    (lambda y: torch.fake_quantize_per_tensor_affine(y, 0.1, 0, 0, 255), r"fake_quantize_\w+', which belongs to a"),
    (lambda y: y.to_sparse().coalesce().to_dense(), "_to_sparse', which works on a compressed tensor, which hides its"),
]  # fmt: skip


@pytest.mark.parametrize(("then", "sentence"), CURES, ids=[str(number) for number in range(len(CURES))])
def test_what_cannot_be_recorded_is_refused_with_its_cure(then: Callable[[Tensor], Tensor], sentence: str) -> None:
    with pytest.raises(UserError, match=f"layer '.*': runs 'aten::{sentence}"):
        workloads.record_module(Does(then), torch.randn(16, 16))


def test_an_operator_that_torch_does_not_know_is_refused_by_name() -> None:
    library = torch.library.Library("mystery", "DEF")
    library.define("act(Tensor x) -> Tensor")
    library.impl("act", lambda x: x.clamp(0, 1), "CompositeExplicitAutograd")
    library.define("made(Tensor x) -> Tensor")
    library.impl("made", lambda x: x @ x.mT, "CompositeImplicitAutograd")
    found = workloads.record_module(Does(torch.ops.mystery.made), torch.randn(4, 16))
    assert found.macs == (4 * 16 * 16) * 2 + 4 * 16 * 4 * 3  # composed of torch's own operators, it is split into them
    with pytest.raises(UserError, match="runs 'mystery::act', which is an operator of another library"):
        workloads.record_module(Does(torch.ops.mystery.act), torch.randn(4, 16), mode="inference")
