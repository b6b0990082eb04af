"""Models of transformers and timm through `simulate trace`: found by name, built from a configuration, no wrapper."""

import pytest
import torch

import workloads
from tests.zoo.count import counted

timm = pytest.importorskip("timm", reason="the zoo needs timm, which `make zoo` installs")

HEADS = "hidden_size=64,num_hidden_layers=2,num_attention_heads=4,num_key_value_heads=4"
# 2 x 16 tokens by the projections, the gated MLP and the head, each in three phases (the words' embedding trains); in
# each layer 2 x 4 heads of 16 columns, scores and their mix, forward and twice backward
LLAMA = 3 * 32 * (2 * (4 * 64 * 64 + 3 * 64 * 96) + 64 * 100) + 2 * 6 * 8 * 16 * 16 * 16
TARGETS = [
    ("transformers:LlamaForCausalLM", f"{HEADS},intermediate_size=96,vocab_size=100", "input_ids=2x16:100", LLAMA),
    ("timm:create_model", "model_name=resnet10t,num_classes=10", "2x3x64x64", 0),  # as many as torch's own counter sees
]


@pytest.mark.parametrize("shapes_only", [False, True])
@pytest.mark.parametrize(("target", "config", "given", "macs"), TARGETS, ids=[target for target, *_ in TARGETS])
def test_a_model_of_others_is_recorded_by_name(
    target: str, config: str, given: str, macs: int, shapes_only: bool
) -> None:
    inputs = workloads.parse_inputs([given])
    traced = workloads.trace_module(workloads.trace_request(target, inputs, config=[config], shapes_only=shapes_only))
    if not macs:
        macs = sum(counted(timm.create_model("resnet10t", num_classes=10), (torch.randn(2, 3, 64, 64),)).values())
    assert traced.workload.macs == macs and "cross-entropy" in traced.loss
