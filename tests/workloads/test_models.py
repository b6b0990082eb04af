"""Models have the sizes they are known by."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from workloads.errors import UserError
from workloads.models.spec import DataKind, ModelSpec
from workloads.op import MatrixOp, Phase
from workloads.recording.capture import example, shapes_at
from workloads.registry import MODELS, load_entry, names

# torchvision's counts for the ResNets and, with its 512 -> 100 classifier, VGG-19; timm's for ViT (deit_small,
# vit_base_patch16_224); transformers' for BertForMaskedLM and GPT2LMHeadModel; ResNet-9 and the perceptron by hand.
PARAMETERS = {
    "mlp": 64 * 128 + 128 + 128 * 10 + 10,
    "resnet9": 6_573_130,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "resnet152": 60_192_808,
    "vgg19": 20_086_692,
    "vit-s": 22_050_664,
    "vit-b": 86_567_656,
    "bert-base": 109_514_298,
    "bert-large": 335_174_458,
    "gpt2-small": 124_439_808,
}


def spec_of(name: str) -> ModelSpec:
    spec: ModelSpec = load_entry(MODELS, "model", name)
    return spec


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name: str) -> None:
    with FakeTensorMode():
        model = spec_of(name).build()
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_every_registered_model_is_counted() -> None:
    assert set(PARAMETERS) <= set(names(MODELS))


@pytest.mark.parametrize("name", PARAMETERS)
def test_layers_kept_dense_exist(name: str) -> None:
    spec = spec_of(name)
    with FakeTensorMode():
        model = spec.build()
    assert all(hasattr(model.get_submodule(layer), "weight") for layer in spec.kept_dense)


@pytest.mark.parametrize("name", PARAMETERS)
def test_models_run_at_a_small_width_and_size(name: str) -> None:
    spec = spec_of(name)
    images = spec.data is DataKind.IMAGES
    side = min(32, spec.sizes.image) if images else None
    model = spec.build(width=0.1, image=side)
    inputs, _ = example(spec, 2, sequence=8, image=side)
    shape = (2, spec.sizes.classes) if images else (2, 8, spec.sizes.classes)
    assert model(inputs).shape == shape
    assert sum(each.numel() for each in model.parameters()) < PARAMETERS[name] / 4


def test_resnet18_at_224_has_the_known_macs() -> None:
    ops = [op for op in shapes_at(spec_of("resnet18"), (1, 1)).ops if isinstance(op, MatrixOp)]
    macs = {phase: sum(op.macs for op in ops if op.phase is phase) for phase in Phase}
    stem = 64 * 3 * 49 * 112 * 112
    assert macs[Phase.FF] == macs[Phase.WU] == 1_814_073_344
    assert macs[Phase.BP] == 1_814_073_344 - stem  # zeros that strides insert are not counted
    assert len(ops) == 21 + 20 + 21


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spec_of("resnet18").build(width=0), "resnet18: width 0 is not above 0"),
        (lambda: spec_of("gpt2-small").build(image=64), "gpt2-small: takes no image size; it reads text"),
        (lambda: spec_of("vit"), "unknown model 'vit'; did you mean 'vit-s'?"),
    ],
)
def test_mistakes(make: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        make()  # type: ignore[operator]
    assert str(error.value).startswith(message)


def test_gpt2_sees_only_what_came_before() -> None:
    model = spec_of("gpt2-small").build(width=0.1).eval()
    tokens = torch.randint(0, 256, (1, 12))
    changed = tokens.clone()
    changed[0, 8:] = 0
    with torch.no_grad():
        first, second = model(tokens), model(changed)
    assert torch.equal(first[0, :8], second[0, :8]) and not torch.equal(first[0, 8:], second[0, 8:])
