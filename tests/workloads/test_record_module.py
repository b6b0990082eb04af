"""A module that is in memory: recorded as `simulate trace` records it, and left as it was."""

import copy
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import workloads
from tests.command import Run
from workloads.errors import UserError
from workloads.op import MatrixOp
from workloads.pattern import parse_patterns
from workloads.stored import instantiate, read_template
from workloads.workload import Workload

MODULE = "users_module_in_memory"


def convs() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Conv2d(16, 16, 3), nn.Dropout(0.0),
        nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(16 * 10 * 10, 10),
    )  # fmt: skip


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 50)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.encoder(self.embedding(x)))
        return result


class Gives(nn.Module):
    def __init__(self, nothing: bool) -> None:
        super().__init__()
        self.layer, self.nothing = nn.Linear(16, 4), nothing

    def forward(self, x: Tensor) -> Tensor | None:
        return None if self.nothing else self.layer(x)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType(MODULE)
    made.convs, made.tokens = convs, Tokens  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, MODULE, made)


def products(ops: object) -> list[MatrixOp]:
    assert isinstance(ops, tuple)
    return [op for op in ops if isinstance(op, MatrixOp)]


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("shapes_only", [False, True])
@pytest.mark.parametrize("pattern", ["", "2:8"])
@pytest.mark.parametrize(("name", "sizes"), [("convs", "2x3x16x16"), ("tokens", "2x6:50")])
def test_the_command_gives_the_same(
    simulate: Run, tmp_path: Path, name: str, sizes: str, pattern: str, shapes_only: bool
) -> None:
    more = [*(["--pattern", pattern] if pattern else []), *(["--shapes-only"] if shapes_only else [])]
    assert simulate("trace", f"{MODULE}:{name}", "--input", sizes, *more, "--out", "w.json")[0] == 0
    path = tmp_path / "w.json"
    traced = instantiate(read_template(path), path)
    torch.manual_seed(0)
    module = convs() if name == "convs" else Tokens()
    inputs = torch.randn(2, 3, 16, 16) if name == "convs" else torch.randint(0, 50, (2, 6))
    patterns = parse_patterns([pattern]) if pattern else None
    found = workloads.record_module(module, inputs, patterns=patterns, shapes_only=shapes_only)
    assert found.ops == traced.ops
    assert (found.saved_elements, found.parameters, found.kept_dense) == (
        traced.saved_elements,
        traced.parameters,
        traced.kept_dense,
    )
    assert (found.method, found.pattern, found.batch, found.sequence) == (
        traced.method,
        traced.pattern,
        traced.batch,
        traced.sequence,
    )


@pytest.mark.parametrize("shapes_only", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_the_module_comes_back_as_it_was(training: bool, shapes_only: bool) -> None:
    module, inputs = convs().train(training), torch.randn(2, 3, 16, 16)
    module[0].weight.grad = torch.ones_like(module[0].weight)  # type: ignore[index]
    before, data, random = copy.deepcopy(module.state_dict()), inputs.clone(), torch.get_rng_state()
    kinds = [type(each) for each in module.modules()]
    for patterns in (None, parse_patterns(["2:8"])):
        workloads.record_module(module, inputs, patterns=patterns, shapes_only=shapes_only)
    assert [type(each) for each in module.modules()] == kinds
    assert module.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [each.training for each in module.modules()] == [training] * len(kinds)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())
    grads = [name for name, each in module.named_parameters() if each.grad is not None]
    assert grads == ["0.weight"] and torch.equal(inputs, data) and torch.equal(torch.get_rng_state(), random)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler
@pytest.mark.parametrize("where", ["all", "inside", "in place"])
def test_a_compiled_module_is_recorded_and_stays_compiled(where: str) -> None:
    module: nn.Module = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))
    plain = workloads.record_module(module, torch.randn(4, 16))
    if where == "all":
        module = torch.compile(module, backend="eager")  # type: ignore[assignment]
    elif where == "inside":
        module[2] = torch.compile(module[2], backend="eager")  # type: ignore[operator,index]
    else:
        module.compile(backend="eager")
    kinds = [type(each).__name__ for each in module.modules()]
    found = workloads.record_module(module, torch.randn(4, 16))
    assert [(op.layer, op.phase) for op in products(found.ops)] == [(op.layer, op.phase) for op in products(plain.ops)]
    assert [type(each).__name__ for each in module.modules()] == kinds
    assert where != "in place" or module._compiled_call_impl is not None


def test_several_inputs_a_method_and_a_name() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = nn.Linear(8, 8), nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            result: Tensor = self.d(self.c(self.a(x) + self.b(y)))
            return result

    def recorded(**more: object) -> Workload:
        given = [torch.randn(3, 8), torch.randn(3, 4)]
        return workloads.record_module(Two(), given, name="two", optimizer="adamw", **more)  # type: ignore[arg-type]

    found = recorded(method="sdgp", patterns=parse_patterns(["2:4"]))
    assert (found.model, found.method, found.batch, found.capture.dataset) == ("two", "sdgp", 3, "given inputs 3x8 3x4")
    sparse = {op.layer for op in products(found.ops) if not op.left.pattern.is_dense}
    assert sparse == {"c"}
    assert recorded().method == "dense"


@pytest.mark.parametrize(
    ("module", "inputs", "more", "sentence"),
    [
        (convs(), [], {}, "inputs: none; wanted is a tensor, batch first, a tuple of them, or a dict"),
        (convs(), "2x3", {}, "inputs: a str; wanted is a tensor"),
        (convs(), torch.tensor(1.0), {}, "inputs: a scalar; wanted is a tensor"),
        (convs(), torch.randn(4, 16), {}, "module: cannot run on inputs of 4x16: RuntimeError: "),
        (
            Gives(True),
            torch.randn(4, 16),
            {"name": "mine"},
            "mine: returns a NoneType; wanted is a tensor of real",
        ),
        (Gives(False).requires_grad_(False), torch.randn(4, 16), {}, "module: its output depends on no parameter"),
        (Gives(False), torch.randn(4, 16), {"method": "bdwp"}, "--pattern: method 'bdwp' needs one"),
        (Gives(False), torch.randn(4, 16), {"method": "bdpw"}, "unknown method 'bdpw'; did you mean 'bdwp'?"),
        (Gives(False), torch.randn(4, 16), {"optimizer": "adan"}, "--optimizer: unknown optimizer 'adan'"),
    ],
)
def test_mistakes(module: nn.Module, inputs: object, more: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as wrong:
        workloads.record_module(module, inputs, **more)  # type: ignore[arg-type]
    assert str(wrong.value).startswith(sentence)


def test_a_module_that_cannot_be_copied() -> None:
    module = nn.Linear(4, 4)
    module.made = module(torch.randn(2, 4))  # no leaf, which torch does not copy
    with pytest.raises(UserError, match="module: copying it stopped: RuntimeError: Only Tensors created explicitly"):
        workloads.record_module(module, torch.randn(2, 4))
