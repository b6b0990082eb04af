"""Systolic N:M training machines: SAT (arXiv 2309.13015) and the idealised dense array, one type and two descriptions.

`sat.yaml` and `dense.yaml` fill the type in.
A field of None is unlimited (a link, a memory, the DRAM) or absent (an engine).
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from rtl.timing import INPUT, SHORTEST, Array, core_latency, run_latency
from simulator import machines
from simulator.arch.machine import MachineSheet
from simulator.capacity import needed_bytes, refuse_overflow
from simulator.program import Channel
from workloads.errors import UserError
from workloads.op import MatrixOp
from workloads.pattern import Pattern
from workloads.workload import Workload

CLOSED = ConfigDict(extra="forbid", defer_build=True)
Count = Annotated[int, Field(strict=True, ge=1, le=2**40)]
Whole = Annotated[int, Field(strict=True, ge=0, le=2**40)]
Positive = Annotated[float, Field(strict=True, ge=1e-9, le=1e12, allow_inf_nan=False)]
Switch = Annotated[bool, Field(strict=True)]
Share = Annotated[float, Field(strict=True, ge=1e-6, le=1)]


@dataclass(frozen=True, config=CLOSED)
class ArraySpec:
    """`accumulators` bounds the interleave, `group_max` the kept weights of a group, `window_max` its m.

    `pe: unified` selects n of m operands a group; `pe: compressed` is the idealisation in which kept weights take the
    place of dense ones, one a PE. Links are a row (west) or a column (north, sums) each cycle; `sum_hop` is what a
    partial sum waits between two rows. `control: rtl` moves operands and starts runs as our RTL does: with registers in
    front of the multiplier, cycles between two starts, and a sum's way to where it can be used; `ideal` has none.
    """

    rows: Count
    cols: Count
    pe: Literal["unified", "compressed"]
    control: Literal["rtl", "ideal"]
    accumulators: Count
    group_max: Count
    window_max: Count
    adder_latency_cycles: Whole
    multiplier_latency_cycles: Whole
    west_link_operands_per_cycle: Positive | None
    north_link_weights_per_cycle: Positive | None
    sum_link_values_per_cycle: Positive | None
    sum_hop_cycles: Whole
    drains: Switch


@dataclass(frozen=True, config=CLOSED)
class FormatSpec:
    """Bytes of an operand, an accumulator and a master weight or its optimizer state."""

    operand_bytes: Count
    accumulator_bytes: Count
    master_bytes: Count


@dataclass(frozen=True, config=CLOSED)
class MemorySpec:
    """On-chip memories in KiB, and what their ports move for a row (west) or a column (north, output) a cycle.

    `dma_port_bytes_per_cycle` is what DRAM transfers move in or out of a memory a cycle, beside the array's ports.
    `wuve_kib` and `vector_kib` hold what the update and vector lanes work on.
    """

    west_kib: Positive | None
    north_kib: Positive | None
    output_kib: Positive | None
    west_port_bytes_per_row_cycle: Positive | None
    north_port_bytes_per_col_cycle: Positive | None
    output_port_bytes_per_col_cycle: Positive | None
    dma_port_bytes_per_cycle: Positive | None
    wuve_kib: Positive
    vector_kib: Positive


@dataclass(frozen=True, config=CLOSED)
class DramSpec:
    """All channels act as one, striped; `efficiency` is the share of the peak that transfers get."""

    channels: Count
    channel_bandwidth_gb_s: Positive
    efficiency: Share
    latency_ns: Annotated[float, Field(strict=True, ge=0, le=1e12, allow_inf_nan=False)]
    burst_bytes: Count
    capacity_gib: Positive


@dataclass(frozen=True, config=CLOSED)
class SoreSpec:
    """Top-n sorters: a group of m takes m x `cycles_per_element` in a lane.

    Without `tile_buffer` masks along output channels need a second pass over the weights.
    """

    lanes: Count
    cycles_per_element: Count
    tile_buffer: Switch


@dataclass(frozen=True, config=CLOSED)
class WuveSpec:
    """Weight update lanes, cycles between two weights in one, and from a weight in to the same out, by optimizer."""

    lanes: Count
    sgd_cycles: Count
    momentum_cycles: Count
    adam_cycles: Count
    adamw_cycles: Count
    sgd_latency_cycles: Whole
    momentum_latency_cycles: Whole
    adam_latency_cycles: Whole
    adamw_latency_cycles: Whole


@dataclass(frozen=True, config=CLOSED)
class VectorSpec:
    """Lanes for normalisation, softmax and the like; one element read or written a lane a cycle.

    `fuse_elementwise` does activations, biases and residual sums on values as they leave the array or the lanes, so
    that only second operands are read from DRAM.
    """

    lanes: Count
    fuse_elementwise: Switch


@dataclass(frozen=True, config=CLOSED)
class TransposerSpec:
    """Turns operands that were packed along channels for the reduction over positions (WU).

    Units of `side` x `side` registers, as many as make `elements_per_cycle`; each turns a block in `side` cycles.
    """

    elements_per_cycle: Count
    side: Count

    @property
    def units(self) -> int:
        return max(1, self.elements_per_cycle // self.side)


@dataclass(frozen=True, config=CLOSED)
class ScheduleSpec:
    """Switches of the dataflow optimisations.

    `interleave`: several outputs a PE in turn. `pregenerate`: sparse weights are made behind the update, not on the
    fly. `offline`: dataflow, depth, interleave and generation place are chosen layer by layer from simulated time;
    without it weight stationary is taken throughout, at the largest depth with both operands streamed, and weights are
    made sparse behind the update if `pregenerate`, otherwise on the fly. `overlap`: whether an op's first loads run
    behind the op before it, or ops are separated by barriers.
    """

    interleave: Switch
    pregenerate: Switch
    offline: Switch
    overlap: Literal["barriers", "overlap"]


@dataclass(frozen=True, config=CLOSED)
class LoweringSpec:
    """How convolutions become products, and how cycles are counted.

    `skip_stride_zeros`: the gradient of a strided convolution's input leaves inserted zeros out. `groups`: n:m groups
    stay in a kernel position or run along the flattened reduction. `exchange_wu`: the weight gradient is computed
    transposed. `cycles_from_zero`: report the index of an op's last cycle, counted from 0, instead of their number.
    `im2col`: whether an element of an image lies in DRAM once, or explicitly for every position that looks at it.
    """

    skip_stride_zeros: Switch
    groups: Literal["kernel-position", "flattened"]
    exchange_wu: Switch
    cycles_from_zero: Switch
    im2col: Literal["implicit", "explicit"] = "implicit"

    def __repr__(self) -> str:
        return _said(self, unless={"im2col": "implicit"})


@dataclass(frozen=True, config=CLOSED)
class RtlSpec:
    """The array in the loop (`--hil`): its own size, and the number format of its operands."""

    rows: Annotated[int, Field(strict=True, ge=1, le=32)]
    cols: Annotated[int, Field(strict=True, ge=1, le=32)]
    format: Literal["fp16", "bf16", "int8"]


@dataclass(frozen=True, config=CLOSED)
class CoreSpec:
    """What a machine has that is carried out by the core in hardware (`--hil core`).

    `word_bytes`: transfers between DRAM and memories are whole words, each for one address of one bank or of several.
    `raw_kib`: the memory in front of the transposer and of SORE, which other machines have in their operands' memories.
    Right operands need no transposer: a word of neighbouring columns is what lies together in DRAM.
    """

    format: Literal["fp16", "bf16"]
    word_bytes: Literal[8]
    raw_kib: Positive


@dataclass(frozen=True, config=CLOSED)
class SystolicArch:
    """A systolic training machine."""

    machine: Literal["systolic"]
    title: str
    clock_mhz: Positive
    array: ArraySpec
    format: FormatSpec
    memory: MemorySpec
    dram: DramSpec | None
    sore: SoreSpec | None
    wuve: WuveSpec | None
    vector: VectorSpec | None
    transposer: TransposerSpec | None
    schedule: ScheduleSpec
    lowering: LoweringSpec
    rtl: RtlSpec | None = None
    core: CoreSpec | None = None

    def __repr__(self) -> str:
        return _said(self, unless={"core": None})

    @property
    def hypothetical(self) -> tuple[str, ...]:
        """It was made for all that is simulated on it."""
        return ()

    def check(self, workload: Workload, fits: bool) -> None:
        """Raises UserError for a pattern the array cannot take; with `fits` also where a step does not fit the DRAM."""
        if self.core is not None:
            machines.check_core(self)
        if fits and self.dram is not None:
            needed = needed_bytes(workload, self.format.operand_bytes, self.format.master_bytes)
            refuse_overflow(workload, needed, self.dram.capacity_gib)
        for op in workload.ops:
            if not isinstance(op, MatrixOp):
                continue
            pattern, array = usable_pattern(op), self.array
            name = f"{op.layer}: pattern {pattern}"
            if pattern.is_grouped and pattern.m > array.window_max:
                raise UserError(f"{name}: array.window_max is {array.window_max}, m may not be more")
            if array.pe == "unified" and pattern.is_grouped and pattern.n > array.group_max:
                raise UserError(f"{name}: array.group_max is {array.group_max}, n may not be more")

    def timing_array(self) -> Array:
        """The array as `rtl.timing` sees it: a link is no wider than its share of the buffer port."""
        spec, memory = self.array, self.memory
        operand, sums = self.format.operand_bytes, self.format.accumulator_bytes
        west = _narrower(spec.west_link_operands_per_cycle, memory.west_port_bytes_per_row_cycle, operand)
        north = _narrower(spec.north_link_weights_per_cycle, memory.north_port_bytes_per_col_cycle, operand)
        is_built = spec.control == "rtl"
        words = 1 if west is None else -(-spec.window_max * west.denominator // west.numerator)
        latency = run_latency if self.core is None else core_latency
        return Array(
            rows=spec.rows,
            cols=spec.cols,
            adder_latency=spec.adder_latency_cycles,
            multiplier_latency=spec.multiplier_latency_cycles + (INPUT if is_built else 0),
            west_link=west,
            north_link=north,
            sum_link=_narrower(spec.sum_link_values_per_cycle, memory.output_port_bytes_per_col_cycle, sums),
            sum_hop=spec.sum_hop_cycles,
            drains=spec.drains,
            shortest=SHORTEST if is_built else 0,
            latency=latency(spec.accumulators, words) if is_built else 0,
        )

    def dram_channel(self) -> Channel:
        """The DRAM in array cycles; an absent one is infinitely fast."""
        if self.dram is None:
            return Channel(None)
        dram, clock = self.dram, exact(self.clock_mhz)
        rate = dram.channels * exact(dram.channel_bandwidth_gb_s) * exact(dram.efficiency) * 1000 / clock
        latency = -(-exact(dram.latency_ns) * clock // 1000)
        return Channel(rate, int(latency), dram.burst_bytes)

    def dma_port(self) -> Channel:
        """The port between DRAM and an on-chip memory."""
        width = self.memory.dma_port_bytes_per_cycle
        return Channel(None if width is None else exact(width))

    def peaks(self) -> dict[str, float]:
        """What no schedule passes, for rooflines; the DRAM's stands apart from its assumed efficiency."""
        found: dict[str, float] = {"macs_per_cycle": self.array.rows * self.array.cols}
        if self.dram is not None:
            rate = self.dram.channels * self.dram.channel_bandwidth_gb_s * 1000 / self.clock_mhz
            found |= {"dram_bytes_per_cycle": rate, "dram_efficiency": self.dram.efficiency}
        return found


