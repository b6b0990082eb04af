"""What a GPU is described by when a roofline with overheads stands for it. `t4.yaml` and `a100.yaml` fill it in."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from simulator.arch.systolic import Count, Positive, Share, Switch, exact
from simulator.kernel.channel import Channel

CLOSED = ConfigDict(extra="forbid")
Precision = Literal["int8", "fp16"]


@dataclass(frozen=True, config=CLOSED)
class TensorSpec:
    """Tensor units: peaks of dense products in tera-operations a second (two a multiply-accumulate) by precision.

    `two_of_four` doubles them for weights of which no four in a row keep more than two. Results come in tiles of
    `tile_rows` by one of 64, 128 and 256 columns, `processors` tiles at once. `efficiency` is the share of the peak
    that a full wave of tiles gets.
    """

    int8_tops: Positive
    fp16_tops: Positive
    two_of_four: Switch
    processors: Count
    tile_rows: Count
    efficiency: Share


@dataclass(frozen=True, config=CLOSED)
class MemorySpec:
    """DRAM, and the cache in front of it: what an op reads and writes stays there if it takes no more than half."""

    bandwidth_gb_s: Positive
    efficiency: Share
    capacity_gib: Positive
    cache_mib: Positive


@dataclass(frozen=True, config=CLOSED)
class OverheadSpec:
    """`launch_us` before every op that is not fused. `fuse_attention` keeps scores on chip between the two products."""

    launch_us: Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
    fuse_attention: Switch


@dataclass(frozen=True, config=CLOSED)
class RooflineArch:
    """A GPU as a roofline."""

    machine: Literal["roofline"]
    title: str
    clock_mhz: Positive
    inference: Precision
    training: Precision
    tensor: TensorSpec
    memory: MemorySpec
    overhead: OverheadSpec
    master_bytes: Count

    def macs_per_cycle(self, precision: Precision) -> int:
        """Dense multiply-accumulates a cycle at the peak, rounded down."""
        tops = self.tensor.int8_tops if precision == "int8" else self.tensor.fp16_tops
        return int(exact(tops) * 10**6 / exact(self.clock_mhz) / 2)

    def dram_channel(self) -> Channel:
        memory = self.memory
        return Channel(exact(memory.bandwidth_gb_s) * exact(memory.efficiency) * 1000 / exact(self.clock_mhz))

    def launch_ticks(self) -> int:
        return int(-(-exact(self.overhead.launch_us) * exact(self.clock_mhz) // 1))

    def peaks(self) -> dict[str, float]:
        """What no schedule passes, for rooflines; the DRAM's stands apart from its assumed efficiency."""
        rate = self.memory.bandwidth_gb_s * 1000 / self.clock_mhz
        return {
            "macs_per_cycle": self.macs_per_cycle(self.inference),
            "dram_bytes_per_cycle": rate,
            "dram_efficiency": self.memory.efficiency,
        }
