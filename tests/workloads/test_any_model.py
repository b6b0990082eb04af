"""Models that were once recorded wrongly, or refused though they can be recorded: each with its right value."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import workloads
from tests.command import Run
from workloads.apply_method import apply_method, for_inference
from workloads.errors import UserError
from workloads.methods.bdwp import BDWP
from workloads.op import MatrixOp, Phase, Role, VectorKind, VectorOp
from workloads.pattern import parse_patterns
from workloads.workload import Workload

Sizes = tuple[str, str, int, int, int, int]


class Says(nn.Module):
    """A module whose forward pass is a function of its layers and inputs."""

    def __init__(self, forward: Callable[..., object], **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.does = forward

    def forward(self, *inputs: Tensor) -> object:
        return self.does(self.layers, *inputs)


def products(workload: Workload) -> list[MatrixOp]:
    return [op for op in workload.ops if isinstance(op, MatrixOp)]


def sizes(workload: Workload, layer: str = "") -> list[Sizes]:
    found = [op for op in products(workload) if op.layer.endswith(layer)]
    return [(op.layer, op.phase.value, op.count, op.rows, op.inner, op.cols) for op in found]


def mixed(layers: nn.ModuleDict, x: Tensor, copied: bool) -> Tensor:
    y = layers["a"](x).transpose(0, 1)
    result: Tensor = layers["c"](layers["b"](y.contiguous() if copied else y))
    return result


def expanded(copied: bool, frozen: bool = False) -> Says:
    linears = {"a": nn.Linear(64, 64), "b": nn.Linear(64, 64), "c": nn.Linear(64, 8)}
    model = Says(lambda layers, x: mixed(layers, x, copied), **linears)
    model.layers["b"].requires_grad_(not frozen)
    return model


@pytest.mark.parametrize("frozen", [False, True])
def test_a_matrix_that_torch_expands_over_the_batch_is_one(frozen: bool) -> None:
    """32 products of 8 rows were recorded where one has 256, with gradients for each of the batch."""
    x = torch.randn(8, 32, 64)
    view, copied = (workloads.record_module(expanded(copy, frozen), x) for copy in (False, True))
    assert sorted(sizes(view)) == sorted(sizes(copied))
    assert (("layers.b", "FF", 1, 256, 64, 64) in sizes(view)) and frozen != (len(sizes(view, "b")) == 3)
    assert view.saved_elements <= copied.saved_elements
    assert work_of(view) == work_of(copied)  # no sum over the batch is left over


def work_of(workload: Workload) -> int:
    return sum(op.elements for op in workload.ops if isinstance(op, VectorOp))


def test_attention_in_the_fast_path_has_its_products() -> None:
    """A frozen attention layer in eval mode ran as one operator, which counted as vector work: 2,560 of 1,313,280."""
    attention = nn.MultiheadAttention(64, 4, batch_first=True).requires_grad_(False).eval()
    attention.train = lambda mode=True: attention  # type: ignore[method-assign,assignment]  # noqa: ARG005
    model = Says(
        lambda each, x: each["o"](each["a"](x, x, x, need_weights=False)[0].mean(1)), a=attention, o=nn.Linear(64, 10)
    )
    x = torch.randn(2, 32, 64)
    assert workloads.record_module(model, x).macs == 1_313_280
    assert workloads.record_module(model, x, shapes_only=True).macs == 1_313_280


def test_distances_of_all_pairs_are_a_product() -> None:
    """819,200 of 947,200 multiply-accumulates of the forward pass were missing; torch's own way has 66 columns."""
    codes = nn.Embedding(64, 64)
    model = Says(lambda each, x: torch.cdist(each["l"](x), each["codes"].weight), l=nn.Linear(10, 64), codes=codes)
    found = workloads.record_module(model, torch.randn(200, 10))
    assert sizes(found)[:2] == [("layers.l", "FF", 1, 200, 10, 64), ("model", "FF", 1, 200, 64, 64)]
    assert found.macs == 3 * 819_200 + 2 * 200 * 10 * 64
    model.layers["codes"] = nn.Embedding(20, 64)
    few = workloads.record_module(model, torch.randn(20, 10))  # torch goes through few pairs one by one
    assert sizes(few, "model") == []
    assert sum(op.elements for op in few.ops if isinstance(op, VectorOp) and op.layer == "model") > 20 * 20 * 64


