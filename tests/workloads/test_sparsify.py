"""A method put on a user's own model: masks go where the model goes, and evaluation is of the weights that trained."""

import copy
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from tests.workloads.small import Small
from workloads import advance, finalize, save_masks, sparsify
from workloads.errors import UserError
from workloads.methods.bdwp import BDWP
from workloads.sparsity.masked_weight import masked_weights
from workloads.training.masks import largest_group_count


def net() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))


def encoder(layers: int = 2) -> nn.TransformerEncoder:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def trained(model: nn.Module, x: Tensor, steps: int = 3) -> nn.Module:
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model


X = torch.randn(8, 32, generator=torch.Generator().manual_seed(2))
SEQUENCE = torch.randn(2, 16, 64, generator=torch.Generator().manual_seed(2))


# --- M6 to M14 -------------------------------------------------------------------------------------------------------


def test_evaluation_of_an_encoder_is_sparse_in_the_fused_kernel_too() -> None:
    """M6."""
    model = encoder().eval()
    with torch.no_grad():
        dense = model(SEQUENCE)
        sparsify(model, "bdwp", "2:8")
        fused = model(SEQUENCE)
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            plain = model(SEQUENCE)
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    with_gradients = model(SEQUENCE)
    assert not torch.allclose(fused, dense, atol=1e-2)
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fused, with_gradients, atol=1e-5, rtol=1e-5)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    q, k, v = (each.unflatten(-1, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    return ((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("other", [False, True], ids=["self", "cross"])
def test_both_projections_of_attention_are_sparse_forward_and_backward(other: bool) -> None:
    """M7: against the formula, with weights of their own in FF and BP."""
    torch.manual_seed(1)
    model = nn.MultiheadAttention(64, 4, batch_first=True)
    assert sparsify(model, "bdwp", "2:8") == ["in_proj", "out_proj"]
    x, memory = SEQUENCE.clone().requires_grad_(), torch.randn(2, 10, 64)
    given = memory if other else x
    y = model(x, given, given, need_weights=False)[0]
    y.sin().sum().backward()

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, ahead, back):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(back)
            return x @ ahead.T

        @staticmethod
        def backward(ctx, gradient):  # type: ignore[no-untyped-def]
            return gradient @ ctx.saved_tensors[0], None, None

    inside, outside = (weight.weights() for _, weight in masked_weights(model))
    at = SEQUENCE.clone().requires_grad_()
    source = memory if other else at
    parts = zip(inside[0].chunk(3), inside[1].chunk(3), (at, source, source), strict=True)
    q, k, v = (Product.apply(each, ahead, back) for ahead, back, each in parts)
    expected = Product.apply(attention(q, k, v, 4), *outside)  # biases are 0
    expected.sin().sum().backward()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(x.grad, at.grad)
    assert all(largest_group_count(each, 8, 1) <= 2 for each in (inside[0], outside[0]))
    assert all(largest_group_count(each, 8, 0) <= 2 for each in (inside[1], outside[1]))


@pytest.mark.parametrize("name", ["bdwp", "transposable", "bimask", "srste"])
def test_a_state_loaded_into_a_fresh_model_gives_its_outputs(name: str) -> None:
    """M8: masks are saved, and what is between two renewals too."""
    first, second = net(), net()
    for model in (first, second):
        sparsify(model, name, "2:4")
        nn.init.normal_(model[0].weight)
    trained(first, X)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(X), second(X))
    assert [int(layer.mask_step) for layer in second[::2]] == [3, 3, 3]
    for _ in range(40):  # past a renewal of transposable
        trained(first, X, 1)
    assert not torch.equal(first(X), second(X))


def test_masks_of_another_method_or_pattern_are_not_loaded() -> None:
    model, other = net(), net()
    sparsify(model, "bdwp", "2:8")
    sparsify(other, "bdwp", "2:4")
    before = other[0].mask_ff.clone()
    with pytest.raises(RuntimeError, match="layer '0': its masks are of bdwp 2:8; the model's are of bdwp 2:4"):
        other.load_state_dict(model.state_dict(), strict=False)
    assert torch.equal(other[0].mask_ff, before)


def test_masks_that_somebody_averaged_are_refused() -> None:
    model, other = net(), net()
    for each in (model, other):
        sparsify(each, "srste", "2:4")
        nn.init.normal_(each[0].weight)
        advance_by_optimizer(each)
    for one, two in zip(model.buffers(), other.buffers(), strict=True):
        one.copy_(0.9 * one + 0.1 * two)  # of booleans: the union
    with pytest.raises(UserError, match="finalize: layer '0': its mask keeps more than 2:4 allows, as the average of"):
        finalize(model)


@pytest.mark.parametrize("use", [sparsify, finalize, advance, lambda model: save_masks(model, "m")])
def test_what_is_no_module_is_refused(use: Callable[[object], object]) -> None:
    with pytest.raises(UserError, match="wanted is a torch module, not of type 'int'"):
        use(5)


@pytest.mark.parametrize("use", [finalize, advance, lambda model: save_masks(model, "m")])
def test_a_model_without_a_sparse_layer_is_refused(use: Callable[[object], object]) -> None:
    with pytest.raises(UserError, match=r"the model has no .*; sparsify makes some"):
        use(net())


def test_masks_that_only_say_which_weights_fade_are_n_of_m_too() -> None:
    model = net()
    sparsify(model, "adams", "2:4", total_steps=10)
    model[0].mask_ff.fill_(True)
    with pytest.raises(UserError, match="finalize: layer '0': its mask keeps more than 2:4 allows"):
        finalize(model)


def advance_by_optimizer(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    optimizer.step()


def test_a_dense_checkpoint_is_taken_and_gets_masks_of_its_weights() -> None:
    dense, model = net(), net()
    nn.init.normal_(dense[0].weight)
    sparsify(model, "bdwp", "2:8")
    model.load_state_dict(dense.state_dict(), strict=True)
    expected = copy.deepcopy(dense)
    sparsify(expected, "bdwp", "2:8")
    assert torch.equal(model(X), expected(X))
    state = model.state_dict()
    del state["0.mask_bp"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"0.mask_bp\""):
        model.load_state_dict(state)


def test_finalize_gives_the_dense_model_with_masks_baked_in(tmp_path: Path) -> None:
    """M9."""
    model = net()
    names = sparsify(model, "bdwp", "2:8", exclude=["4"])
    trained(model, X)
    plain = finalize(model)
    assert [type(layer) for layer in plain] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert plain.state_dict().keys() == net().state_dict().keys()
    save_file(plain.state_dict(), tmp_path / "w.safetensors")
    again = net()
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert torch.equal(again(X), model(X)) and not list(again.buffers())
    assert {name: float((again.get_submodule(name).weight == 0).float().mean()) for name in names} == {
        "0": 0.75,
        "2": 0.75,
    }
    assert isinstance(model[0], nn.Linear) and "mask_ff" in dict(model[0].named_buffers())  # it trains on
    assert finalize(model, in_place=True) is model and type(model[0]) is nn.Linear


@pytest.mark.parametrize("inside", [False, True], ids=["backward outside", "backward inside"])
@pytest.mark.parametrize("kind", ["linear", "convolution", "encoder"])
def test_autocast_computes_as_torch_does_with_the_masked_weights(kind: str, inside: bool) -> None:
    """M10: bit for bit, dW included."""
    makes = {"linear": lambda: nn.Linear(32, 24), "convolution": lambda: nn.Conv2d(8, 16, 3)}
    torch.manual_seed(3)
    dense = makes[kind]() if kind in makes else encoder(1)
    x = {"linear": X, "convolution": torch.randn(2, 8, 6, 6), "encoder": SEQUENCE}[kind]
    sparse = copy.deepcopy(dense)
    sparsify(sparse, "srste", "2:8")  # one mask, so torch itself can be given the masked weight
    plain = finalize(sparse)
    found = []
    for model in (sparse, plain):
        at = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = model(at)
            if inside:
                y.float().square().sum().backward()
        if not inside:
            y.float().square().sum().backward()
        found.append((y, at.grad, [each.grad for each in model.parameters()]))
    (y, dx, gradients), (y2, dx2, gradients2) = found
    assert y.dtype is torch.bfloat16 or kind == "encoder"
    assert torch.equal(y, y2) and torch.equal(dx, dx2)
    assert all(torch.equal(one, other) for one, other in zip(gradients, gradients2, strict=True))


def test_masks_follow_the_weights_everywhere() -> None:
    """M11."""
    model = net()
    sparsify(model, "bimask", "2:4")
    assert {each.device.type for each in copy.deepcopy(model).to("meta").buffers()} == {"meta"}
    double = copy.deepcopy(model).double()
    assert double[0].mask_ff.dtype is torch.bool and double(X.double()).dtype is torch.float64
    assert model.bfloat16()(X.bfloat16()).dtype is torch.bfloat16


def test_layers_stay_what_they_are() -> None:
    """M12."""
    model = net()
    sparsify(model, "bdwp", "2:8")
    layer = model[0]
    assert isinstance(layer, nn.Linear) and (layer.in_features, layer.out_features) == (32, 64)
    assert isinstance(layer.weight, nn.Parameter) and layer.weight is dict(model.named_parameters())["0.weight"]
    assert repr(layer) == "Linear(in_features=32, out_features=64, bias=True, bdwp 2:8)"
    alone = nn.Linear(32, 8)
    sparsify(alone, "bdwp", "2:8")
    assert float((alone(torch.eye(32)) - alone.bias == 0).float().mean()) == 0.75


def test_the_whole_of_a_method_acts_in_any_loop() -> None:
    """M13: under plain SGD the first step of SR-STE is that of STE and the decay of what the mask dropped."""
    plain, decayed = net(), net()
    sparsify(plain, "ste", "2:8")
    sparsify(decayed, "srste", "2:8", numbers={"decay": 0.5})
    before, mask = plain[0].weight.detach().clone(), plain[0].mask_ff.clone()
    for model in (plain, decayed):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        model(X).square().mean().backward()
        optimizer.step()
    difference = plain[0].weight.detach() - decayed[0].weight.detach()
    torch.testing.assert_close(difference, 0.1 * 0.5 * before * ~mask, rtol=1e-4, atol=1e-7)
    assert torch.equal(plain[0].weight.grad, decayed[0].weight.grad)  # what backward left is left


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        (("bdpw", "2:8"), {}, "unknown method 'bdpw'; did you mean 'bdwp'?"),
        (("bdwp", "9:8"), {}, "pattern: '9:8' keeps more than a group has"),
        (("bdwp", "dense"), {}, "pattern 'dense': keeps every weight"),
        (("dense", "2:8"), {}, "method 'dense': keeps every weight"),
        (("bdwp", "fan-in 8"), {}, "layer '0': pattern 'fan-in 8': masks can be trained for 'n:m' and 'bank n:m' only"),
        (
            ("torch24", "2:4,2=2:8"),
            {},
            "layer '2': method 'torch24': pattern '2:8' cannot be trained; torch has 2:4 only",
        ),
        (("bdwp", "2:8,9=1:8"), {}, "pattern '9': no layer has such a name; the layers are '0', '2', '4'"),
        (("bdwp", "2:8"), {"exclude": ["hed"]}, "exclude: unknown layer 'hed'"),
        (("bdwp", "2:8"), {"exclude": ["*"]}, "no layer became sparse; the layers are '0', '2', '4'"),
        (("bdwp", "2:8"), {"numbers": {"decy": 1}}, "numbers: unknown field of method 'bdwp' 'decy'"),
        (("srste", "2:8"), {"numbers": {"decay": -1}}, "numbers decay=-1: must be 0 or more"),
        (("bank", "2:8"), {}, "method 'bank': has a schedule; say total_steps="),
        (("bdwp", (2, 8)), {}, 'pattern: wanted is text, or a list of texts, not (2, 8); for example "2:8"'),
        (("bdwp", "2:8"), {"exclude": 3}, "exclude: wanted is text, or a list of texts, not 3; for example "),
        (("bdwp", "2:8"), {"exclude": "hed"}, "exclude: unknown layer 'hed'"),
        (("bank", "2:8"), {"total_steps": 0}, "total_steps 0: a run has at least one step"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(arguments: tuple[str, str], more: dict, said: str) -> None:
    """M14."""
    model = net()
    with pytest.raises(UserError) as error:
        sparsify(model, *arguments, **more)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert [type(layer) for layer in model[::2]] == [nn.Linear] * 3 and not list(model.buffers())


# --- the rest --------------------------------------------------------------------------------------------------------


def test_layers_are_chosen_by_globs_of_layers_and_of_what_they_are_in() -> None:
    model = nn.ModuleDict({"body": net(), "head": nn.Linear(8, 16)})
    assert sparsify(model, BDWP, ["2:8", "body.2=1:4"], exclude=["head", "body.0"]) == ["body.2", "body.4"]
    assert model["body"][2].mask_ff.float().mean() == 0.25
    with pytest.raises(UserError, match=r"layer 'body\.2': is sparse already; workloads\.finalize"):
        sparsify(model, "bdwp", "2:8", exclude=["body.0"])


def test_a_second_method_takes_what_the_first_one_left() -> None:
    model = encoder(1)
    first = sparsify(model, "bdwp", "2:8", exclude=["*.linear*", "*.out_proj"])
    second = sparsify(model, "srste", "2:4", exclude=["*.in_proj"])
    assert (first, len(second)) == (["layers.0.self_attn.in_proj"], 3)
    trained(model, SEQUENCE)
    names = {layer: weight.treatment.method.name for layer, weight in masked_weights(model)}
    assert names.pop(first[0]) == "bdwp" and set(names.values()) == {"srste"} and set(names) == set(second)
    assert type(finalize(model).layers[0].self_attn) is nn.MultiheadAttention
    odd = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 7))
    sparsify(odd, "bdwp", "2:4", exclude=["1"])
    with pytest.raises(UserError, match="layer '1': method 'torch24': 7 output and 8 input channels"):
        sparsify(odd, "torch24", "2:4", exclude=["0"])
    assert type(odd[1]) is nn.Linear and "bdwp" in repr(odd[0]) and not list(odd[1].buffers())


def test_a_layer_too_short_for_its_groups_stays_dense() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1))
    assert sparsify(model, "bdwp", "2:8") == ["1"] and type(model[0]) is nn.Conv2d


