"""Sparse models in the training loops of others: transformers' Trainer, Lightning, peft."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.workloads.loops import METHOD_NAMES, NUMBERS, SCHEDULED
from workloads import finalize, sparsify
from workloads.methods.base import Known
from workloads.methods.srste import SRSTE
from workloads.op import Phase
from workloads.pattern import Pattern
from workloads.sparsity.masked_weight import masked_weights

transformers = pytest.importorskip("transformers", reason="the zoo needs transformers, which `make zoo` installs")
lightning = pytest.importorskip("lightning", reason="the zoo needs lightning, which `make zoo` installs")
peft = pytest.importorskip("peft", reason="the zoo needs peft, which `make zoo` installs")

LAYERS = 2 * 7  # four projections of attention and three of the MLP in each of two; the head stays dense
STEPS, GATHERED = 4, 3
METHOD, DECAY, RATE = "srste", 0.5, 0.1


def llama(seed: int = 3, method: object = METHOD) -> Any:
    """A small Llama, sparse but for its head."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=16, tie_word_embeddings=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    if method is not None:
        made = sparsify(model, method, "2:4", exclude=["lm_head"])
        assert len(made) == LAYERS
    return model


def words() -> list[dict[str, Tensor]]:
    tokens = torch.randint(0, 64, (2 * GATHERED * STEPS, 8), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": each, "labels": each} for each in tokens]


def trainer(model: nn.Module, folder: Path, **more: object) -> Any:
    settings = {
        "per_device_train_batch_size": 2, "gradient_accumulation_steps": GATHERED, "max_steps": STEPS,
        "learning_rate": 1e-2, "report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True, "seed": 5,
        "logging_strategy": "no", **more,
    }  # fmt: skip
    arguments = transformers.TrainingArguments(output_dir=str(folder), **settings)
    return transformers.Trainer(model=model, args=arguments, train_dataset=words())


def masks(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if name.endswith("mask_ff")}


def steps(model: nn.Module) -> set[int]:
    return {int(value) for name, value in model.state_dict().items() if name.endswith("mask_step")}


def largest(weight: Tensor) -> Tensor:
    """Where the two largest magnitudes of every 4 inputs are."""
    order = weight.abs().unflatten(1, (-1, 4)).argsort(dim=-1, descending=True, stable=True)
    return torch.zeros(order.shape, dtype=torch.bool).scatter(-1, order[..., :2], True).flatten(1)


def assert_same(left: nn.Module, right: nn.Module) -> None:
    ours, others = left.state_dict(), right.state_dict()
    assert ours.keys() == others.keys()
    for name, value in ours.items():
        assert torch.equal(value, others[name]), name


@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
def test_masks_are_renewed_once_a_step_of_the_trainer(tmp_path: Path, half: bool) -> None:
    made: list[int] = []

    def counted(weight: Tensor, pattern: Pattern, known: Known, step: int) -> Tensor:
        made.append(step)
        return SRSTE.forward_mask(weight, pattern, known, step)

    model = llama(method=replace(SRSTE, forward_mask=counted))
    before = deepcopy(masks(model))
    trainer(model, tmp_path, bf16=half).train()
    assert made == [step for step in range(STEPS + 1) for _ in range(LAYERS)] and steps(model) == {STEPS}
    for name, mask in masks(model).items():
        assert torch.equal(mask, largest(model.get_parameter(name.replace("mask_ff", "weight")).detach()))
    assert any(not torch.equal(mask, before[name]) for name, mask in masks(model).items())


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_of_the_trainer_changes_no_bit(tmp_path: Path, reentrant: bool) -> None:
    plain, saved = llama(), llama()
    trainer(plain, tmp_path / "plain").train()
    kept = {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": reentrant}}
    trainer(saved, tmp_path / "saved", **kept).train()
    assert saved.is_activation_checkpointing and not plain.is_activation_checkpointing
    assert_same(plain, saved)


def test_a_run_of_the_trainer_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = llama()
    trainer(whole, tmp_path, save_strategy="steps", save_steps=2).train()
    again = llama(seed=9)
    trainer(again, tmp_path / "again").train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert steps(again) == {STEPS}
    assert_same(whole, again)


def test_a_finalized_model_is_saved_and_loaded_as_a_dense_one(tmp_path: Path) -> None:
    model = llama()
    trainer(model, tmp_path).train()
    finalize(model).save_pretrained(tmp_path / "plain")
    plain = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "plain")
    assert not any("mask" in name for name in plain.state_dict())
    tokens = words()[0]["input_ids"][None]
    with torch.no_grad():
        model.eval()
        assert torch.equal(plain(tokens).logits, model(tokens).logits)
    for name, mask in masks(model).items():
        assert not plain.get_parameter(name.replace("mask_ff", "weight")).detach()[~mask].any()


def of_method(name: str, seed: int = 3) -> Any:
    """A Llama under any method, with what it needs for a short run."""
    model = llama(seed, method=None)
    pattern, steps = "fan-in 8" if name == "srigl" else "2:4", STEPS if name in SCHEDULED else None
    made = sparsify(model, name, pattern, exclude=["lm_head"], numbers=NUMBERS.get(name), total_steps=steps)
    assert len(made) == LAYERS
    return model


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_every_method_in_the_trainer(tmp_path: Path, name: str) -> None:
    """Masks hold their pattern, a run is resumed bit for bit, and what is saved at its end is a dense model."""
    whole, again = of_method(name), of_method(name, seed=9)
    trainer(whole, tmp_path, save_strategy="steps", save_steps=2).train()
    trainer(again, tmp_path / "again").train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert steps(again) == {STEPS}
    assert_same(whole, again)
    check_masks(whole)
    plain = finalize(whole)
    plain.save_pretrained(tmp_path / "plain")
    loaded = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "plain")
    tokens = words()[0]["input_ids"][None]
    with torch.no_grad():
        found, wanted, sparse = (each.eval()(tokens).logits for each in (loaded, plain, whole))
    assert torch.equal(found, wanted)
    assert name == "adams" or torch.equal(found, sparse)  # adams masks at the end alone
    assert torch.equal(sparse, whole(tokens).logits.detach())  # with gradients on


