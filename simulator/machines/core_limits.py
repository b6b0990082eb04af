"""What a machine that extends the core may differ in, and how far; the rest is as the hardware of `rtl/core` is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rtl.lanes import STATE, UpdateParameters
from rtl.timing import CORE_UPDATED, core_unread
from workloads.errors import UserError

if TYPE_CHECKING:
    from simulator.machines.systolic import SystolicArch

LEAST_LATENCY = 12  # two cycles are the DMA's own; no load may come while a slot is read. The least that was run is 30
MOST_LATENCY = 62  # of the DMA's 64 loads on their way, which may be of one word each
MOST_UNREAD = 4  # SORE writes into a slot five cycles after it was given back, at the soonest


def check_core(arch: "SystolicArch") -> None:
    """Raises UserError for the first number that the core cannot have, with what it takes instead."""
    core, array, memory = arch.core, arch.array, arch.memory
    assert core is not None
    if arch.dram is None or None in (memory.west_kib, memory.north_kib, memory.output_kib):
        raise UserError("core: dram, memory.west_kib, memory.north_kib and memory.output_kib must be there")
    for field, given, wanted in _fixed(arch):
        if given != wanted:
            raise UserError(f"core: {field} is {_said(given)}, and the core's hardware has {_said(wanted)}")
    channel = arch.dram_channel()
    if channel.bytes_per_tick is None or channel.bytes_per_tick > core.word_bytes:
        raise UserError(
            f"core: the DRAM brings more than the {core.word_bytes} bytes a cycle that the core takes; lower "
            "dram.channel_bandwidth_gb_s or dram.efficiency, or raise clock_mhz"
        )
    if not LEAST_LATENCY <= channel.latency_ticks <= MOST_LATENCY:
        raise UserError(
            f"core: dram.latency_ns is {channel.latency_ticks} cycles; the core's DMA takes {LEAST_LATENCY} to "
            f"{MOST_LATENCY}"
        )
    words = -(-array.window_max * arch.format.operand_bytes // core.word_bytes)
    unread = core_unread(array.rows, array.cols, array.accumulators, words)
    if unread > MOST_UNREAD:
        raise UserError(
            f"core: an array of {array.rows} x {array.cols} with array.accumulators {array.accumulators} and "
            f"array.window_max {array.window_max} reads a slot {unread} cycles after it was given back, and the core "
            f"allows {MOST_UNREAD}; make one of these smaller"
        )
    if arch.transposer is not None and array.rows % arch.transposer.side:
        raise UserError(
            f"core: array.rows is {array.rows}; it must be a multiple of transposer.side, {arch.transposer.side}"
        )
    if array.window_max > 32 or not 4 <= array.group_max <= array.window_max:
        raise UserError(
            f"core: array.group_max is {array.group_max} and array.window_max {array.window_max}; wanted is 4 or more, "
            "the first no more than the second, and both at most 32"
        )


def _fixed(arch: "SystolicArch") -> Iterator[tuple[str, object, object]]:
    """Fields by name, with what they are and what they have to be; links are as their memories' ports leave them."""
    assert arch.core is not None and arch.dram is not None
    array, links, operands = arch.array, arch.timing_array(), arch.core.word_bytes // 2
    yield "array.pe", array.pe, "unified"
    yield "array.control", array.control, "rtl"
    yield "array.drains", array.drains, True
    yield "array.west_link_operands_per_cycle (with its memory's port)", links.west_link, operands
    yield "array.north_link_weights_per_cycle (with its memory's port)", links.north_link, 1
    yield "array.sum_link_values_per_cycle (with its memory's port)", links.sum_link, 2
    yield "array.sum_hop_cycles", array.sum_hop_cycles, 1
    yield "format.operand_bytes", arch.format.operand_bytes, 2
    yield "format.accumulator_bytes", arch.format.accumulator_bytes, 4
    yield "memory.dma_port_bytes_per_cycle", arch.memory.dma_port_bytes_per_cycle, None
    yield "dram.burst_bytes", arch.dram.burst_bytes, arch.core.word_bytes
    if arch.sore is not None:
        yield "sore.lanes", arch.sore.lanes, operands
        yield "sore.cycles_per_element", arch.sore.cycles_per_element, 1
        yield "sore.tile_buffer", arch.sore.tile_buffer, True
    if arch.transposer is not None:
        yield "transposer.side", arch.transposer.side, operands
        yield "transposer.elements_per_cycle", arch.transposer.elements_per_cycle, operands
    if arch.wuve is not None:
        yield "wuve.lanes", arch.wuve.lanes, operands
        for optimizer in STATE:
            latency = UpdateParameters(optimizer).latency + CORE_UPDATED
            yield f"wuve.{optimizer}_cycles", getattr(arch.wuve, f"{optimizer}_cycles"), 1
            yield f"wuve.{optimizer}_latency_cycles", getattr(arch.wuve, f"{optimizer}_latency_cycles"), latency
    yield "schedule.overlap", arch.schedule.overlap, "barriers"
    yield "lowering.im2col", arch.lowering.im2col, "explicit"
    yield "lowering.exchange_wu", arch.lowering.exchange_wu, False


def _said(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
