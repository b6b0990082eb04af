"""One unit of work of a training or inference step."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Interval, MaxLen

from workloads.conv import ConvGeometry
from workloads.files.limits import LARGEST_LIMIT, NAME_LETTERS
from workloads.pattern import DENSE, Pattern

# Read by the validation of files; a dataclass made in the program is not checked.
Count = Annotated[int, Interval(ge=1, le=LARGEST_LIMIT)]
Amount = Annotated[int, Interval(ge=0, le=LARGEST_LIMIT)]
CLOSED = {"extra": "forbid"}


def name_fault(name: str) -> str:
    """Why a layer or a tensor cannot be called so, in words; empty where it can."""
    if not name:
        return "a name is empty"
    if len(name) > NAME_LETTERS:
        return f"a name has {len(name):,} letters, and {NAME_LETTERS} are taken: {name[:40]}..."
    if any(letter in "\0\n\r" or "\ud800" <= letter <= "\udfff" for letter in name):
        return f"the name {name!a} holds a line break, or what is no letter"
    return ""


class Phase(StrEnum):
    FF = "FF"  # forward
    BP = "BP"  # gradient of the input
    WU = "WU"  # gradient of the weight
    UP = "UP"  # update of the weight


TRANSPOSED = {Phase.FF: Phase.BP, Phase.BP: Phase.FF}  # which product of its convolution a transposed layer's is


class Role(StrEnum):
    WEIGHT = "weight"
    ACTIVATION = "activation"
    GRADIENT = "gradient"


Orders = tuple[tuple[int, ...], ...]  # for each convolution group, where each output channel comes from


def order_name(tensor: str) -> str:
    """The name under which a workload keeps the order of output channels that belongs to an operand."""
    return f"{tensor}.order"


@dataclass(frozen=True)
class Operand:
    """One operand of a product.

    `tensor` names it in the step; two operands of one name are the same data. `pattern` says which elements along
    the reduction are kept; `permutation` is the name of the order of output channels in which its groups hold, None
    where it is their own. `zeros` is the measured share of zero elements, None where nobody measured. `cached` is data
    of earlier steps, kept from one to the next, such as the keys of tokens before. `stored` is the number format that a
    recorded step held it in, such as "bfloat16"; empty is FP32.
    """

    tensor: str
    role: Role
    pattern: Pattern = DENSE
    permutation: str | None = None
    zeros: Annotated[float, Interval(ge=0, le=1)] | None = None
    cached: bool = False
    stored: Annotated[str, MaxLen(20)] = ""

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


@dataclass(frozen=True)
class MatrixOp:
    """`count` independent products of `rows x inner` (left) by `inner x cols` (right).

    For a convolution, `geometry` is kept and `images` is the batch; sizes are those of one channel group:

    | phase | rows                | inner                | cols       | left        | right       |
    | FF    | output positions    | taps x in channels   | out ch.    | input       | weight      |
    | BP    | input positions     | taps x out channels  | in ch.     | grad output | weight      |
    | WU    | taps x in channels  | output positions     | out ch.    | input       | grad output |

    `again` is forward work that activation checkpointing does once more, for the backward pass.

    BP sizes count the zeros that a stride inserts; `macs` does not. A transposed convolution exchanges FF and BP, and
    in its WU the input and the gradient (`form`): its geometry is that of the convolution which it is the transpose of.
    """

    layer: str
    phase: Phase
    rows: Count
    inner: Count
    cols: Count
    left: Operand
    right: Operand
    count: Count = 1
    geometry: ConvGeometry | None = None
    images: Count = 1
    again: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED

    @property
    def form(self) -> Phase:
        """Which of the three products of its convolution this is; of a plain product its phase."""
        if self.geometry and self.geometry.transposed:
            return TRANSPOSED.get(self.phase, self.phase)
        return self.phase

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product, zeros inserted by a stride left out."""
        if self.geometry and self.form is Phase.BP:
            inside = self.inner // self.geometry.taps
            return self.count * self.images * self.geometry.reached * inside * self.cols
        return self.count * self.rows * self.inner * self.cols

    @property
    def left_distinct(self) -> int:
        """Distinct elements of the left operand: the positions of a convolution overlap."""
        geometry = self.geometry
        if geometry is None:
            return self.rows * self.inner * self.count
        if self.form is Phase.BP:
            return self.images * geometry.output_positions * geometry.out_channels
        return self.images * geometry.input_positions * geometry.in_channels

    def mismatch(self) -> str:
        """What of the sizes contradicts the geometry, in words; empty where nothing does."""
        geometry = self.geometry
        if geometry is None:
            return ""
        if wrong := geometry.fault():
            return wrong
        rows, inner, cols = convolution_sizes(geometry, self.phase, self.images)
        wanted = {"rows": rows, "inner": inner, "cols": cols, "count": geometry.groups}
        differing = [
            f"{name} is {getattr(self, name)}, not {size}"
            for name, size in wanted.items()
            if getattr(self, name) != size
        ]
        return differing[0] + " as its geometry says" if differing else ""

    def alike(self) -> tuple[object, ...]:
        """What two products have in common that differ in their names and measured zeros alone."""
        sizes = (self.rows, self.inner, self.cols, self.count, self.images)
        return (self.phase, sizes, self.geometry, self.left.pattern, self.right.pattern)

    @property
    def segments(self) -> int:
        """Kernel positions the reduction is made of: groups of n:m do not cross them."""
        return self.geometry.taps if self.geometry and self.phase is not Phase.WU else 1


def convolution_sizes(geometry: ConvGeometry, phase: Phase, images: int) -> tuple[int, int, int]:
    """Rows, inner and columns of one channel group's product in a phase of a layer, over a batch of images."""
    inputs, outputs = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    positions, taps = images * geometry.output_positions, geometry.taps
    match TRANSPOSED.get(phase, phase) if geometry.transposed else phase:
        case Phase.FF:
            return positions, taps * inputs, outputs
        case Phase.BP:
            return images * geometry.input_positions, taps * outputs, inputs
    return taps * inputs, positions, outputs


class VectorKind(StrEnum):
    UPDATE = "update"
    MASK = "mask"
    PRUNING = "pruning"  # of weights, and their packing for sparse units
    NORMALISATION = "normalisation"
    SOFTMAX = "softmax"
    ACTIVATION = "activation"
    ELEMENTWISE = "elementwise"  # residual sums, biases, dropout, scaling
    POOLING = "pooling"
    EMBEDDING = "embedding"
    GATHER = "gather"  # and scatter, sorting: work whose addresses depend on values
    LOSS = "loss"


class Optimizer(StrEnum):
    SGD = "sgd"
    MOMENTUM = "momentum"
    ADAM = "adam"
    ADAMW = "adamw"

    @property
    def states(self) -> int:
        """FP32 state values kept for each weight."""
        return {"sgd": 0, "momentum": 1}.get(self.value, 2)


@dataclass(frozen=True)
class VectorOp:
    """Work on elements one by one. `reads` and `writes` are elements moved if nothing is fused or kept on chip.

    `again` is as in products. An UPDATE has the optimizer and the number of weights in `elements`; `masks` names the
    phases that use the weight sparse, each with its pattern: one mask is made for each, every step.
    """

    layer: str
    phase: Phase
    kind: VectorKind
    elements: Amount
    reads: Amount
    writes: Amount
    count: Count = 1
    optimizer: Optimizer | None = None
    masks: tuple[tuple[Phase, Pattern], ...] = ()
    again: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


Op = MatrixOp | VectorOp