def test_zeros_of_a_weight_count_once_however_often_it_is_used(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "attends.py").write_text(
        "import torch.nn as nn\n"
        "class Mha(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.a, self.l = nn.MultiheadAttention(64, 4, batch_first=True), nn.Linear(64, 10)\n"
        "    def forward(self, x):\n"
        "        return self.l(self.a(x, x, x, need_weights=False)[0])\n"
    )
    patterns = ("--pattern", "*=2:4", "--pattern", "a.out_proj=dense")
    code, out, _ = simulate("trace", "attends:Mha", "--input", "2x16x64", *patterns)
    assert code == 0 and "zeros in the weights of the forward pass: 38.0 %" in out  # 6,144 and 320 of 17,024
    assert "stays dense" not in out


@pytest.mark.parametrize(
    ("layer", "shape", "forward"),
    [
        (nn.Conv3d(8, 6, 3, stride=2), (2, 8, 7, 7, 7), (1, 54, 216, 6)),
        (nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 8, 5, 5), (2, 200, 36, 3)),
        (nn.ConvTranspose1d(8, 6, 4, stride=2), (2, 8, 5), (1, 24, 32, 6)),
    ],
)
def test_convolutions_of_three_dimensions_and_transposed_ones(
    layer: nn.Module, shape: tuple[int, ...], forward: tuple[int, ...]
) -> None:
    """They were refused; with a pattern by the wrong sentence."""
    model, x = nn.Sequential(layer), torch.randn(shape, requires_grad=True)
    found = workloads.record_module(model, x)
    assert sizes(found)[0] == ("0", "FF", *forward)
    sparse = workloads.record_module(model, x, patterns=parse_patterns(["0=2:4"]))
    assert str(products(sparse)[0].right.pattern) == "2:4"  # held against the weights that were there
    assert products(sparse)[0].right.zeros == 0.5
    later = apply_method(found, BDWP, parse_patterns(["0=2:4"]))
    assert [op.right.pattern for op in products(later)] == [op.right.pattern for op in products(sparse)]


