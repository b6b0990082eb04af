"""Models of transformers, built from small configurations."""

from collections.abc import Callable

import torch
import transformers as hf
from torch import nn

from tests.zoo.entry import Entry, Inputs

WORDS = 96  # in the vocabulary
LENGTH = 16
WIDTH, DEEP = 32, 2
BERT = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": DEEP,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
LLAMA = BERT | {"num_key_value_heads": 2, "use_cache": False, "pad_token_id": 0}
HEAD = {"head_dim": 8}
EXPERTS = {"num_experts_per_tok": 2, "output_router_logits": False}
T5 = {"vocab_size": WORDS, "d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": DEEP, "num_heads": 4}
IMAGE = {"image_size": 32, "patch_size": 8}
VIT = {name: size for name, size in BERT.items() if name not in ("vocab_size", "max_position_embeddings")} | IMAGE
AUDIO = {"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16, "d_model": WIDTH}


def ids(*names: str) -> Callable[[int], Inputs]:
    """Token ids of (B, LENGTH) under each name."""
    return lambda batch: {name: torch.randint(1, WORDS, (batch, LENGTH)) for name in names}


def pixels(batch: int) -> Inputs:
    return {"pixel_values": torch.randn(batch, 3, 32, 32)}


def sound(batch: int) -> Inputs:
    """What a speech model hears, and the words that it said before."""
    return {
        "input_features": torch.randn(batch, 8, 2 * LENGTH),
        "decoder_input_ids": torch.randint(1, WORDS, (batch, LENGTH)),
    }


def both(batch: int) -> Inputs:
    tokens = ids("input_ids")(batch)
    assert isinstance(tokens, dict)
    return tokens | {"pixel_values": torch.randn(batch, 3, 32, 32)}


def configured(kind: str, config: str, **options: object) -> Callable[[], nn.Module]:
    """Builds the model `kind` from its configuration."""

    def build() -> nn.Module:
        model: nn.Module = getattr(hf, kind)(getattr(hf, config)(**options))
        return model

    return build


def clip() -> nn.Module:
    text = BERT | {"eos_token_id": 1}
    parts = {"text_config": text, "vision_config": VIT, "projection_dim": WIDTH}
    return configured("CLIPModel", "CLIPConfig", **parts)()


TOKENS, PAIRS = ids("input_ids"), ids("input_ids", "decoder_input_ids")
WHISPER = AUDIO | {
    "vocab_size": WORDS,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "pad_token_id": 0,
    "use_cache": False,
}
BART = {name: size for name, size in WHISPER.items() if name not in AUDIO} | {"d_model": WIDTH}
GPT2 = {"vocab_size": WORDS, "n_positions": 32, "n_embd": WIDTH, "n_layer": DEEP, "n_head": 4, "use_cache": False}
DISTIL = {"vocab_size": WORDS, "dim": WIDTH, "n_layers": DEEP, "n_heads": 4, "hidden_dim": 64}
MAMBA = {"vocab_size": WORDS, "hidden_size": WIDTH, "state_size": 4, "num_hidden_layers": 1, "use_cache": False}
HEARD = {
    "conv_dim": (16, 16),
    "conv_stride": (4, 2),
    "conv_kernel": (8, 4),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "apply_spec_augment": False,
    "layerdrop": 0.0,
}
SEG = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "num_attention_heads": [1, 2, 3, 4]}

MODELS = (
    Entry("hf/bert", configured("BertForMaskedLM", "BertConfig", **BERT), TOKENS),  # tied embedding
    Entry("hf/bert-eager", configured("BertModel", "BertConfig", attn_implementation="eager", **BERT), TOKENS),
    Entry("hf/distilbert", configured("DistilBertForMaskedLM", "DistilBertConfig", **DISTIL), TOKENS),
    Entry("hf/albert", configured("AlbertModel", "AlbertConfig", embedding_size=16, **BERT), TOKENS),  # shared layers
    Entry("hf/deberta-v2", configured("DebertaV2Model", "DebertaV2Config", relative_attention=True, **BERT), TOKENS),
    Entry("hf/gpt2", configured("GPT2LMHeadModel", "GPT2Config", **GPT2), TOKENS),
    Entry("hf/llama", configured("LlamaForCausalLM", "LlamaConfig", **LLAMA), TOKENS),
    Entry("hf/qwen3", configured("Qwen3ForCausalLM", "Qwen3Config", **LLAMA, **HEAD), TOKENS),
    Entry("hf/gemma2", configured("Gemma2ForCausalLM", "Gemma2Config", **LLAMA, **HEAD), TOKENS),
    Entry("hf/t5", configured("T5ForConditionalGeneration", "T5Config", **T5), PAIRS),
    Entry("hf/bart", configured("BartForConditionalGeneration", "BartConfig", **BART), PAIRS),
    Entry("hf/vit", configured("ViTForImageClassification", "ViTConfig", **VIT), pixels),
    Entry("hf/segformer", configured("SegformerForSemanticSegmentation", "SegformerConfig", **SEG), pixels),
    Entry("hf/whisper", configured("WhisperForConditionalGeneration", "WhisperConfig", **WHISPER), sound),
    Entry(
        "hf/wav2vec2", configured("Wav2Vec2Model", "Wav2Vec2Config", **BERT, **HEARD), lambda b: (torch.randn(b, 400),)
    ),
    Entry("hf/mamba", configured("MambaForCausalLM", "MambaConfig", **MAMBA), TOKENS),
    Entry("hf/clip", clip, both),
    Entry(
        "hf/mixtral", configured("MixtralForCausalLM", "MixtralConfig", num_local_experts=4, **LLAMA, **EXPERTS), TOKENS
    ),
    Entry(
        "hf/mixtral-loop",
        configured(
            "MixtralForCausalLM",
            "MixtralConfig",
            num_local_experts=4,
            experts_implementation="eager",
            **LLAMA,
            **EXPERTS,
        ),
        TOKENS,
    ),
)
