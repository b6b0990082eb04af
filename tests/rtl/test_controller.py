"""Load, run, read over bytes and over the pins of a serial port, in Amaranth's own simulator."""

from dataclasses import replace

import numpy as np
from amaranth import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator, SimulatorContext

from rtl.controller import Controller
from rtl.formats import pack
from rtl.golden.products import sparse_product
from rtl.link.linked import UartReceiver, UartTransmitter
from rtl.parameters import Parameters, make_parameters
from rtl.protocol import COUNTERS_BYTES, IDENTITY_BYTES, Gateware, gateware_of, read_sums, tile_commands
from rtl.run import Error
from rtl.tiles import Tile, output_stationary_tile, weight_stationary_tile
from rtl.timing import Reduction
from tests.rtl.cases import operands, random_mask
from workloads.pattern import parse_pattern

DIVISOR = 4


def small() -> Parameters:
    return make_parameters(parse_pattern("2:4"), 2, 1, "int8", results=16)


def tiles(p: Parameters) -> list[tuple[Tile, np.ndarray]]:
    """A tile of each dataflow with its product, the second one seeded."""
    rng, work = np.random.default_rng(1), Reduction(1, 7, 2, 4)
    left = operands(p.operand, (2, 7), rng)
    right = pack(operands(p.operand, (7, 1), rng), random_mask(work, 1, rng), work)
    seeds = np.array([[5], [7]], np.uint32)
    return [
        (output_stationary_tile(p, left, right, work), sparse_product(left, right, p.operand)),
        (weight_stationary_tile(p, left, right, work, 0, seeds), sparse_product(left, right, p.operand, seeds)),
    ]


def talk(controller: Controller, commands: bytes, wanted: int) -> bytes:
    got = bytearray()

    async def send(ctx: SimulatorContext) -> None:
        for byte in commands:
            ctx.set(controller.commands.payload, byte)
            ctx.set(controller.commands.valid, 1)
            await ctx.tick().until(controller.commands.ready)
            ctx.set(controller.commands.valid, 0)

    async def receive(ctx: SimulatorContext) -> None:
        ctx.set(controller.replies.ready, 1)
        while len(got) < wanted:
            *_, valid, byte = await ctx.tick().sample(controller.replies.valid, controller.replies.payload)
            if valid:
                got.append(byte)

    simulator = Simulator(controller)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run_until(20e-3)
    return bytes(got)


def test_tiles_over_bytes() -> None:
    """Unknown letters and channels do nothing; then parameters, sums and counters come back as they should."""
    p = small()
    commands, wanted = b"?\x00\x01\x00" + b"O\x09\x01\x00" + b"I\0\0\0", IDENTITY_BYTES
    for tile, _ in tiles(p):
        commands += tile_commands(tile) + read_sums(0, 2) + b"C\0\0\0"
        wanted += 8 + COUNTERS_BYTES
    got = talk(Controller(p), commands, wanted)
    assert len(got) == wanted
    assert gateware_of(got[:IDENTITY_BYTES]) == Gateware(p)
    for number, (tile, product) in enumerate(tiles(p)):
        part = got[IDENTITY_BYTES + number * (8 + COUNTERS_BYTES) :][: 8 + COUNTERS_BYTES]
        assert (tile.product(np.frombuffer(part[:8], np.uint32)[None]) == product).all()
        assert int.from_bytes(part[8:12], "little") == tile.cycles
        assert int.from_bytes(part[12:16], "little") == tile.compute


class Loop(Elaboratable):
    """A receiver whose bytes go straight to a transmitter."""

    def __init__(self) -> None:
        self.receiver, self.transmitter = UartReceiver(DIVISOR), UartTransmitter(DIVISOR)

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.receiver, m.submodules.transmitter = self.receiver, self.transmitter
        wiring.connect(m, self.receiver.bytes, self.transmitter.bytes)
        return m


def test_bytes_come_back_over_the_pins() -> None:
    loop, sent, got = Loop(), bytes([0x00, 0xFF, 0x55, 0xA7]), bytearray()

    async def send(ctx: SimulatorContext) -> None:
        for byte in sent:
            for bit in [0, *((byte >> at) & 1 for at in range(8)), 1, 1]:
                ctx.set(loop.receiver.rx, bit)
                await ctx.tick().repeat(DIVISOR)

    async def receive(ctx: SimulatorContext) -> None:
        while len(got) < len(sent):
            await ctx.tick().until(~loop.transmitter.tx)
            await ctx.tick().repeat(DIVISOR + DIVISOR // 2 - 1)
            byte = 0
            for at in range(8):
                byte |= ctx.get(loop.transmitter.tx) << at
                await ctx.tick().repeat(DIVISOR)
            assert ctx.get(loop.transmitter.tx) == 1
            got.append(byte)

    simulator = Simulator(loop)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run_until(2e-3)
    assert bytes(got) == sent


def test_a_bad_run_is_answered_and_forgotten() -> None:
    """A run that takes more than was sent: zeros for its sums, the reason, and after 'A' the array works again."""
    p = small()
    (tile, product), _ = tiles(p)
    longer = replace(tile.run, groups=tile.run.groups + 1)
    commands = tile_commands(replace(tile, run=longer)) + read_sums(0, 2) + b"C\0\0\0" + b"W\0\1\0" + bytes(4)
    commands += b"A\0\0\0" + tile_commands(tile) + read_sums(0, 2) + b"C\0\0\0"
    got = talk(Controller(p), commands, 2 * (8 + COUNTERS_BYTES))
    assert got[:8] == bytes(8) and got[7 + COUNTERS_BYTES] == Error.COUNT.value
    assert (tile.product(np.frombuffer(got[8 + COUNTERS_BYTES :][:8], np.uint32)[None]) == product).all()
    assert got[-1] == Error.NONE.value