def test_what_a_module_does_to_itself_is_one_sentence() -> None:
    """An in-place change of a leaf was a traceback, and gradients taken in the forward pass were refused."""
    spoiled = Says(lambda each, x: each["l"](x) + each["l"].weight.add_(1).sum(), l=nn.Linear(8, 8))
    with pytest.raises(UserError, match=r"module: cannot run on inputs of 4x8: RuntimeError: a leaf Variable"):
        workloads.record_module(spoiled, torch.randn(4, 8))

    def forces(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        return torch.autograd.grad(layers["l"](x).square().sum(), x, create_graph=True)[0]

    found = workloads.record_module(Says(forces, l=nn.Linear(8, 6)), torch.randn(4, 8))
    assert sizes(found)[0] == ("layers.l", "FF", 1, 4, 8, 6)
    assert ("layers.l", "BP", 1, 4, 6, 8) in sizes(found)


def test_a_gradient_penalty_has_every_convolution() -> None:
    """Gradients of gradients took convolutions for products of their last two tensors."""

    def penalised(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        made = layers["b"](functional.silu(layers["a"](x))).square().sum()
        slope = torch.autograd.grad(made, x, create_graph=True)[0]
        return made + slope.square().sum()

    convs = {"a": nn.Conv2d(3, 4, 3, padding=1), "b": nn.Conv2d(4, 2, 3, padding=1)}
    found = products(workloads.record_module(Says(penalised, **convs), torch.randn(1, 3, 5, 5)))
    each = {"a": 25 * 27 * 4, "b": 25 * 36 * 2}
    assert {op.macs for op in found} == set(each.values())
    assert sum(op.layer == "layers.a" and op.phase is Phase.FF for op in found) == 1


def test_inference_does_nothing_again() -> None:
    """Forward products that a checkpoint runs again counted as forward work."""

    def twice(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(lambda x: layers["b"](layers["a"](x).relu()), x, use_reentrant=False)  # type: ignore[assignment]
        result: Tensor = layers["c"](y)
        return result

    model = Says(twice, a=nn.Linear(16, 16), b=nn.Linear(16, 16), c=nn.Linear(16, 4))
    trained, x = workloads.record_module(model, torch.randn(4, 16)), torch.randn(4, 16)
    assert sum(op.again for op in products(trained)) == 1  # torch stops once it has what it needs
    alone = workloads.record_module(model, x, mode="inference")
    assert sizes(for_inference(trained)) == sizes(alone)
    assert [each[:2] for each in sizes(alone)] == [("layers.a", "FF"), ("layers.b", "FF"), ("layers.c", "FF")]
    assert (alone.saved_elements, {op.phase for op in alone.ops}) == (0, {Phase.FF})


def test_a_frozen_model_is_recorded_for_inference() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)).requires_grad_(False)
    with pytest.raises(UserError, match="its parameters are frozen: --mode inference records its forward pass"):
        workloads.record_module(model, torch.randn(2, 8))
    assert len(products(workloads.record_module(model, torch.randn(2, 8), mode="inference"))) == 2
    inside = Says(lambda each, x: inferred(each["l"], x), l=nn.Linear(8, 4))
    assert len(products(workloads.record_module(inside, torch.randn(2, 8), mode="inference"))) == 1


def inferred(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = layer(x)
    return result


def depthwise() -> nn.Module:
    groups = nn.Conv2d(64, 64, 3, padding=1, groups=64)
    return nn.Sequential(nn.Conv2d(64, 64, 1), groups, nn.Conv2d(64, 64, 1), nn.Conv2d(64, 64, 1))


@pytest.mark.parametrize("patterns", ["1=2:4", "2:4", "2:8", "*=2:8"])
def test_one_rule_for_layers_whether_a_pattern_is_put_on_before_or_later(patterns: str) -> None:
    """A depthwise layer was labelled 2:4 and skipped nothing; first and last were kept dense in one way only."""
    x, asked = torch.randn(1, 64, 4, 4, requires_grad=True), parse_patterns([patterns, "2=2:4"])
    plain = workloads.record_module(depthwise(), x)
    before, later = workloads.record_module(depthwise(), x, patterns=asked), apply_method(plain, BDWP, asked)
    assert plain.kept_dense == before.kept_dense == ("0", "3")
    shown = [
        [(op.layer, op.phase, op.left.pattern, op.right.pattern) for op in products(each)] for each in (before, later)
    ]
    assert shown[0] == shown[1]
    assert {str(op.right.pattern) for op in products(later) if op.layer == "1"} == {"dense"}
    masks = [
        [(op.layer, op.masks) for op in each.ops if isinstance(op, VectorOp) and op.masks] for each in (before, later)
    ]
    assert masks[0] == masks[1]


def test_a_layer_that_cannot_take_its_pattern_is_said(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "depth.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    one = lambda: nn.Conv2d(8, 8, 1)\n"
        "    return nn.Sequential(one(), nn.Conv2d(8, 8, 3, groups=8), one(), one())\n"
    )
    code, out, _ = simulate("trace", "depth:net", "--input", "1x8x6x6", "--pattern", "1=2:4,2=2:4")
    said = "layer '1': stays dense; its groups are too short for the pattern to drop anything"
    assert code == 0 and said in " ".join(out.split())
    assert simulate("trace", "depth:net", "--input", "1x8x6x6", "--out", "plain.json")[0] == 0
    code, out, _ = simulate("--workload", "plain.json", "--arch", "sat", "--pattern", "1=2:4,2=2:4")
    assert code == 0 and said in " ".join(out.split())


@pytest.mark.parametrize("composed", ["added", "cast", "masked", "summed kernels", "one after the other"])
def test_weights_composed_of_parameters_are_weights(composed: str) -> None:
    """Merged adapters were products of two activations, with their gradients as BP."""

    class Composed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.a, self.b = (nn.Parameter(torch.randn(each)) for each in ((16, 16), (2, 16), (16, 2)))
            self.wide, self.small = nn.Parameter(torch.randn(4, 1, 3, 3)), nn.Parameter(torch.randn(4, 1, 1, 1))
            self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            match composed:
                case "added":
                    x = functional.linear(x, self.w + self.b @ self.a)
                case "cast":
                    x = functional.linear(x, (self.w * 2 + self.w.abs()).to(torch.float32))
                case "masked":
                    x = functional.linear(x, self.w * (self.w.abs() > 0.5))
                case "one after the other":
                    x = functional.linear(x, self.b @ self.a)
                case _:
                    kernel = self.wide + functional.pad(self.small, (1, 1, 1, 1))
                    x = functional.conv2d(x.view(-1, 1, 4, 4), kernel, padding=1).mean(1).flatten(1)
            result: Tensor = self.last(x)
            return result

    found = workloads.record_module(Composed(), torch.randn(5, 16))
    own = [op for op in products(found) if op.layer == "model" and 2 not in (op.rows, op.inner, op.cols)]
    roles = {op.phase.value: op.right.role for op in own}
    assert roles == {"FF": Role.WEIGHT, "BP": Role.WEIGHT, "WU": Role.GRADIENT} and len(own) == 3
    sparse = apply_method(found, BDWP, parse_patterns(["model=2:8"]))
    assert {str(op.right.pattern) for op in products(sparse) if op.layer == "model" and op.phase is Phase.FF} >= {
        "dense" if composed == "summed kernels" else "2:8"
    }


def test_learned_queries_are_no_weights_of_attention() -> None:
    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.queries, self.q, self.k = nn.Parameter(torch.randn(3, 16)), nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x: Tensor) -> Tensor:
            q = self.q(self.queries).view(1, 3, 2, 8).expand(x.shape[0], 3, 2, 8).transpose(1, 2)
            k = self.k(x).view(x.shape[0], -1, 2, 8).transpose(1, 2)
            return q @ k.mT

    found = products(workloads.record_module(Queries(), torch.randn(4, 5, 16)))
    scores = [op for op in found if op.layer == "model"]
    assert {op.right.role for op in scores} == {Role.ACTIVATION} and [op.count for op in scores] == [8, 8, 8]


def test_resizing_and_bags_of_embeddings_are_vector_work() -> None:
    resized = Says(
        lambda each, x: functional.interpolate(each["c"](x), scale_factor=2, mode="trilinear"), c=nn.Conv3d(2, 2, 1)
    )
    assert len(products(workloads.record_module(resized, torch.randn(1, 2, 3, 3, 3)))) == 2
    bags = nn.Sequential(nn.EmbeddingBag(50, 16), nn.Linear(16, 4))
    found = workloads.record_module(bags, torch.randint(0, 50, (3, 5)))
    bag = next(op for op in found.ops if isinstance(op, VectorOp))
    assert (bag.layer, bag.kind, bag.reads, bag.writes) == ("0", VectorKind.EMBEDDING, 3 * 5 * 16, 3 * 16)


@pytest.mark.parametrize("shapes_only", [False, True])
def test_inputs_of_another_format_are_refused_both_ways(shapes_only: bool) -> None:
    half = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)).bfloat16()
    with pytest.raises(UserError, match="multiplies float32 by bfloat16; give it inputs in the number format"):
        workloads.record_module(half, torch.randn(2, 8), shapes_only=shapes_only)
    found = products(workloads.record_module(half, torch.randn(2, 8).bfloat16(), shapes_only=shapes_only))
    assert len(found) == 5 and {op.left.stored for op in found} == {"bfloat16"}


