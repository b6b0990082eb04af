"""The ordered work of one step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Interval

from workloads.op import MatrixOp, Op, Orders, Phase

if TYPE_CHECKING:
    from workloads.sparse.matrix import SparseProduct  # and with it scipy, which few jobs need


Finite = Annotated[float, Interval(ge=-1e300, le=1e300)]  # checked where files are read; no infinity lies between


class Mode(StrEnum):
    TRAINING = "training"
    INFERENCE = "inference"


@dataclass(frozen=True)
class Capture:
    """Where a workload comes from: what ran, on what data, and where its numbers stop being measured ones."""

    source: str  # "recorded step", "--gemm", "topology FILE"
    shapes: str  # how the shapes were had: "fake-tensor capture", "stated by the user"
    dataset: str = ""
    step: int = 0
    loss: Finite | None = None
    loss_scale: Finite = 1.0
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    masks: str = "derived"  # "measured" when trained under the pattern, "derived" when put on afterwards
    assumed: tuple[str, ...] = ()  # what only values, or nobody, could tell of it, in words
    notes: tuple[str, ...] = ()  # sentences on its patterns: which layers stay dense, which came sparse


@dataclass(frozen=True, repr=False)
class Workload:
    """Ops of one step in the order they depend on each other.

    `saved_elements` counts the activations kept from the forward pass for the backward one. `parameters` counts
    weights, biases included. `kept_dense` names the layers a method leaves dense unless a glob names them, globs in
    `training_only` those that inference leaves out.
    `tensors` is the safetensors file with sampled blocks of real tensors, None where there are none,
    `samples` its SHA-256, empty where nobody noted that. `orders` are those
    that operands name as their permutation, as far as they were recorded. `products` are products of sparse matrices,
    which are no step: there are no ops beside them.
    """

    model: str
    method: str
    pattern: str
    batch: int
    sequence: int
    mode: Mode
    ops: tuple[Op, ...]
    parameters: int
    saved_elements: int
    kept_dense: tuple[str, ...]
    capture: Capture
    tensors: Path | None = None
    orders: Mapping[str, Orders] = field(default_factory=dict)
    training_only: tuple[str, ...] = ()
    products: "tuple[SparseProduct, ...]" = ()
    samples: str = ""

    def __repr__(self) -> str:
        """In a line: all ops would fill pages."""
        what = f"{self.model!r}, {self.method!r}, {self.pattern!r}, batch={self.batch}, mode={self.mode.value!r}"
        return f"Workload({what}, {len(self.ops) or len(self.products)} ops)"

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of the step."""
        return sum(op.macs for op in self.ops if isinstance(op, MatrixOp))

    @property
    def distinct_products(self) -> int:
        """Products that differ in their sizes or patterns, at most, those of every stride class apart.

        For each a mapping is looked for; equal ones take the one that was found.
        """
        different = {op.alike(): op for op in self.ops if isinstance(op, MatrixOp)}
        return sum(
            op.geometry.most_stride_classes if op.geometry and op.form is Phase.BP else 1 for op in different.values()
        )

    def save(self, path: str | Path) -> None:
        """Write it as a JSON file, which `simulate --workload` and `load_workload` read.

        Raises UserError where the file cannot be written.
        """
        from workloads.stored import template_of, write_template  # which builds workloads itself

        write_template(template_of(self), Path(path))