def test_whole_models_are_pickled_and_copied() -> None:
    model = trained(encoder(1).train(), SEQUENCE, 1)
    sparsify(model, "bdwp", "2:4")
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for other in (loaded, copy.deepcopy(model)):
        assert torch.equal(other(SEQUENCE), model(SEQUENCE))
        trained(other, SEQUENCE, 2)
        assert {int(each.buffer("step")) for _, each in masked_weights(other)} == {2}
    assert {int(each.buffer("step")) for _, each in masked_weights(model)} == {0}


def test_samples_of_gradients_and_gradients_of_gradients() -> None:
    model = Small()
    sparsify(model, "bdwp", "2:4")
    x = torch.randn(4, 1, 8, 8)
    model(x).square().sum().backward()
    weights = {name: each.detach() for name, each in model.named_parameters()}
    masks = dict(model.named_buffers())

    def loss(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(model, (weights, masks), (one[None],)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(each[name].sum(0), parameter.grad, rtol=1e-4, atol=1e-4)
    layer, at = nn.Linear(8, 8).double(), torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    sparsify(layer, "ste", "2:4")  # one mask: then the backward pass is the forward pass's own
    assert torch.autograd.gradgradcheck(lambda x: layer(x).sin(), (at,))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of torch's compiler
def test_compiled_and_exported_models_are_the_same() -> None:
    model = net()
    sparsify(model, "bdwp", "2:8")
    expected = [torch.autograd.grad(model(X).square().sum(), model[0].weight)[0], model(X)]
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    found = [torch.autograd.grad(compiled(X).square().sum(), model[0].weight)[0], compiled(X)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    if hasattr(torch.compiler, "is_exporting"):  # not in torch 2.6
        with pytest.raises(UserError, match=r"would lose the weights of BP; call eval\(\) first"):
            torch.export.export(model, (X,))
    program = torch.export.export(model.eval(), (X,))
    assert torch.equal(program.module()(X), model(X))


def test_a_loop_without_an_optimizer_says_when_a_step_is_over() -> None:
    model = net()
    sparsify(model, "transposable", "2:4", numbers={"period": 2})
    first = model[0].mask_ff.clone()
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight.flip(1))
    advance(model)
    assert torch.equal(model[0].mask_ff, first) and int(model[0].mask_step) == 1
    advance(model)
    assert not torch.equal(model[0].mask_ff, first)
    other = net()
    sparsify(other, "srste", "2:4")
    with pytest.raises(UserError, match="method 'srste': does more at a step than to make masks"):
        advance(other)