def test_a_product_of_complex_numbers_is_four_real_ones() -> None:
    layer = nn.Linear(8, 4, bias=False, dtype=torch.complex64)
    model = Says(lambda each, x: each["l"](torch.fft.fft(x)).abs(), l=layer)
    found = workloads.record_module(model, torch.randn(6, 8))
    assert sizes(found)[0] == ("layers.l", "FF", 1, 6, 16, 8) and products(found)[0].macs == 4 * 6 * 8 * 4


def test_scattering_is_a_gather_and_no_mask() -> None:
    def passed(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        messages = layers["l"](x)[torch.tensor([0, 1, 2, 2])]
        return torch.zeros(3, 8).scatter_add(0, torch.tensor([1, 2, 0, 1])[:, None].expand(4, 8), messages)

    found = workloads.record_module(Says(passed, l=nn.Linear(8, 8)), torch.randn(3, 8))
    kinds = {op.kind for op in found.ops if isinstance(op, VectorOp)}
    assert VectorKind.GATHER in kinds and VectorKind.MASK not in kinds


@pytest.mark.parametrize(("pattern", "axis", "phases"), [("2:4", 1, {"FF"}), ("2:8", 0, {"BP"}), ("1:4", 1, {"FF"})])
def test_a_checkpoint_that_is_sparse_already_is_recognised(pattern: str, axis: int, phases: set[str]) -> None:
    n, m = (int(each) for each in pattern.split(":"))
    model = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 64), nn.Linear(64, 32))
    with torch.no_grad():
        weight = model[1].weight
        order = weight.abs().unflatten(axis, (-1, m)).argsort(axis + 1, descending=True).argsort(axis + 1)
        weight *= (order < n).flatten(axis, axis + 1)
    found = workloads.record_module(model, torch.randn(4, 32, requires_grad=True))
    sparse = {
        (op.layer, op.phase.value): str(op.right.pattern) for op in products(found) if not op.right.pattern.is_dense
    }
    assert sparse == {("1", phase): pattern for phase in phases}
    assert (found.method, found.pattern) == ("stated", "stated")
    told = workloads.record_module(model, torch.randn(4, 32), patterns=parse_patterns(["dense"]))
    assert all(op.right.pattern.is_dense for op in products(told)) and told.method == "dense"


