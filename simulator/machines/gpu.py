"""GPUs as rooflines with overheads: baselines beside the machines that are modelled in detail.

`t4.yaml`, `a100.yaml` and `h100.yaml` fill the type in.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from simulator.arch.machine import MachineSheet
from simulator.capacity import needed_bytes, refuse_overflow
from simulator.machines.systolic import Count, Positive, Share, Switch, exact
from simulator.program import Channel
from workloads.errors import UserError
from workloads.op import MatrixOp
from workloads.pattern import Pattern
from workloads.workload import Mode, Workload

CLOSED = ConfigDict(extra="forbid", defer_build=True)
Precision = Literal["int8", "fp16"]
GROUP, KEPT = 4, 2  # of a group of weights the sparse tensor units keep at most so many


@dataclass(frozen=True, config=CLOSED)
class TensorSpec:
    """Tensor units: peaks of dense products in tera-operations a second (two a multiply-accumulate) by precision.

    Results come in tiles of `tile_rows` by `tile_cols`, or half or a quarter of these columns, whichever takes least,
    in waves of `processors` tiles, of which the last counts whole. `efficiency` is the share of the peak that a full
    wave of dense tiles gets, `two_of_four_efficiency` that of twice the peak where no four weights in a row keep more
    than two; None where there are no sparse units.
    """

    int8_tops: Positive
    fp16_tops: Positive
    processors: Count
    tile_rows: Count
    tile_cols: Count
    efficiency: Share
    two_of_four_efficiency: Share | None


@dataclass(frozen=True, config=CLOSED)
class MemorySpec:
    """DRAM, and the cache in front of it: what an op reads and writes stays there if it takes no more than half."""

    bandwidth_gb_s: Positive
    efficiency: Share
    capacity_gib: Positive
    cache_mib: Positive


@dataclass(frozen=True, config=CLOSED)
class OverheadSpec:
    """`launch_us` before every op that is not fused.

    `fuse_elementwise` does what follows a product element by element on its results. `fuse_attention` keeps scores on
    chip between the two products, in inference.
    """

    launch_us: Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
    fuse_elementwise: Switch
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

    @property
    def hypothetical(self) -> tuple[str, ...]:
        """It was made for all that is simulated on it."""
        return ()

    def precision_of(self, mode: Mode) -> Precision:
        """The number format of a step's products."""
        return self.training if mode is Mode.TRAINING else self.inference

    def operand_bytes(self, mode: Mode) -> int:
        """Bytes of an operand of a step's products."""
        return 1 if self.precision_of(mode) == "int8" else 2

    def check(self, workload: Workload, fits: bool) -> None:
        """Raises UserError for a pattern the tensor units cannot use; with `fits` also for too large a step."""
        if fits:
            needed = needed_bytes(workload, self.operand_bytes(workload.mode), self.master_bytes)
            refuse_overflow(workload, needed, self.memory.capacity_gib)
        for op in workload.ops:
            if isinstance(op, MatrixOp):
                self.usable_pattern(op)

    def usable_pattern(self, op: MatrixOp) -> Pattern:
        """The op's pattern. Raises UserError where the tensor units cannot use it."""
        pattern, name = op.right.pattern, self.title.partition(",")[0]
        if not op.left.pattern.is_dense:
            raise UserError(f"{op.layer} {op.phase}: {name} takes sparse weights only, not a sparse {op.left.role}")
        if pattern.is_dense:
            return pattern
        if self.tensor.two_of_four_efficiency is None:
            raise UserError(f"{op.layer}: pattern {pattern}: {name} has no sparse tensor units; leave --pattern out")
        fits = pattern.is_grouped and (pattern.m, pattern.n) == (2, 1)
        fits = fits or (pattern.is_grouped and pattern.m % GROUP == 0 and pattern.n <= KEPT)
        if not fits:
            raise UserError(
                f"{op.layer}: pattern {pattern} may keep more than {KEPT} of {GROUP} in a row, which the sparse tensor "
                f"units of {name} cannot take; 2:4, 1:4 or 2:8 are fine"
            )
        return pattern

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


_LEFT_OUT = (
    "everything inside a tile: two efficiencies stand for it, one for dense and one for 2:4 products",
    "work of one op beside another's (streams)",
    "transfers between the card and its host",
    "what ranking weights takes beside reading and writing them, and masking those that a phase multiplies as dense",
)


def _sheet(name: str) -> MachineSheet:
    return MachineSheet("roofline", Path(__file__).with_name(f"{name}.yaml"), RooflineArch, _LEFT_OUT)


T4, A100, H100 = _sheet("t4"), _sheet("a100"), _sheet("h100")
