"""Adapters of peft on a small Llama and a small BERT: most weights are frozen, so they have no gradient."""

from collections.abc import Callable

import peft
from torch import nn

from tests.zoo.entry import Entry
from tests.zoo.language import BERT, LLAMA, TOKENS, configured

PROJECTIONS = ["q_proj", "v_proj"]
LLM = configured("LlamaForCausalLM", "LlamaConfig", **LLAMA)
MASKED = configured("BertForMaskedLM", "BertConfig", **BERT)


def _adapted(**adapter: object) -> Callable[[], nn.Module]:
    """A Llama with the adapter that the options name."""

    def build() -> nn.Module:
        options = dict(adapter)
        config = getattr(peft, str(options.pop("kind")))(task_type="CAUSAL_LM", **options)
        model: nn.Module = peft.get_peft_model(LLM(), config)
        return model

    return build


def _bert() -> nn.Module:
    config = peft.LoraConfig(r=4, target_modules=["query", "value"], modules_to_save=["cls"])
    model: nn.Module = peft.get_peft_model(MASKED(), config)
    return model


MODELS = (
    Entry("peft/lora", _adapted(kind="LoraConfig", r=4, target_modules=PROJECTIONS), TOKENS),
    Entry("peft/lora-bert", _bert, TOKENS),
    Entry("peft/dora", _adapted(kind="LoraConfig", r=4, use_dora=True, target_modules=PROJECTIONS), TOKENS),
    Entry(
        "peft/ia3",
        _adapted(kind="IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
        TOKENS,
    ),
    Entry("peft/loha", _adapted(kind="LoHaConfig", r=4, target_modules=PROJECTIONS), TOKENS),
    Entry("peft/lokr", _adapted(kind="LoKrConfig", r=4, target_modules=PROJECTIONS), TOKENS),
    Entry("peft/oft", _adapted(kind="OFTConfig", oft_block_size=8, target_modules=PROJECTIONS), TOKENS),
    Entry("peft/prompt", _adapted(kind="PromptTuningConfig", num_virtual_tokens=4), TOKENS),
    Entry("peft/prefix", _adapted(kind="PrefixTuningConfig", num_virtual_tokens=4), TOKENS),
)
