"""What a card of bank-sparse inference chips is described by. `s4.yaml` fills it in."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from simulator.arch.machine import MachineSheet
from simulator.capacity import needed_bytes, refuse_overflow
from simulator.machines.systolic import Count, Positive, Share, Switch, exact
from simulator.program import Channel
from workloads.errors import UserError
from workloads.workload import Mode, Workload

CLOSED = ConfigDict(extra="forbid", defer_build=True)
Chips = Annotated[int, Field(strict=True, ge=1, le=4)]
AtLeastNothing = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
Precision = Literal["int8", "bf16"]
Mapping = Literal["best", "single-core", "four-core"]


@dataclass(frozen=True, config=CLOSED)
class UnitsSpec:
    """Sparse units of a core. Each multiplies `rows` positions by `cols` output channels, `depth` kept INT8 weights of
    each a cycle (half as many in BF16).

    `operand_bytes_per_cycle` feed the activations that the kept weights of a bank choose from. `efficiency` is the
    share of the cycles with work in which a unit really multiplies. `l1_kib` is one unit's.
    """

    per_core: Count
    rows: Count
    cols: Count
    depth: Annotated[int, Field(strict=True, ge=2, le=64, multiple_of=2)]
    operand_bytes_per_cycle: Positive
    efficiency: Share
    l1_kib: Positive

    @property
    def macs(self) -> int:
        """INT8 multiply-accumulates a unit does a cycle."""
        return self.rows * self.cols * self.depth


@dataclass(frozen=True, config=CLOSED)
class VectorSpec:
    """Vector units of a chip together, and what work on an element costs them, in operations.

    Elements of sums, ReLUs, biases, pooling and embeddings cost one. `special_per_cycle` are exponentials and the like
    of one core. In inference a normalisation right behind a convolution is folded into its weights and bias.
    """

    peak_tops: Positive
    special_per_cycle: Positive
    requantise_ops: AtLeastNothing
    normalisation_ops: AtLeastNothing
    softmax_ops: AtLeastNothing
    update_ops: AtLeastNothing


@dataclass(frozen=True, config=CLOSED)
class NocSpec:
    """The network of a chip. `multicast`: bytes for several cores cross it once."""

    bandwidth_gb_s: Positive
    efficiency: Share
    multicast: Switch


@dataclass(frozen=True, config=CLOSED)
class DramSpec:
    """The DRAM of a chip, all ports together."""

    bandwidth_gb_s: Positive
    efficiency: Share
    latency_ns: AtLeastNothing
    burst_bytes: Count
    capacity_gib: Positive


@dataclass(frozen=True, config=CLOSED)
class HostSpec:
    """The link of a card; all its chips share it. Cards of several chips have another one."""

    bandwidth_gb_s: Positive
    several_chips_gb_s: Positive
    efficiency: Share


@dataclass(frozen=True, config=CLOSED)
class FormatSpec:
    """What numbers products take, by mode, and bytes of accumulated gradients and of masters with their states."""

    inference: Precision
    training: Precision
    index_bits: Count
    master_bytes: Count


@dataclass(frozen=True, config=CLOSED)
class ScheduleSpec:
    """`mapping`: samples apart on single cores, every layer split over the cores of a chip, or the better of both."""

    mapping: Mapping


@dataclass(frozen=True, config=CLOSED)
class S4Arch:
    """A card of one to four chips that share a batch."""

    machine: Literal["s4"]
    title: str
    clock_mhz: Positive
    chips: Chips
    cores: Count
    bank: Count
    units: UnitsSpec
    l2_mib: Positive
    vector: VectorSpec
    noc: NocSpec
    dram: DramSpec
    host: HostSpec
    format: FormatSpec
    schedule: ScheduleSpec
    hypothetical: tuple[str, ...] = ()

    def precision_of(self, mode: Mode) -> Precision:
        """The number format of a step's products."""
        return self.format.training if mode is Mode.TRAINING else self.format.inference

    def operand_bytes(self, mode: Mode) -> int:
        """Bytes of an operand of a step's products."""
        return 1 if self.precision_of(mode) == "int8" else 2

    def check(self, workload: Workload, fits: bool) -> None:
        """Raises UserError for training on several chips; with `fits` also for a step that does not fit the DRAM."""
        if workload.mode is Mode.TRAINING and self.chips > 1:
            raise UserError(f"chips={self.chips}: a training step is modelled on one chip; add --mode inference")
        if fits:
            needed = needed_bytes(workload, self.operand_bytes(workload.mode), self.format.master_bytes)
            refuse_overflow(workload, needed, self.dram.capacity_gib)

    def per_tick(self, giga_per_second: float, efficiency: float = 1.0) -> Fraction:
        """A rate in units of 10^9 a second as units a cycle."""
        return exact(giga_per_second) * exact(efficiency) * 1000 / exact(self.clock_mhz)

    def dram_channel(self) -> Channel:
        latency = -(-exact(self.dram.latency_ns) * exact(self.clock_mhz) // 1000)
        return Channel(
            self.per_tick(self.dram.bandwidth_gb_s, self.dram.efficiency), int(latency), self.dram.burst_bytes
        )

    def noc_channel(self) -> Channel:
        return Channel(self.per_tick(self.noc.bandwidth_gb_s, self.noc.efficiency))

    def host_channel(self) -> Channel:
        card = self.host.bandwidth_gb_s if self.chips == 1 else self.host.several_chips_gb_s
        return Channel(self.per_tick(card, self.host.efficiency))

    def vector_channel(self) -> Channel:
        """Operations of a chip's vector units a cycle."""
        return Channel(self.per_tick(self.vector.peak_tops * 1000))

    def special_channel(self) -> Channel:
        """Elements of a chip's special-function units a cycle."""
        return Channel(exact(self.vector.special_per_cycle) * self.cores)

    def macs_per_cycle(self, precision: Precision) -> int:
        """Multiply-accumulates of the whole card a cycle, on kept weights."""
        card = self.chips * self.cores * self.units.per_core * self.units.macs
        return card if precision == "int8" else card // 2

    def peaks(self) -> dict[str, float]:
        """What no schedule passes, for rooflines of inference; the DRAM's stands apart from its assumed efficiency."""
        rate = self.chips * self.dram.bandwidth_gb_s * 1000 / self.clock_mhz
        return {
            "macs_per_cycle": self.macs_per_cycle(self.format.inference),
            "dram_bytes_per_cycle": rate,
            "dram_efficiency": self.dram.efficiency,
        }


S4 = MachineSheet(
    kind="s4",
    sheet=Path(__file__).with_name("s4.yaml"),
    spec=S4Arch,
    not_modelled=(
        "work of the next op that could begin before an op ends (ops are separated by barriers)",
        "ports of L2 (their width is not public), and bank conflicts",
        "which core's DRAM port holds what (all ports act as one, striped)",
        "the way through the network between cores (its bandwidth stands for it)",
        "results on their way to the host",
        "other uses of the chip's CPU and of its video and image decoders",
        "an activation is a ReLU where its layer's name says so; any other goes through the special-function units",
    ),
)
