"""The registered models at their published sizes, as `simulate trace` takes them: functions that build a module."""

from torch import nn

from workloads.models.spec import ModelSpec
from workloads.registry import MODELS, load_entry


def resnet50() -> nn.Module:
    return _built("resnet50")


def bert_base() -> nn.Module:
    return _built("bert-base")


def gpt2_small() -> nn.Module:
    return _built("gpt2-small")


def _built(name: str) -> nn.Module:
    spec: ModelSpec = load_entry(MODELS, "model", name)
    return spec.build()


RESNET50 = ("tests.workloads.full_size:resnet50", "512x3x224x224")
BERT_BASE = ("tests.workloads.full_size:bert_base", "1x384:30522")
GPT2 = ("tests.workloads.full_size:gpt2_small", "1x1024:50257")
LLAMA_7B = ("tests.workloads.llama:seven_billion", "1x2048:32000")
FULL_SIZE = {"resnet50": RESNET50, "bert-base": BERT_BASE, "gpt2": GPT2, "llama-7b": LLAMA_7B}
