"""Every model of the zoo: its recorded multiply-accumulates against torch's count, and by shapes alone against both."""

from contextlib import nullcontext
from copy import deepcopy

import pytest
from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map

from tests.zoo.count import counted
from tests.zoo.entry import Entry, step
from workloads.op import MatrixOp, Optimizer
from workloads.recording.record import record_pass

try:
    from tests.zoo.models import MODELS
except ModuleNotFoundError as error:
    pytest.skip(f"the zoo needs {error.name}, which `make zoo` installs", allow_module_level=True)

BATCH = 2

# Multiply-accumulates that torch's counter does not see, by hand: (model, operator it is blind to, how many).
BLIND = (
    # 2 layers, 3 phases, of 2 x 16 words each at 2 experts: 32 -> gate and up of 64 each, 64 -> 32
    ("hf/mixtral", "grouped_mm", 2 * 3 * (2 * 16 * 2) * (32 * 128 + 64 * 32)),
    # 20 rows, each at one expert, 12 -> 16; the input needs no gradient
    ("experts", "grouped_mm", 2 * 20 * 12 * 16),
    # 20 pairs of rows, I = 8, J = 6, O = 5, each sum over two factors first and then the third: forward over I and then
    # J, gradient of the first over O and then J, of the second over I and then O; of the weight over the rows alone
    ("bilinear", "trilinear", 20 * ((8 * 30 + 30) + (5 * 48 + 48) + (8 * 30 + 30) + 5 * 8 * 6)),
    # 40 rows by 32 codes of 8; no gradient
    ("vector-quantised", "cdist", 40 * 32 * 8),
    # 2 images of 8 x 8 latents of 4 by 32 codes; no gradient
    ("diffusers/vq", "cdist", 2 * 64 * 32 * 4),
    # 40 rows by 32 centres of 8; torch's backward pass is made of products that its counter sees
    ("radial", "cdist", 40 * 32 * 8),
    # 20 nodes by two vectors of 12, forward and for the vectors' gradients; the nodes' is an outer product, no sum
    ("graph-attention", "mv", 2 * 2 * 20 * 12),
    # 20 rows of 6 by themselves; 6 x 6 by a vector, forward and for the vector; two vectors
    ("added-products", "addbmm, addmv, dot", 20 * 6 * 6 + 2 * 6 * 6 + 6),
    # W v, W' u and again W v, then u . (W v), of weights of 16 x 12 and 8 x 16; backward are outer products
    ("spectral-norm", "mv, vdot", 3 * 16 * 12 + 16 + 3 * 8 * 16 + 8),
    # 9 frequencies, 2 images, 12 channels by 12, 3 phases: four real ones each, of which torch counts one
    ("fourier-operator", "complex", 3 * 3 * 9 * 2 * 12 * 12),
    # 2 rows, 12 -> 8 in two phases and 8 -> 4 in three: as above
    ("complex-linear", "complex", 3 * 2 * (2 * 12 * 8 + 3 * 8 * 4)),
)
UNSEEN = {name: macs for name, _, macs in BLIND}

# Models that shapes alone do not say everything of: (model, why, whether the sum is the same all the same).
VALUES = (
    ("hf/mixtral", "rows are shared equally among experts", True),
    ("experts", "rows are shared equally among experts", True),
    ("hf/mixtral-loop", "it asks which experts were chosen", False),
    ("peft/loha", "it reads a value of its weights", False),
    ("peft/lokr", "it reads a value of its weights", False),
)
SHARED = [name for name, _, same in VALUES if same]
UNKNOWN = [name for name, _, same in VALUES if not same]


def recorded(entry: Entry, by_shapes: bool = False) -> list[MatrixOp]:
    """The products of a step, computed or by shapes alone."""
    model, inputs = entry.made(BATCH)
    fake = FakeTensorMode() if by_shapes else None
    if fake:
        with FakeCopyMode(fake):
            model = deepcopy(model)
        inputs = tree_map(fake.from_tensor, inputs)
    with sdpa_kernel(SDPBackend.MATH), fake or nullcontext():
        found = record_pass(model, nn.Identity(), lambda: step(model, inputs), Optimizer.MOMENTUM)
    return [op for op in found.ops if isinstance(op, MatrixOp)]


def macs(ops: list[MatrixOp]) -> int:
    return sum(op.macs for op in ops)


def named(entry: Entry) -> str:
    return entry.name


def test_the_lists_name_models_of_the_zoo() -> None:
    names = [entry.name for entry in MODELS]
    assert len(set(names)) == len(names)
    assert {*UNSEEN, *SHARED, *UNKNOWN} <= set(names)


@pytest.mark.parametrize("entry", MODELS, ids=named)
def test_as_many_multiply_accumulates_as_are_counted(entry: Entry) -> None:
    count = sum(counted(*entry.made(BATCH)).values())
    assert macs(recorded(entry)) == count + UNSEEN.get(entry.name, 0)


@pytest.mark.parametrize("entry", [entry for entry in MODELS if entry.name not in UNKNOWN], ids=named)
def test_the_same_products_by_shapes_alone(entry: Entry) -> None:
    computed, shapes = recorded(entry), recorded(entry, by_shapes=True)
    if entry.name in SHARED:
        assert macs(shapes) == macs(computed)
    else:
        assert [_sizes(op) for op in shapes] == [_sizes(op) for op in computed]


def _sizes(op: MatrixOp) -> tuple[object, ...]:
    return op.layer, op.phase, op.rows, op.inner, op.cols, op.count
