"""What a method needs to remember: the order of channels in a workload file, and masks in a checkpoint."""

import json
from pathlib import Path

import pytest
import torch

from tests.workloads.small import ADAMW, SGD, batches, training
from workloads.apply_method import apply_method
from workloads.methods.adams import ADAMS
from workloads.methods.base import Method
from workloads.methods.bdwp import BDWP
from workloads.methods.bimask import BIMASK
from workloads.methods.fields import changed
from workloads.methods.mdgf import MDGF
from workloads.methods.sdgf import SDGF
from workloads.methods.sdgp import SDGP
from workloads.methods.srigl import SRIGL
from workloads.methods.transposable import TRANSPOSABLE
from workloads.models.resnet import resnet9
from workloads.op import MatrixOp, Phase
from workloads.pattern import parse_pattern, parse_patterns
from workloads.stored import instantiate, read_template, template_of, write_template
from workloads.training.checkpoint import load_checkpoint, save_checkpoint
from workloads.training.data import batches as digit_batches
from workloads.training.loop import Recipe, Training, trace_step
from workloads.training.run import prepare
from workloads.training.settings import Settings
from workloads.workload import Workload


@pytest.fixture(scope="module")
def traced() -> Workload:
    torch.manual_seed(3)
    recipe = Recipe(changed(BIMASK, candidates=5), parse_patterns(["2:4"]), resnet9.kept_dense, SGD)
    run = Training(resnet9.build(width=0.25, image=16), recipe)
    return trace_step(resnet9, run, next(digit_batches(resnet9, 2, image=16)))


def test_the_order_is_in_the_file(traced: Workload, tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    write_template(template_of(traced), path)
    again = instantiate(read_template(path), path)
    assert again == traced and again.orders == traced.orders
    backward = [op for op in again.ops if isinstance(op, MatrixOp) and op.phase is Phase.BP]
    named = {op.right.permutation: op for op in backward if op.right.permutation}
    assert set(named) == set(again.orders) and len(named) == 7
    for name, op in named.items():
        assert op.geometry is not None and sorted(again.orders[name][0]) == list(range(op.geometry.out_channels))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 40 + len(traced.ops) + len(traced.orders)  # one order a line


def test_files_without_orders_say_nothing_of_them(traced: Workload, tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    other = apply_method(traced, BDWP, parse_patterns(["2:8"]))
    assert other.orders == {}
    assert all(op.right.permutation is None for op in other.ops if isinstance(op, MatrixOp))
    write_template(template_of(other), path)
    assert "orders" not in json.loads(path.read_text(encoding="utf-8"))
    assert instantiate(read_template(path), path) == other


@pytest.mark.parametrize("method", [MDGF, ADAMS])
def test_a_recorded_step_whose_weights_only_fade_can_be_read(method: Method, tmp_path: Path) -> None:
    recipe = Recipe(method, parse_patterns(["2:4"]), resnet9.kept_dense, ADAMW)
    run, path = Training(resnet9.build(width=0.25, image=16), recipe), tmp_path / "step.json"
    traced = trace_step(resnet9, run, next(digit_batches(resnet9, 2, image=16)))
    write_template(template_of(traced), path)
    again = instantiate(read_template(path), path)
    assert (again.method, again.pattern, again) == (method.name, "2:4", traced)
    assert all(op.right.pattern.is_dense for op in again.ops if isinstance(op, MatrixOp))


RESUMED: list[tuple[Method, str]] = [
    (changed(BIMASK, candidates=3, period=4), "2:4"),
    (changed(TRANSPOSABLE, period=4), "2:8"),
    (changed(SRIGL, period=4, total_steps=12), "fan-in 24"),
    (changed(ADAMS, period=4, total_steps=12), "2:4"),
    (changed(SDGF, total_steps=12), "1:8"),
    (changed(MDGF, total_steps=12), "2:4"),
    (SDGP, "2:4"),
]


@pytest.mark.parametrize("steps", [3, 4])  # 4: the next step makes new masks
@pytest.mark.parametrize(("method", "pattern"), RESUMED)
def test_a_run_goes_on_from_its_checkpoint_to_the_bit(method: Method, pattern: str, steps: int, tmp_path: Path) -> None:
    update = ADAMW if method.name == "adams" else SGD
    whole, first, second = (training(method, pattern, update) for _ in range(3))
    for run, count in ((whole, 7), (first, steps)):
        data = batches()
        for _ in range(count):
            run.run_step(next(data))
    save_checkpoint(first, "digits", 0.0, tmp_path)
    found = load_checkpoint(second, tmp_path)
    assert found is not None and (found.data, found.seconds) == ("digits", 0.0)
    data = batches()
    for number in range(7):
        batch = next(data)
        if number >= steps:
            second.run_step(batch)
    for name, parameter in whole.model.named_parameters():
        assert torch.equal(parameter, second.model.get_parameter(name)), name


def test_a_training_run_fits_the_schedule_to_its_length() -> None:
    settings = Settings("resnet9", "sdgf", ("2:8",), dataset="digits", image=16, width=0.25, steps=17, batch=4)
    method = prepare(settings).training.recipe.method
    seen = [str(method.pattern_at(parse_pattern("2:8"), step)) for step in (5, 6, 11, 12)]
    assert seen == ["7:8", "4:8", "4:8", "2:8"]
