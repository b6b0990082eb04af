"""Building blocks of diffusers, from small configurations."""

import diffusers
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from tests.zoo.entry import Entry, Inputs, images, numbers

WIDTHS = (16, 32)
SIDE = 16


def _noisy(batch: int) -> Inputs:
    return {"sample": torch.randn(batch, 3, SIDE, SIDE), "timestep": torch.arange(batch)}


def _described(batch: int) -> Inputs:
    text = torch.randn(batch, 5, 24)
    return {"sample": torch.randn(batch, 4, SIDE, SIDE), "timestep": torch.arange(batch), "encoder_hidden_states": text}


def _unet() -> nn.Module:
    model: nn.Module = diffusers.UNet2DModel(
        sample_size=SIDE,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return model


def _text_unet() -> nn.Module:
    model: nn.Module = diffusers.UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=24,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    return model


def _autoencoder() -> nn.Module:
    model: nn.Module = diffusers.AutoencoderKL(
        block_out_channels=WIDTHS,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=SIDE,
    )
    return model


def _transformer() -> nn.Module:
    model: nn.Module = diffusers.Transformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=16, norm_num_groups=8, cross_attention_dim=24
    )
    return model


def _dit() -> nn.Module:
    model: nn.Module = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        num_layers=1,
        norm_num_groups=8,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=10,
    )
    return model


def _mixed(batch: int) -> Inputs:
    return {"hidden_states": torch.randn(batch, 16, 8, 8), "encoder_hidden_states": torch.randn(batch, 5, 24)}


def _labelled(batch: int) -> Inputs:
    steps = torch.arange(batch)
    return {"hidden_states": torch.randn(batch, 4, 8, 8), "timestep": steps, "class_labels": steps}


def _resnet_block(batch: int) -> Inputs:
    return torch.randn(batch, 16, SIDE, SIDE), torch.randn(batch, 24)


MODELS = (
    Entry("diffusers/unet", _unet, _noisy),
    Entry("diffusers/unet-text", _text_unet, _described),
    Entry("diffusers/autoencoder", _autoencoder, images(SIDE)),
    Entry("diffusers/transformer2d", _transformer, _mixed),
    Entry("diffusers/dit", _dit, _labelled),
    Entry(
        "diffusers/resnet-block",
        lambda: ResnetBlock2D(in_channels=16, out_channels=32, temb_channels=24, groups=8, down=True),
        _resnet_block,
    ),
    Entry(
        "diffusers/unet1d-block",
        lambda: diffusers.models.unets.unet_1d_blocks.ResConvBlock(8, 16, 8),
        numbers(8, 32),
    ),
)