def _said(spec: object, unless: Mapping[str, object]) -> str:
    """A description as a dataclass writes itself, but for fields of these values.

    The hash of a machine's numbers is over this text: a field that came later leaves those of older machines alone.
    """
    told = {each.name: getattr(spec, each.name) for each in fields(spec)}  # type: ignore[arg-type]
    said = (f"{name}={value!r}" for name, value in told.items() if name not in unless or value != unless[name])
    return f"{type(spec).__qualname__}({', '.join(said)})"


def usable_pattern(op: MatrixOp) -> Pattern:
    """The pattern of an op's weights. Raises UserError for one that an n:m array cannot use."""
    if not op.left.pattern.is_dense:
        raise UserError(f"{op.layer} {op.phase}: this machine takes sparse weights only, not a sparse {op.left.role}")
    pattern = op.right.pattern
    if not (pattern.is_dense or pattern.is_grouped):
        raise UserError(f"{op.layer} {op.phase}: pattern '{pattern}' has no groups; this machine takes dense or n:m")
    return pattern


def exact(number: float) -> Fraction:
    """The decimal number as it was written, without binary rounding."""
    return Fraction(repr(number))


def _narrower(link: float | None, port_bytes: float | None, value_bytes: int) -> Fraction | None:
    """What a link carries a cycle, in values: no more than the memory's port behind it gives."""
    widths = [] if link is None else [exact(link)]
    widths += [] if port_bytes is None else [exact(port_bytes) / value_bytes]
    return min(widths, default=None)


SAT = MachineSheet(
    kind="systolic",
    sheet=Path(__file__).with_name("sat.yaml"),
    spec=SystolicArch,
    not_modelled=(
        "work of the next op that could begin before an op ends, but for its first loads with schedule.overlap=overlap",
        "DRAM rows, banks and refresh (an efficiency stands for them)",
        "transfers between the card and its host",
        "double-buffered weights or accumulators inside a PE",
        "bank conflicts where several rows of the array want one element of a convolution's window at once",
        "making masks that are no plain groups (tiles, permuted channels) and reordering permuted channels",
        "storing the zeros of input gradients that no kernel tap reaches",
    ),
)

CORE = replace(
    SAT,
    sheet=Path(__file__).with_name("core.yaml"),
    not_modelled=("transfers between the board and its host", "the host's own time for vector work"),
)

DENSE = MachineSheet(
    kind="systolic",
    sheet=Path(__file__).with_name("dense.yaml"),
    spec=SystolicArch,
    not_modelled=("memories and their bandwidth", "pipeline latency", "update and vector work"),
)
