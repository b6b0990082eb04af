"""One unit of work of a training or inference step."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Interval

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
    where it is their own. `zeros` is the measured share of zero elements, None where nobody measured.
    """

    tensor: str
    role: Role
    pattern: Pattern = DENSE
    permutation: str | None = None
    zeros: Annotated[float, Interval(ge=0, le=1)] | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


@dataclass(frozen=True)
class MatrixOp:
    """`count` independent products of `rows x inner` (left) by `inner x cols` (right).

    For a convolution, `geometry` is kept and `images` is the batch; sizes are those of one channel group:

    | phase | rows                | inner                | cols       | left        | right       |
    | FF    | output positions    | taps x in channels   | out ch.    | input       | weight      |
    | BP    | input positions     | taps x out channels  | in ch.     | grad output | weight      |
    | WU    | taps x in channels  | output positions     | out ch.    | input       | grad output |

    BP sizes count the zeros that a stride inserts; `macs` does not.
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

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product, zeros inserted by a stride left out."""
        if self.geometry and self.phase is Phase.BP:
            inside = self.inner // self.geometry.taps
            return self.count * self.images * self.geometry.reached * inside * self.cols
        return self.count * self.rows * self.inner * self.cols

    @property
    def left_distinct(self) -> int:
        """Distinct elements of the left operand: the positions of a convolution overlap."""
        geometry = self.geometry
        if geometry is None:
            return self.rows * self.inner * self.count
        if self.phase is Phase.BP:
            return self.images * geometry.output_positions * geometry.out_channels
        return self.images * geometry.input_positions * geometry.in_channels

    def mismatch(self) -> str:
        """What of the sizes contradicts the geometry, in words; empty where nothing does."""
        geometry = self.geometry
        if geometry is None:
            return ""
        if wrong := geometry.fault():
            return wrong
        inputs, outputs = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
        positions, taps = self.images * geometry.output_positions, geometry.taps
        rows, inner, cols = {
            Phase.FF: (positions, taps * inputs, outputs),
            Phase.BP: (self.images * geometry.input_positions, taps * outputs, inputs),
        }.get(self.phase, (taps * inputs, positions, outputs))
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

    An UPDATE has the optimizer and the number of weights in `elements`; `masks` names the phases that use the weight
    sparse, each with its pattern: one mask is made for each, every step.
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

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


Op = MatrixOp | VectorOp
