"""What a machine that extends the core may differ in: everything else is as the hardware of `rtl/core` is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workloads.errors import UserError

if TYPE_CHECKING:
    from simulator.machines.systolic import SystolicArch

LEAST_LATENCY = 12  # cycles of a load that are the DMA's own, with some to spare


def check_core(arch: "SystolicArch") -> None:
    """Raises UserError for the first number that the core cannot have, with what it takes instead."""
    for field, given, wanted in _fixed(arch):
        if given != wanted:
            raise UserError(f"core: {field} is {_said(given)}, and the core's hardware has {_said(wanted)}")
    assert arch.core is not None and arch.dram is not None
    channel, spec = arch.dram_channel(), arch.array
    if channel.bytes_per_tick is None or channel.bytes_per_tick > arch.core.word_bytes:
        raise UserError(
            f"core: the DRAM brings more than the {arch.core.word_bytes} bytes a cycle that the core takes; lower "
            "dram.channel_bandwidth_gb_s or dram.efficiency, or raise clock_mhz"
        )
    if channel.latency_ticks < LEAST_LATENCY:
        raise UserError(
            f"core: dram.latency_ns is {channel.latency_ticks} cycles, and the core's DMA takes {LEAST_LATENCY} of them"
        )
    if arch.transposer is not None and spec.rows % arch.transposer.side:
        raise UserError(f"core: array.rows is {spec.rows}; it must be a multiple of transposer.side, 4")
    if spec.window_max > 32 or not 4 <= spec.group_max <= spec.window_max:
        raise UserError(
            f"core: array.group_max is {spec.group_max} and array.window_max {spec.window_max}; wanted is 4 or more, "
            "the first no more than the second, and both at most 32"
        )


def _fixed(arch: "SystolicArch") -> Iterator[tuple[str, object, object]]:
    """Fields by name, with what they are and what they have to be."""
    assert arch.core is not None
    array, memory, operands = arch.array, arch.memory, arch.core.word_bytes // 2
    yield "array.pe", array.pe, "unified"
    yield "array.control", array.control, "rtl"
    yield "array.drains", array.drains, True
    yield "array.west_link_operands_per_cycle", array.west_link_operands_per_cycle, operands
    yield "array.north_link_weights_per_cycle", array.north_link_weights_per_cycle, 1
    yield "array.sum_link_values_per_cycle", array.sum_link_values_per_cycle, 2
    yield "array.sum_hop_cycles", array.sum_hop_cycles, 1
    yield "format.operand_bytes", arch.format.operand_bytes, 2
    yield "format.accumulator_bytes", arch.format.accumulator_bytes, 4
    for name in ("west_kib", "north_kib", "output_kib"):
        yield f"memory.{name}", getattr(memory, name) is not None, True
    yield "memory.dma_port_bytes_per_cycle", memory.dma_port_bytes_per_cycle, None
    yield "dram", arch.dram is not None, True
    if arch.dram is not None:
        yield "dram.burst_bytes", arch.dram.burst_bytes, arch.core.word_bytes
    if arch.sore is not None:
        yield "sore.lanes", arch.sore.lanes, operands
        yield "sore.cycles_per_element", arch.sore.cycles_per_element, 1
        yield "sore.tile_buffer", arch.sore.tile_buffer, True
    if arch.transposer is not None:
        yield "transposer.side", arch.transposer.side, operands
        yield "transposer.elements_per_cycle", arch.transposer.elements_per_cycle, operands
    yield "schedule.overlap", arch.schedule.overlap, "barriers"
    yield "lowering.im2col", arch.lowering.im2col, "explicit"
    yield "lowering.exchange_wu", arch.lowering.exchange_wu, False


def _said(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