def check_masks(model: nn.Module) -> None:
    for _, weight in masked_weights(model):
        found = weight.masks
        assert (found is None) == (weight.treatment.method.name == "sdgp")
        if found is not None:
            assert weight.holds(found.forward, Phase.FF) and weight.holds(found.backward, Phase.BP, found.permutation)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_every_method_in_lightning(tmp_path: Path, name: str) -> None:
    whole, half, again = (Learner(name) for _ in range(3))
    fitted(whole, tmp_path, 2)
    fitted(half, tmp_path, 1).save_checkpoint(tmp_path / "half.ckpt")
    fitted(again, tmp_path, 2, checkpoint=tmp_path / "half.ckpt")
    assert_same(whole, again)
    check_masks(whole)


class Learner(lightning.LightningModule):
    """Two linear layers, the first of them sparse, under plain descent; under AdamW where a method wants it."""

    def __init__(self, name: str = METHOD) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body, self.head, self.adamw = nn.Linear(16, 32), nn.Linear(32, 4), name == "adams"
        numbers = {"decay": DECAY} if name == METHOD else NUMBERS.get(name)
        pattern, total = "fan-in 8" if name == "srigl" else "2:4", 16 if name in SCHEDULED else None
        sparsify(self, name, pattern, exclude=["head"], numbers=numbers, total_steps=total)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(x)))

    def training_step(self, given: tuple[Tensor, Tensor], _: int) -> Tensor:
        return cross_entropy(self(given[0]), given[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.adamw:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)
        return torch.optim.SGD(self.parameters(), lr=RATE, momentum=0.9)


def pictures() -> torch.utils.data.DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(24, 16, generator=generator), torch.randint(0, 4, (24,), generator=generator)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=3)


def fitted(learner: Learner, folder: Path, epochs: int, gathered: int = 2, checkpoint: Path | None = None) -> Any:
    made = lightning.Trainer(
        default_root_dir=folder, max_epochs=epochs, accumulate_grad_batches=gathered, accelerator="cpu", devices=1,
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    made.fit(learner, pictures(), ckpt_path=checkpoint)
    return made


@pytest.mark.parametrize("gathered", [1, 2])
def test_lightning_trains_as_a_loop_by_hand_does(tmp_path: Path, gathered: int) -> None:
    """Lightning computes gradients in a closure of the optimizer's step."""
    learner, wanted = Learner(), Learner()
    fitted(learner, tmp_path, 2, gathered)
    batches = [*pictures(), *pictures()]
    speed = {parameter: torch.zeros_like(parameter) for parameter in wanted.parameters()}
    for at in range(0, len(batches), gathered):
        losses = [wanted.training_step(each, 0) / gathered for each in batches[at : at + gathered]]
        gradients = torch.autograd.grad(sum(losses), list(wanted.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(wanted.parameters(), gradients, strict=True):
                decay = DECAY * parameter * ~wanted.body.mask_ff if parameter is wanted.body.weight else 0.0
                speed[parameter].mul_(0.9).add_(gradient + decay)
                parameter -= RATE * speed[parameter]
        wanted.body.mask_ff.copy_(largest(wanted.body.weight.detach()))
    assert steps(learner) == {len(batches) // gathered}
    assert torch.equal(learner.body.mask_ff, wanted.body.mask_ff)
    for name, parameter in learner.named_parameters():
        torch.testing.assert_close(parameter, wanted.get_parameter(name))


def test_a_run_of_lightning_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, half, again = Learner(), Learner(), Learner()
    fitted(whole, tmp_path, 4)
    fitted(half, tmp_path, 2).save_checkpoint(tmp_path / "half.ckpt")
    fitted(again, tmp_path, 4, checkpoint=tmp_path / "half.ckpt")
    assert_same(whole, again)
    loaded = Learner.load_from_checkpoint(tmp_path / "half.ckpt")
    assert_same(half, loaded)


def test_lora_on_a_sparse_model_trains_its_own_weights_and_keeps_masks(tmp_path: Path) -> None:
    model = llama()
    before = deepcopy(model.state_dict())
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    trainer(adapted, tmp_path).train()
    now = {name.replace(".base_layer", ""): value for name, value in adapted.get_base_model().state_dict().items()}
    for name, value in before.items():
        assert torch.equal(now[name], value), name
    found = [value for name, value in now.items() if "lora_B" in name]
    assert len(found) == 4 and all(value.any() for value in found)
    layer = adapted.get_base_model().model.layers[0].self_attn.q_proj
    x = torch.randn(5, 32)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    base = layer.base_layer.weight.detach()
    wanted = x @ (base * largest(base)).mT + layer.scaling["default"] * (x @ down.mT) @ up.mT
    adapted.eval()
    torch.testing.assert_close(layer(x), wanted)