def test_random_zeros_are_no_pattern() -> None:
    model = nn.Sequential(nn.Linear(32, 64), nn.Linear(64, 32))
    with torch.no_grad():
        for layer in model:
            layer.weight *= torch.rand_like(layer.weight) < 0.25  # type: ignore[operator]
    found = workloads.record_module(model, torch.randn(4, 32))
    assert all(op.right.pattern.is_dense for op in products(found)) and found.method == "dense"


@pytest.mark.skipif(not hasattr(torch, "_grouped_mm"), reason="torch has no products of experts before 2.8")
def test_experts_share_their_rows_where_nobody_knows() -> None:
    """Computed, the offsets say how many rows each expert has; by shapes alone they are shared, and that is said."""

    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Parameter(torch.randn(3, 16, 24, dtype=torch.bfloat16))

        def forward(self, x: Tensor, ends: Tensor) -> Tensor:
            return torch._grouped_mm(x, self.up, ends)

    x, ends = torch.randn(20, 16, dtype=torch.bfloat16), torch.tensor([7, 12, 20], dtype=torch.int32)
    found = workloads.record_module(Experts(), (x, ends))
    assert [(op.phase.value, op.count, op.rows, op.inner, op.cols) for op in products(found)] == [
        ("FF", 1, 7, 16, 24), ("FF", 1, 5, 16, 24), ("FF", 1, 8, 16, 24),
        ("WU", 1, 16, 7, 24), ("WU", 1, 16, 5, 24), ("WU", 1, 16, 8, 24),
    ]  # fmt: skip
    shared = workloads.record_module(Experts(), (x, ends), shapes_only=True)
    assert [each[2:4] for each in sizes(shared)][:2] == [(2, 7), (1, 6)]
    assert apply_method(shared, BDWP, parse_patterns(["2:4"])).capture.assumed == shared.capture.assumed
    assert shared.macs == found.macs and "rows shared equally among experts" in shared.capture.assumed[0]


def test_samples_of_gradients_are_recorded_though_torch_hides_what_they_keep() -> None:
    def per_sample(layers: nn.ModuleDict, x: Tensor) -> Tensor:
        weights = dict(layers["l"].named_parameters())

        def loss(weights: dict[str, Tensor], row: Tensor) -> Tensor:
            return torch.func.functional_call(layers["l"], weights, (row[None],)).square().sum()

        norms = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
        return norms["weight"].square().sum() + layers["l"](x).sum()

    found = workloads.record_module(Says(per_sample, l=nn.Linear(8, 4)), torch.randn(5, 8))
    assert "nothing is kept for the backward pass" in found.capture.assumed[0] and found.macs > 0


@pytest.mark.parametrize("layer", [nn.LSTM(6, 8), nn.MultiheadAttention(8, 2), nn.GRU(6, 8, num_layers=2)])
def test_every_weight_of_a_layer_is_updated(layer: nn.Module) -> None:
    """Of a layer with several weights the last alone was."""
    given = (torch.randn(5, 3, 8),) * 3 if isinstance(layer, nn.MultiheadAttention) else (torch.randn(5, 3, 6),)
    found = workloads.record_module(layer, given)
    updated = sum(op.elements for op in found.ops if isinstance(op, VectorOp) and op.phase is Phase.UP)
    assert updated == found.parameters == sum(each.numel() for each in layer.parameters())
