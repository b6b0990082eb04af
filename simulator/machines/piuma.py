"""What a PIUMA-like fabric is described by: many-threaded cores with scratchpads and one address space. `piuma.yaml`
fills it in.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from simulator.arch.machine import MachineSheet
from simulator.machines.systolic import Count, Positive, Share, Switch, Whole
from workloads.workload import Workload

CLOSED = ConfigDict(extra="forbid", defer_build=True)
Cores = Annotated[int, Field(strict=True, ge=1, le=8)]
Chips = Annotated[int, Field(strict=True, ge=1, le=4096)]
Threads = Annotated[int, Field(strict=True, ge=1, le=64)]


@dataclass(frozen=True, config=CLOSED)
class PipelineSpec:
    """Pipelines of a core. A thread has one instruction in flight; the next issues `*_cycles` after it did.

    MTP: `threads_per_mtp` threads, round robin, one issue a cycle. Its threads go on behind a load until
    `loads_in_flight` are under way, and then wait for all of them. STP: one thread, which serves the kernel's serial
    parts. Multiplication and addition of values are floating point.
    """

    mtps: Count
    threads_per_mtp: Threads
    loads_in_flight: Threads
    stps: Count
    integer_cycles: Count
    float_cycles: Count
    stp_integer_cycles: Count


@dataclass(frozen=True, config=CLOSED)
class ScratchpadSpec:
    """The scratchpad of a core: `banks` of `ports` accesses of 8 bytes a cycle each."""

    kib: Positive
    banks: Count
    ports: Count
    latency_cycles: Whole


@dataclass(frozen=True, config=CLOSED)
class AtomicSpec:
    """The atomic engine of a core: fetch-add and compare-and-swap where the data is, so no thread retries.

    `ops_per_cycle` through all banks; one address is busy `same_address_cycles` with each. Operations on memory cost
    the memory's latency too.
    """

    ops_per_cycle: Positive
    latency_cycles: Whole
    same_address_cycles: Count


@dataclass(frozen=True, config=CLOSED)
class DmaSpec:
    """The DMA engine of a core: copies, gathers, scatters and strided moves between memory and scratchpad.

    A descriptor takes `setup_cycles`, of which `threads` of the engine overlap; then data moves.
    """

    bytes_per_cycle: Positive
    setup_cycles: Whole
    overlapped: Count


@dataclass(frozen=True, config=CLOSED)
class FabricDramSpec:
    """Memory of a chip, spread over all channels and chips by address. An access moves whole granules."""

    channels_per_chip: Count
    channel_bandwidth_gb_s: Positive
    efficiency: Share
    latency_ns: Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
    granule_bytes: Count
    capacity_gib_per_chip: Positive


@dataclass(frozen=True, config=CLOSED)
class NetworkSpec:
    """`core_bytes_per_cycle` in or out of a core; `chip_bytes_per_cycle` out of a chip; each way counts its latency."""

    core_bytes_per_cycle: Positive
    core_latency_cycles: Whole
    chip_bytes_per_cycle: Positive
    chip_latency_cycles: Whole


@dataclass(frozen=True, config=CLOSED)
class DataSpec:
    """Bytes of a value, of a column index and of a row pointer in memory."""

    value_bytes: Count
    index_bytes: Count
    pointer_bytes: Count


@dataclass(frozen=True, config=CLOSED)
class VectorWorkSpec:
    """Vector work (updates, normalisation): floating-point instructions an element, `fused` work costs no traffic."""

    instructions_per_element: Count
    through_dma: Switch


@dataclass(frozen=True, config=CLOSED)
class FabricArch:
    """A fabric of chips of cores."""

    machine: Literal["fabric"]
    title: str
    clock_mhz: Positive
    chips: Chips
    cores_per_chip: Cores
    pipeline: PipelineSpec
    scratchpad: ScratchpadSpec
    atomic: AtomicSpec
    dma: DmaSpec
    dram: FabricDramSpec
    network: NetworkSpec
    data: DataSpec
    vector: VectorWorkSpec

    @property
    def hypothetical(self) -> tuple[str, ...]:
        """It was made for all that is simulated on it."""
        return ()

    @property
    def cores(self) -> int:
        return self.chips * self.cores_per_chip

    @property
    def threads_per_core(self) -> int:
        """Multi-threaded ones: those that share a kernel's parallel work."""
        return self.pipeline.mtps * self.pipeline.threads_per_mtp

    @property
    def scratchpad_bytes(self) -> int:
        return int(self.scratchpad.kib * 1024)

    @property
    def memory_bytes(self) -> int:
        """Of all chips: one address space."""
        return int(self.dram.capacity_gib_per_chip * 2**30) * self.chips

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Of one chip."""
        rate = self.dram.channels_per_chip * self.dram.channel_bandwidth_gb_s * self.dram.efficiency
        return rate * 1000 / self.clock_mhz

    @property
    def dram_latency_cycles(self) -> int:
        """Of an access from a thread and back: the memory, the mesh twice, and other chips as often as they are met."""
        away = (self.chips - 1) / self.chips
        memory = self.dram.latency_ns * self.clock_mhz / 1000
        return round(memory + 2 * self.network.core_latency_cycles + 2 * away * self.network.chip_latency_cycles)

    def check(self, workload: Workload, fits: bool) -> None:
        """A fabric takes any step; whether the matrices fit is known when they are multiplied."""

    def peaks(self) -> dict[str, float]:
        """None: a sparse product's rate has no roof that its rows alone would give."""
        return {}


PIUMA = MachineSheet(
    kind="fabric",
    sheet=Path(__file__).with_name("piuma.yaml"),
    spec=FabricArch,
    not_modelled=(
        "the order of single accesses inside an event (probes, banks, addresses of atomics): counted, not interleaved",
        "caches: every load of a thread goes to memory, as its users assume",
        "skew over memory channels (addresses are spread), DRAM rows and banks (an efficiency stands for them)",
        "routes of the mesh: each core has a port and every way the same latency",
        "which load needs which: with several in flight a thread waits for every so many-th, whatever it loads",
        "finding rows by columns: a kernel that wants an operand by columns is given it so",
        "a step's ops whole: a block stands for each; one four times as large took 2 to 16 % less (resnet18's layer3)",
        "collective operations, queues in hardware, and other programs on the machine",
    ),
)
