"""Building blocks of diffusers, from small configurations."""

from collections.abc import Callable

import diffusers
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from tests.zoo.entry import Entry, Inputs, images

WIDTHS = (16, 32)
SIDE = 16


def _noisy(batch: int) -> Inputs:
    return {"sample": torch.randn(batch, 3, SIDE, SIDE), "timestep": torch.arange(batch)}


def _described(batch: int) -> Inputs:
    text = torch.randn(batch, 5, 24)
    return {"sample": torch.randn(batch, 4, SIDE, SIDE), "timestep": torch.arange(batch), "encoder_hidden_states": text}


def _made(kind: str, **options: object) -> Callable[[], nn.Module]:
    """Builds a model of diffusers."""

    def build() -> nn.Module:
        model: nn.Module = getattr(diffusers, kind)(**options)
        return model

    return build


def _mixed(batch: int) -> Inputs:
    return {"hidden_states": torch.randn(batch, 16, 8, 8), "encoder_hidden_states": torch.randn(batch, 5, 24)}


def _labelled(batch: int) -> Inputs:
    steps = torch.arange(batch)
    return {"hidden_states": torch.randn(batch, 4, 8, 8), "timestep": steps, "class_labels": steps}


def _resnet_block(batch: int) -> Inputs:
    return torch.randn(batch, 16, SIDE, SIDE), torch.randn(batch, 24)


def _resnet() -> nn.Module:
    model: nn.Module = ResnetBlock2D(in_channels=16, out_channels=32, temb_channels=24, groups=8, down=True)
    return model


UNET = {
    "sample_size": SIDE,
    "block_out_channels": WIDTHS,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "attention_head_dim": 8,
}
PLAIN = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
TEXT = {
    "cross_attention_dim": 24,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}
AUTOENCODER = {
    "block_out_channels": WIDTHS,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 8,
    "latent_channels": 4,
    "sample_size": SIDE,
}
HEADS = {"num_attention_heads": 2, "attention_head_dim": 8, "norm_num_groups": 8}
DIT = {"in_channels": 4, "num_layers": 1, "sample_size": 8, "patch_size": 2, "num_embeds_ada_norm": 10}

MODELS = (
    Entry("diffusers/unet", _made("UNet2DModel", **UNET, **PLAIN), _noisy),
    Entry("diffusers/unet-text", _made("UNet2DConditionModel", **UNET, **TEXT), _described),
    Entry("diffusers/autoencoder", _made("AutoencoderKL", **AUTOENCODER), images(SIDE)),
    Entry("diffusers/vq", _made("VQModel", **AUTOENCODER, num_vq_embeddings=32), images(SIDE)),
    Entry(
        "diffusers/transformer2d",
        _made("Transformer2DModel", **HEADS, in_channels=16, cross_attention_dim=24),
        _mixed,
    ),
    Entry("diffusers/dit", _made("DiTTransformer2DModel", **HEADS, **DIT), _labelled),
    Entry("diffusers/resnet-block", _resnet, _resnet_block),
)
