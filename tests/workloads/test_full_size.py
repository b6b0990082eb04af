"""Models at their full size, shapes alone: what they cost to record, and that nothing is left out."""

import subprocess
import sys

import torch

from tests.workloads.full_size import FULL_SIZE
from tests.workloads.llama import tiny
from workloads.op import MatrixOp, Phase
from workloads.pattern import PatternMap
from workloads.recording.trace_module import trace_module
from workloads.recording.trace_request import Request, parse_input
from workloads.workload import Workload

RECORDED = """
import sys
from pathlib import Path
from workloads.pattern import PatternMap
from workloads.recording.trace_module import trace_module
from workloads.recording.trace_request import Request, parse_input
for target, sizes in zip(sys.argv[1::2], sys.argv[2::2]):
    workload = trace_module(Request(target, (parse_input(sizes),), PatternMap(), shapes_only=True)).workload
    print(workload.parameters, workload.macs)
# of this program alone: what getrusage tells begins with the memory of the process that started it
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""
LIMIT_BYTES = 1.5e9


def recorded(target: str, sizes: str, shapes_only: bool) -> Workload:
    return trace_module(Request(target, (parse_input(sizes),), PatternMap(), shapes_only=shapes_only)).workload


def llama_macs(width: int, layers: int, inner: int, vocabulary: int, tokens: int) -> int:
    """Of a forward pass: projections, gated network, head, and the two products of attention."""
    weights = layers * (4 * width * width + 3 * width * inner) + width * vocabulary
    return tokens * weights + layers * 2 * tokens * tokens * width


def test_full_size_models_fit_in_little_memory() -> None:
    targets = [text for target in FULL_SIZE.values() for text in target]
    done = subprocess.run([sys.executable, "-c", RECORDED, *targets], capture_output=True, text=True, check=True)
    *lines, peak = done.stdout.split("\n")[:-1]
    found = dict(zip(FULL_SIZE, (tuple(map(int, line.split())) for line in lines), strict=True))
    assert int(peak) < LIMIT_BYTES
    assert {name: parameters for name, (parameters, _) in found.items()} == {
        "resnet50": 25_557_032,  # as torchvision's
        "bert-base": 109_514_298,  # as the checkpoint with a masked-language head, tied
        "gpt2": 124_439_808,  # as the smallest released model
        "llama-7b": 6_738_415_616,  # as the released model
    }
    # backward, both operands of every product get a gradient: twice the work of the forward pass
    assert found["llama-7b"][1] == 3 * llama_macs(4096, 32, 11008, 32000, 2048)


def test_a_small_llama_is_the_same_with_and_without_values() -> None:
    target = f"{tiny.__module__}:{tiny.__name__}"
    real, shapes = (recorded(target, "2x6:64", shapes_only) for shapes_only in (False, True))
    assert real.macs == shapes.macs == 3 * 2 * llama_macs(32, 2, 88, 64, 6)
    products = [
        [(op.layer, op.phase, op.rows, op.inner, op.cols, op.count, op.left.tensor, op.right.tensor)
         for op in each.ops if isinstance(op, MatrixOp)]
        for each in (real, shapes)
    ]  # fmt: skip
    assert products[0] == products[1]
    assert [op for op in real.ops if op.phase is Phase.UP] == [op for op in shapes.ops if op.phase is Phase.UP]
    assert real.parameters == shapes.parameters
    assert abs(real.saved_elements - shapes.saved_elements) <= 1  # a scalar of the loss


def test_a_module_that_names_its_device_is_recorded_too(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    places = []

    def build() -> torch.nn.Module:
        class Moves(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(8, 4, device="cpu")

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                places.append(type(x).__name__)
                return self.layer(x + torch.ones(8, device="cpu"))  # type: ignore[no-any-return]

        return Moves()

    monkeypatch.setattr(sys.modules[__name__], "built", build, raising=False)
    workload = recorded(f"{__name__}:built", "2x8", True)
    assert [(op.layer, op.phase) for op in workload.ops if isinstance(op, MatrixOp)] == [
        ("layer", Phase.FF),
        ("layer", Phase.WU),
    ]
    assert places[-1] == "FakeTensor"
