"""Masks in a file of their own: read back as they were, and refused where the model cannot have them."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.workloads.test_sparsify import X, net, trained
from workloads import load_masks, save_masks, sparsify
from workloads.errors import UserError


def test_masks_are_saved_and_read_by_themselves(tmp_path: Path) -> None:
    model, other = net(), net()
    for each in (model, other):
        sparsify(each, "bimask", "2:4", numbers={"candidates": 3})
    trained(model, X)
    save_masks(model, tmp_path / "m.safetensors")
    tensors = load_file(tmp_path / "m.safetensors")
    assert sorted(tensors) == sorted(f"{layer}.{part}" for layer in "024" for part in ("ff", "bp", "order"))
    load_masks(other, tmp_path / "m.safetensors")
    assert all(torch.equal(one, two) for one, two in zip(model.buffers(), other.buffers(), strict=True))
    wrong = net()
    sparsify(wrong, "bdwp", "2:4")
    with pytest.raises(UserError, match=r"layer '0': its masks are of bimask 2:4; the model's are of bdwp 2:4"):
        load_masks(wrong, tmp_path / "m.safetensors")
    with pytest.raises(UserError, match="the model has no masks; sparsify makes some"):
        save_masks(net(), tmp_path / "n.safetensors")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("0.ff", torch.ones(64, 32, dtype=torch.bool), "'0.ff' keeps more than 2:4 allows"),
        ("0.ff", torch.zeros(64, 31, dtype=torch.bool), "'0.ff' is 64x31 of torch.bool; wanted is 64x32 of torch.bool"),
        ("0.order", torch.zeros(1, 64, dtype=torch.int64), "'0.order' is no order of channels"),
        ("9.ff", torch.zeros(1, dtype=torch.bool), "'9.ff': the file has it, and the model does not"),
        ("0.bp", None, "'0.bp': the model has it, and the file does not"),
    ],
)
def test_masks_that_the_model_cannot_have_are_refused(
    tmp_path: Path, name: str, value: Tensor | None, said: str
) -> None:
    model, path = net(), tmp_path / "m.safetensors"
    sparsify(model, "bimask", "2:4", numbers={"candidates": 3})
    save_masks(model, path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = {key: each for key, each in load_file(path).items() if key != name}
    save_file(tensors if value is None else {**tensors, name: value}, path, metadata)
    before = [each.clone() for each in model.buffers()]
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        load_masks(model, path)
    assert all(torch.equal(one, two) for one, two in zip(before, model.buffers(), strict=True))
