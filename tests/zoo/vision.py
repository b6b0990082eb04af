"""Image models of timm, as small as their own options make them."""

from collections.abc import Callable
from functools import partial

import timm
from timm.layers.norm_act import GroupNormAct
from timm.models.metaformer import MetaFormer
from timm.models.mlp_mixer import MlpMixer
from timm.models.resnetv2 import ResNetV2
from timm.models.vgg import VGG
from torch import nn

from tests.zoo.entry import Entry, images

SIDE = 64


def _model(name: str, **options: object) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        create: Callable[..., nn.Module] = timm.create_model
        return create(name, num_classes=10, **options)

    return build


def _entry(name: str, *, side: int = SIDE, sized: bool = False, **options: object) -> Entry:
    if sized:
        options["img_size"] = side
    return Entry(f"timm/{name}", _model(name, **options), images(side))


def _standardised() -> nn.Module:
    """A ResNet whose convolutions standardise their weights."""
    norm = partial(GroupNormAct, num_groups=4)
    model: nn.Module = ResNetV2([1, 1, 1, 1], (32, 64, 64, 64), num_classes=10, norm_layer=norm)
    return model


DEEP = {"depth": 2, "embed_dim": 48, "num_heads": 3}
PLAIN: list[str | int] = [16, "M", 32, "M", 32, 32, "M", 64, 64, "M", 64, 64, "M"]

MODELS = (
    _entry("resnet10t", side=32),
    _entry("resnext50_32x4d", side=32, layers=(1, 1, 1, 1)),
    Entry("timm/resnetv2", lambda: _standardised(), images(32)),
    Entry("timm/vgg", lambda: VGG(PLAIN, 10, mlp_ratio=1 / 32), images(32)),
    _entry("densenet121", side=32, block_config=(2, 2, 2, 2)),
    _entry("convnext_atto", depths=(1, 1, 2, 1), dims=(16, 32, 48, 64)),
    _entry("convnextv2_atto", depths=(1, 1, 1, 1), dims=(16, 32, 48, 64)),
    _entry("efficientnet_b0", side=32),
    _entry("mobilenetv3_small_050"),
    _entry("ghostnet_050"),
    _entry("regnetx_002"),
    _entry("regnety_002"),  # with squeeze and excitation
    _entry("repvgg_a0", side=32),
    _entry("nf_regnet_b0", side=32),
    _entry("swin_tiny_patch4_window7_224", sized=True, window_size=4, embed_dim=24, depths=(1, 1, 2, 1)),
    _entry("deit_tiny_patch16_224", sized=True, **DEEP),
    _entry("deit_tiny_distilled_patch16_224", sized=True, **DEEP),
    _entry("vit_tiny_patch16_224", sized=True, **DEEP),
    _entry("eva02_tiny_patch14_224", sized=True, patch_size=16, **DEEP),  # rotary positions, SwiGLU
    _entry("beit_base_patch16_224", sized=True, **DEEP),  # relative positions in attention
    Entry("timm/mixer", lambda: MlpMixer(10, SIDE, 3, 16, num_blocks=2, embed_dim=64), images(SIDE)),
    _entry("coatnet_0_224", sized=True, depths=(1, 1, 1, 1), embed_dim=(16, 32, 64, 64), stem_width=(16, 16)),
    _entry("edgenext_xx_small"),  # attention across channels
    _entry("mobilevit_xxs"),
    Entry(
        "timm/poolformer", lambda: MetaFormer(depths=(1, 1, 1, 1), dims=(16, 32, 48, 64), num_classes=10), images(SIDE)
    ),
    _entry("levit_128s", sized=True),
    _entry("xcit_nano_12_p16_224", sized=True, depth=2),
)
