"""The recorder: products of hand-computed sizes, names of shared data, what is kept, and what is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional

from workloads.conv import ConvGeometry
from workloads.errors import UserError
from workloads.models.loss import CrossEntropy
from workloads.models.transformer import Attention
from workloads.op import MatrixOp, Optimizer, Phase, Role, VectorKind, VectorOp
from workloads.pattern import Pattern, parse_pattern
from workloads.recording.products import Product
from workloads.recording.record import Recorded, record_pass
from workloads.recording.tensor_names import TensorNames


def record(model: nn.Module, x: Tensor, **more: object) -> Recorded:
    return record_pass(model, nn.Identity(), lambda: model(x).square().sum().backward(), Optimizer.MOMENTUM, **more)  # type: ignore[arg-type]


def matrix(recorded: Recorded, layer: str = "") -> dict[Phase, MatrixOp]:
    return {op.phase: op for op in recorded.ops if isinstance(op, MatrixOp) and op.layer.startswith(layer)}


def sizes(op: MatrixOp) -> tuple[int, int, int, int]:
    return op.count, op.rows, op.inner, op.cols


def test_a_linear_layer() -> None:
    ops = matrix(record(nn.Sequential(nn.Linear(12, 10), nn.Linear(10, 7)), torch.randn(3, 5, 12)), "1")
    assert {phase: sizes(op) for phase, op in ops.items()} == {
        Phase.FF: (1, 15, 10, 7),
        Phase.BP: (1, 15, 7, 10),
        Phase.WU: (1, 10, 15, 7),
    }
    assert [ops[Phase.FF].left.tensor, ops[Phase.FF].right.tensor] == ["1.input", "1.weight"]
    assert [ops[Phase.BP].left.tensor, ops[Phase.BP].right.tensor] == ["1.grad_output", "1.weight"]
    assert [ops[Phase.WU].left.tensor, ops[Phase.WU].right.tensor] == ["1.input", "1.grad_output"]
    assert [op.right.role for op in ops.values()] == [Role.WEIGHT, Role.WEIGHT, Role.GRADIENT]


@pytest.mark.parametrize(
    ("conv", "expected", "useful"),
    [
        # (count, rows, inner, cols) of FF, BP and WU; MACs of BP without the zeros a stride inserts: of the 7 positions
        # along an axis, a stride of 2 lets 4 be reached by one tap of the kernel and 3 by two, which makes 10
        (nn.Conv2d(8, 6, 3, padding=1), [(1, 98, 72, 6), (1, 98, 54, 8), (1, 72, 98, 6)], 98 * 54 * 8),
        (nn.Conv2d(8, 6, 3, stride=2, padding=1), [(1, 32, 72, 6), (1, 98, 54, 8), (1, 72, 32, 6)], 2 * 10 * 10 * 48),
        (nn.Conv2d(8, 6, 3, groups=2, padding=1), [(2, 98, 36, 3), (2, 98, 27, 4), (2, 36, 98, 3)], 98 * 27 * 8),
        (nn.Conv2d(8, 8, 3, groups=8, padding=1), [(8, 98, 9, 1), (8, 98, 9, 1), (8, 9, 98, 1)], 98 * 9 * 8),
        (nn.Conv2d(8, 6, 1, stride=2), [(1, 32, 8, 6), (1, 98, 6, 8), (1, 8, 32, 6)], 32 * 48),
        (nn.Conv2d(8, 6, 3, dilation=2), [(1, 18, 72, 6), (1, 98, 54, 8), (1, 72, 18, 6)], 98 * 54 * 8),
    ],
)
def test_a_convolution(conv: nn.Conv2d, expected: list[tuple[int, ...]], useful: int) -> None:
    x = torch.randn(2, 8, 7, 7, requires_grad=True)
    ops = matrix(record(conv, x))
    assert [sizes(ops[phase]) for phase in (Phase.FF, Phase.BP, Phase.WU)] == expected
    assert ops[Phase.BP].macs == useful
    assert ops[Phase.FF].macs == ops[Phase.WU].macs
    geometry = ops[Phase.FF].geometry
    assert geometry is not None and geometry.output_size == conv(x).shape[2:]
    assert (geometry.groups, geometry.stride, ops[Phase.FF].images) == (conv.groups, conv.stride, 2)


def test_a_convolution_of_one_dimension_has_height_one() -> None:
    op = matrix(record(nn.Conv1d(8, 6, 5, stride=2, padding=2), torch.randn(3, 8, 20)))[Phase.FF]
    assert op.geometry == ConvGeometry(8, 6, (1, 5), (1, 2), (0, 2), (1, 20))
    assert sizes(op) == (1, 30, 40, 6)


def test_the_first_layer_has_no_gradient_of_the_input() -> None:
    recorded = record(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)), torch.randn(1, 3, 9, 9))
    order = [(op.layer, op.phase.value) for op in recorded.ops if isinstance(op, MatrixOp)]
    assert order == [("0", "FF"), ("2", "FF"), ("2", "BP"), ("2", "WU"), ("0", "WU")]


def test_attention_is_products_of_two_activations() -> None:
    recorded = record(Attention(128), torch.randn(3, 10, 128))
    found = [op for op in recorded.ops if isinstance(op, MatrixOp) and op.layer in ("scores", "mix")]
    assert [(op.layer, op.phase.value, *sizes(op)) for op in found] == [
        ("scores", "FF", 6, 10, 64, 10),
        ("mix", "FF", 6, 10, 10, 64),
        ("mix", "BP", 6, 64, 10, 10),
        ("mix", "BP", 6, 10, 64, 10),
        ("scores", "BP", 6, 10, 10, 64),
        ("scores", "BP", 6, 10, 10, 64),
    ]
    assert Role.WEIGHT not in {operand.role for op in found for operand in (op.left, op.right)}
    names = {op.layer: (op.left.tensor, op.right.tensor) for op in found if op.phase is Phase.FF}
    assert len({name for pair in names.values() for name in pair}) == 4  # query, key, scores, value


def test_data_changed_in_place_has_another_name() -> None:
    assert [op.left.tensor for op in _forward(_in_place)] == ["layers.0.input", "layers.1.input", "layers.2.input"]


def test_branches_share_the_name_of_their_input() -> None:
    assert [op.left.tensor for op in _forward(_shared)] == ["layers.0.input", "layers.1.input", "layers.1.input"]


def _shared(layers: nn.ModuleList, x: Tensor) -> Tensor:
    x = layers[0](x)
    result: Tensor = layers[1](x) + layers[2](x.reshape(2, 2, 8)).reshape(4, 8)
    return result


def _in_place(layers: nn.ModuleList, x: Tensor) -> Tensor:
    x = layers[0](x).detach()
    y = layers[1](x)
    x.add_(1.0)
    result: Tensor = y + layers[2](x)
    return result


class Applied(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layers, x)  # type: ignore[no-any-return, operator]


def _forward(function: object) -> list[MatrixOp]:
    recorded = record(Applied(function), torch.randn(4, 8))
    return [op for op in recorded.ops if isinstance(op, MatrixOp) and op.phase is Phase.FF]


def test_zeros_are_measured() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4, bias=False))
    with torch.no_grad():
        model[2].weight[:, :6] = 0
        model[0].bias.fill_(-100)
        model[0].bias[:3] = 100
    ops = matrix(record(model, torch.randn(16, 8)), "2")
    assert ops[Phase.FF].left.zeros == 0.625 and ops[Phase.FF].right.zeros == 0.75
    assert ops[Phase.WU].left.zeros == 0.625


def test_fake_tensors_have_shapes_and_no_zeros() -> None:
    with FakeTensorMode():
        fake = record(nn.Conv2d(8, 6, 3), torch.randn(2, 8, 7, 7))
    real = record(nn.Conv2d(8, 6, 3), torch.randn(2, 8, 7, 7))
    assert [sizes(op) for op in matrix(fake).values()] == [sizes(op) for op in matrix(real).values()]
    assert matrix(fake)[Phase.FF].left.zeros is None
    assert fake.saved_elements == real.saved_elements


def test_what_is_kept_for_the_backward_pass() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    recorded = record(model, torch.randn(5, 8))
    assert (
        recorded.saved_elements == 5 * 8 + 5 * 16 + 5 * 4
    )  # inputs of both, shared with ReLU's output, and the loss's
    assert recorded.parameters == 8 * 16 + 16 + 16 * 4 + 4


def test_vector_work_of_a_block() -> None:
    model = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU())
    ops = [op for op in record(model, torch.randn(2, 4, 6, 6)).ops if isinstance(op, VectorOp) and op.layer != "model"]
    size = 2 * 6 * 4 * 4
    found = [(op.layer, op.phase.value, op.kind, op.elements, op.reads, op.writes) for op in ops]
    assert found == [
        ("1", "FF", VectorKind.NORMALISATION, size, 2 * size, size),
        ("2", "FF", VectorKind.ACTIVATION, size, size, size),
        ("2", "BP", VectorKind.ACTIVATION, size, 2 * size, size),
        ("1", "BP", VectorKind.NORMALISATION, size, 4 * size, size),
        ("0", "UP", VectorKind.UPDATE, 216, 3 * 216, 2 * 216),
        ("1", "UP", VectorKind.UPDATE, 12, 36, 24),
    ]


def test_biases_and_the_loss() -> None:
    model, loss, targets = nn.Linear(8, 10), CrossEntropy(), torch.zeros(4, dtype=torch.long)
    recorded = record_pass(model, loss, lambda: loss(model(torch.randn(4, 8)), targets).backward(), Optimizer.ADAMW)
    found = [(op.layer, op.phase.value, op.kind) for op in recorded.ops if isinstance(op, VectorOp)]
    assert found == [
        ("model", "FF", VectorKind.ELEMENTWISE),
        ("loss", "FF", VectorKind.LOSS),
        ("loss", "BP", VectorKind.LOSS),
        ("model", "BP", VectorKind.ELEMENTWISE),
        ("model", "UP", VectorKind.UPDATE),
        ("model.bias", "UP", VectorKind.UPDATE),
    ]
    update = recorded.ops[-2]
    assert isinstance(update, VectorOp) and (update.optimizer, update.reads, update.writes) == ("adamw", 320, 240)


@pytest.mark.parametrize("phase", [Phase.FF, Phase.BP])
def test_a_planted_violation_is_refused(phase: Phase) -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[5, :3, 1, 2] = 1.0  # three along the input channels
        model[1].weight[2:5, 7, 0, 0] = 1.0  # three along the output channels

    def pattern_of(parameter: str, at: Phase, role: Role) -> Pattern:
        sparse = parameter == "1.weight" and at is phase and role is Role.WEIGHT
        return parse_pattern("2:8" if sparse else "dense")

    along = {"FF": "input channels", "BP": "output channels"}[phase]
    message = (
        f"layer '1': the weight of {phase} has 3 non-zeros in a group of 8 along {along}; the pattern 2:8 allows 2"
    )
    with pytest.raises(UserError, match=message):
        record(model, torch.randn(1, 4, 5, 5), pattern_of=pattern_of)


def test_functional_code_is_recorded_too() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(6, 8))

        def forward(self, x: Tensor) -> Tensor:
            return functional.gelu(x @ self.kernel.T)

    ops = matrix(record(Plain(), torch.randn(3, 8, requires_grad=True)))
    assert {phase: sizes(op) for phase, op in ops.items()} == {
        Phase.FF: (1, 3, 8, 6),
        Phase.BP: (1, 3, 6, 8),
        Phase.WU: (1, 8, 3, 6),
    }
    assert ops[Phase.FF].right.tensor == "kernel"


def test_memory_that_the_step_frees_is_free_and_its_next_owner_is_other_data() -> None:
    names, seen, freed = TensorNames(), [], []
    for number in range(50):
        made = torch.full((64, 64), float(number))
        freed.append(StorageWeakRef(made.untyped_storage()))  # type: ignore[no-untyped-call]
        seen.append(names.name(made, "x"))
        del made
    assert len(set(seen)) == 50
    assert all(each.expired() for each in freed)  # type: ignore[no-untyped-call]


def test_nothing_of_a_recorded_step_stays_in_memory() -> None:
    kept: list[StorageWeakRef] = []

    def watch(product: Product) -> None:
        if not product.weight or product.op.phase is Phase.WU:
            kept.append(StorageWeakRef(product.right.untyped_storage()))  # type: ignore[no-untyped-call]
            assert sum(not each.expired() for each in kept) <= 2  # type: ignore[no-untyped-call]

    record(nn.Sequential(*(nn.Linear(16, 16) for _ in range(20))), torch.randn(4, 16), watch=watch)
    assert len(kept) == 20
