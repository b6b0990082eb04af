"""The core behind AXI, by cocotb and cocotbext-axi: products from DRAM to DRAM, bit for bit; pauses, resets, faults.

`run.py` beside this file starts it. The memory and the master of registers are those of cocotbext-axi; nothing here
knows the core but manifest.json, the vectors and host.py.
"""

import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam
from host import Host, pushes, results, words

FOLDER = Path(os.environ["FOLDER"])
HOST = Host.load(FOLDER)
VECTORS = FOLDER / "vectors"
PATIENCE = 20_000  # cycles in which a program must be over
SLVERR = 2


class Bench:
    """The core with a master of its registers, and its DRAM."""

    def __init__(self, dut):
        self.dut = dut
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, **reset)
        image = b"".join(word.to_bytes(8, "little") for word in words((VECTORS / "memory.hex").read_text()))
        self.image = image
        self.ram = AxiRam(
            AxiBus.from_prefix(dut, "m_axi"), dut.aclk, size=1 << (len(image) + 4095).bit_length(), **reset
        )
        for each in (self.lite.write_if, self.lite.read_if, self.ram.write_if, self.ram.read_if):
            each.log.setLevel("WARNING")

    @classmethod
    async def begun(cls, dut):
        bench = cls(dut)
        dut.aresetn.value = 0
        cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
        await bench.reset()
        return bench

    async def reset(self):
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 4)
        self.ram.write(0, self.image)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 1)

    def pause(self, share, seed=1):
        """Every channel stands still in about `share` of all cycles, each by its own numbers."""
        write, read = self.ram.write_if, self.ram.read_if
        channels = [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel]
        write, read = self.lite.write_if, self.lite.read_if
        channels += [write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel]
        for number, channel in enumerate(channels):
            channel.set_pause_generator(_still(random.Random(100 * seed + number), share))

    async def read(self, name):
        return await self.lite.read_dword(HOST.at[name])

    async def push(self, number, word):
        """Hand a word over, as soon as there is room for it."""
        name = HOST.names[number]
        while not await self.lite.read_dword(HOST.free(name)):
            pass
        for address, value in HOST.writes(name, word):
            written = await self.lite.write(address, value.to_bytes(4, "little"))
            assert written.resp == 0, f"{name} at {address:#x} was answered {written.resp}"

    async def quiet(self):
        """Wait until nothing goes on any more; returns STATUS."""
        for _ in range(PATIENCE):
            status = await self.read("STATUS")
            if status >> 4 & 1 or status >> 8 & 0xFF:
                return status
        raise AssertionError(f"STATUS {status:#x} after {PATIENCE} looks: somebody waits for ever")

    async def carry_out(self, number):
        """One program, from its words to its results in DRAM."""
        for queue, word in pushes((VECTORS / f"{number}_pushes.hex").read_text()):
            await self.push(queue, word)
        await self.done(number)

    async def done(self, number):
        status = await self.quiet()
        assert status == 1 << 4, f"STATUS {status:#x}"
        found = results((VECTORS / f"{number}_results.hex").read_text())
        wrong = [at for at, mask, value in found if (self.ram.read_qword(at) ^ value) & mask]
        title = HOST.manifest["programs"][number]["title"]
        self.dut._log.info(f"{title}: {len(found)} words of results, {len(wrong)} wrong")
        assert found and not wrong, f"{title}: {len(wrong)} words, the first at {wrong[0]:#x}"


def _still(numbers, share):
    while True:
        yield numbers.random() < share


def programs():
    return range(len(HOST.manifest["programs"]))


@cocotb.test()
async def programs_of_a_step(dut):
    """Every program of the vectors, one after the other; counters go on, and nothing is lost."""
    bench = await Bench.begun(dut)
    for name, value in HOST.manifest["constants"].items():
        assert await bench.read(name) == value, name
    for number in programs():
        await bench.carry_out(number)
    assert await bench.read("OPS") == len(programs())
    assert await bench.read("CYCLES") > 0 and await bench.read("CYCLES_HIGH") == 0
    assert await bench.read("OVERFLOW") == 0


@cocotb.test()
async def pauses_on_every_channel(dut):
    """A slow memory and a slow host change when things happen, and no bit."""
    bench = await Bench.begun(dut)
    bench.pause(0.5)
    await bench.lite.write_dword(HOST.at["CONTROL"], 0)  # stores end with their last beat
    for number in programs():
        await bench.carry_out(number)


@cocotb.test()
async def programs_without_waiting(dut):
    """All words of all programs are handed over as fast as there is room for them."""
    bench = await Bench.begun(dut)
    for number in programs():
        for queue, word in pushes((VECTORS / f"{number}_pushes.hex").read_text()):
            await bench.push(queue, word)
    for number in programs():
        await bench.done(number)


@cocotb.test()
async def resets(dut):
    """A reset in mid-run, by its pin, and by CONTROL once nothing is on its way; then everything is right again."""
    bench = await Bench.begun(dut)
    told = pushes((VECTORS / "0_pushes.hex").read_text())
    for queue, word in told[: 2 * len(told) // 3]:
        await bench.push(queue, word)
    await bench.reset()
    await bench.carry_out(0)
    await bench.lite.write_dword(HOST.at["CONTROL"], 3)
    assert await bench.read("CONTROL") == 2
    assert await bench.read("OPS") == 0 and await bench.read("CYCLES") == 0
    await bench.carry_out(programs()[-1])


@cocotb.test()
async def a_queue_that_is_full(dut):
    """FREE counts down to nothing; a word too many is answered SLVERR, and its queue has its bit of OVERFLOW."""
    bench = await Bench.begun(dut)
    name = "ops"  # which nobody takes while the first op has no commands
    told = HOST.queues[name]
    op = HOST.word(name, active=1)
    for _ in range(2 * HOST.depth):
        if not await bench.lite.read_dword(HOST.free(name)):
            break
        await bench.push(told["number"], op)
    assert await bench.lite.read_dword(HOST.free(name)) == 0
    *_, (address, value) = HOST.writes(name, op)
    assert (await bench.lite.write(address, value.to_bytes(4, "little"))).resp == SLVERR
    assert await bench.read("OVERFLOW") == 1 << told["number"]
    assert await bench.read("STATUS") >> 3 & 1
    await bench.lite.write_dword(HOST.at["CONTROL"], 3)
    assert await bench.read("OVERFLOW") == 0
    await bench.carry_out(0)


@cocotb.test()
async def a_run_that_is_refused(dut):
    """A run without a group stops the core with a fault and the reason, until CONTROL."""
    bench = await Bench.begun(dut)
    mask = 0
    for name in ("does.run.groups", "does.run.tail_kept"):
        field = HOST.field("array", name)
        mask |= (1 << field["bits"]) - 1 << field["lowest"]
    for queue, word in pushes((VECTORS / "0_pushes.hex").read_text()):
        await bench.push(queue, word & ~mask if HOST.names[queue] == "array" else word)
    status = await bench.quiet()
    fault, why = status >> 8 & 0xFF, status >> 16 & 0xFF
    assert fault == HOST.manifest["faults"][0]["number"], f"STATUS {status:#x}"
    assert why in {each["number"] for each in HOST.manifest["errors"]}
    while await bench.read("STATUS") >> 2 & 1:  # a burst has not ended
        pass
    await bench.lite.write_dword(HOST.at["CONTROL"], 3)
    await bench.carry_out(0)


@cocotb.test()
async def what_there_is_not(dut):
    """Addresses of nothing, what is only read, and writes of some bytes are answered SLVERR."""
    bench = await Bench.begun(dut)
    assert (await bench.lite.read(0xFFC, 4)).resp == SLVERR
    assert (await bench.lite.write(0xFFC, bytes(4))).resp == SLVERR
    assert (await bench.lite.write(HOST.at["ID"], bytes(4))).resp == SLVERR
    assert (await bench.lite.write(HOST.at["CONTROL"], bytes(2))).resp == SLVERR
    assert await bench.read("CONTROL") == 2
    await bench.carry_out(0)
