"""The array behind AXI, by cocotb and cocotbext-axi: golden tiles, pauses on every channel, resets, runs it refuses.

`run.py` beside this file starts it. The masters and sinks are those of cocotbext-axi; nothing here knows the array but
manifest.json, the vectors and product.py.
"""

import json
import os
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from product import Array

FOLDER = Path(os.environ["FOLDER"])
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
AT = {each["name"]: each["address"] for each in MANIFEST["axi"]["registers"]}
PARAMETERS = MANIFEST["parameters"]
ROWS, COLUMNS = PARAMETERS["rows"], PARAMETERS["cols"]
BYTES = {name: each["bytes"] for name, each in MANIFEST["axi"]["streams"].items()}  # of a word in a stream
OPERANDS = ("west", "north", "seeds")


class Bench:
    """The array with a master, three sources and a sink."""

    def __init__(self, dut):
        self.dut = dut
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        self.sources = {
            name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.aclk, **reset)
            for name in OPERANDS
        }
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_results"), dut.aclk, **reset)
        for each in (*self.sources.values(), self.sink):
            each.log.setLevel("ERROR")
        for channel in (self.lite.write_if, self.lite.read_if):
            channel.log.setLevel("WARNING")

    @classmethod
    async def begun(cls, dut):
        bench = cls(dut)
        dut.aresetn.value = 0
        cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
        await bench.reset()
        return bench

    async def reset(self):
        """A few cycles of reset, in which all that was under way is forgotten, here too."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 4)
        self.forget()
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 1)

    def forget(self):
        for each in (*self.sources.values(), self.sink):
            each.clear()

    def pause(self, share, seed=1):
        """Every channel stands still in about `share` of all cycles, each by its own numbers."""
        write, read = self.lite.write_if, self.lite.read_if
        channels = [*self.sources.values(), self.sink, write.aw_channel, write.w_channel, write.b_channel]
        for number, channel in enumerate([*channels, read.ar_channel, read.r_channel]):
            channel.set_pause_generator(_still(random.Random(100 * seed + number), share))

    async def read(self, name):
        return await self.lite.read_dword(AT[name])

    async def start(self, word):
        """Hand a run over, as soon as the one before it has begun."""
        while await self.read("STATUS") & 2:
            pass
        for number in range(4):
            written = await self.lite.write(
                AT[f"RUN{number}"], (word >> 32 * number & 0xFFFFFFFF).to_bytes(4, "little")
            )
            assert written.resp == 0, f"RUN{number} was answered {written.resp}"

    def send(self, name, lanes):
        """lanes: (rows or columns, words). A beat has a word of each."""
        beats = b"".join(word.to_bytes(BYTES[name], "little") for beat in zip(*lanes, strict=True) for word in beat)
        if beats:
            self.sources[name].send_nowait(AxiStreamFrame(beats))

    async def sums(self):
        """(columns, sums) of the next run that gives some."""
        frame = await self.sink.recv()
        width = BYTES["results"]
        words = [int.from_bytes(frame.tdata[at : at + width], "little") for at in range(0, len(frame.tdata), width)]
        return np.array(words, np.uint64).reshape(-1, COLUMNS).T.astype(np.uint32)

    async def idle(self):
        while not await self.read("STATUS") & 1:
            pass

    async def cycles(self):
        await self.idle()
        return await self.read("CYCLES")


def _still(numbers, share):
    while True:
        yield numbers.random() < share


def golden():
    """The tiles of vectors/*.hex: run, operands by stream, sums, cycles."""
    texts = {path.stem: [int(line, 16) for line in path.read_text().split()] for path in (FOLDER / "vectors").iterdir()}
    sizes = [texts["sizes"][at : at + 5] for at in range(0, len(texts["sizes"]), 5)]
    for number, (words, weights, seeds, sums, cycles) in enumerate(sizes):
        tile = {"run": texts["runs"][number], "cycles": cycles}
        for name, count, lanes in (
            ("west", words, ROWS),
            ("north", weights, COLUMNS),
            ("seeds", seeds, COLUMNS),
            ("results", sums, COLUMNS),
        ):
            longest = len(texts[name]) // (len(sizes) * lanes)
            starts = [(number * lanes + lane) * longest for lane in range(lanes)]
            tile[name] = [texts[name][start : start + count] for start in starts]
        yield tile


async def tried(bench, tile):
    for name in OPERANDS:
        bench.send(name, tile[name])
    await bench.start(tile["run"])
    found = await bench.sums()
    assert (found == np.array(tile["results"])).all(), f"sums {found.tolist()}, not {tile['results']}"
    cycles = await bench.cycles()
    assert cycles == tile["cycles"], f"{cycles} cycles, not {tile['cycles']}"


@cocotb.test()
async def golden_tiles(dut):
    """Every tile of the vectors, one after the other: sums and cycles."""
    bench = await Bench.begun(dut)
    assert await bench.read("ID") == MANIFEST["axi"]["id"]
    assert await bench.read("SIZE") == ROWS | COLUMNS << 16
    for tile in golden():
        await tried(bench, tile)


@cocotb.test()
async def pauses_on_every_channel(dut):
    """Gaps and back-pressure change when things happen, never a sum, and no run's own cycles."""
    bench = await Bench.begun(dut)
    for seed, share in enumerate((0.3, 0.7)):
        bench.pause(share, seed)
        for tile in golden():
            await tried(bench, tile)


@cocotb.test()
async def runs_without_waiting(dut):
    """All runs are handed over and all operands sent before the first sum is taken."""
    bench = await Bench.begun(dut)
    bench.sink.pause = True
    tiles = list(golden())
    for name in OPERANDS:
        for tile in tiles:
            bench.send(name, tile[name])
    handed = cocotb.start_soon(_hand(bench, tiles))
    await ClockCycles(dut.aclk, 500)
    bench.sink.pause = False
    for tile in tiles:
        assert (await bench.sums() == np.array(tile["results"])).all()
    await handed


async def _hand(bench, tiles):
    for tile in tiles:
        await bench.start(tile["run"])


@cocotb.test()
async def reset_in_mid_run(dut):
    """A reset at any moment, then a tile that must be right."""
    bench = await Bench.begun(dut)
    tiles = list(golden())
    for number, tile in enumerate(tiles):
        for name in OPERANDS:
            bench.send(name, tile[name])
        await bench.start(tile["run"])
        await ClockCycles(dut.aclk, 1 + 7 * number)
        await bench.reset()
        await tried(bench, tiles[number - 1])


@cocotb.test()
async def a_run_that_is_refused(dut):
    """A run of no group ends with an error, nothing leaves, and after CONTROL the array works again."""
    bench = await Bench.begun(dut)
    tile = next(golden())
    await bench.start(1 << _field("drain") | 1 << _field("fresh"))
    for _ in range(100):
        status = await bench.read("STATUS")
        if status >> 8 & 255:
            break
    assert status >> 8 & 255 == MANIFEST["errors"][0]["number"], hex(status)
    assert bench.sink.empty()
    await bench.lite.write_dword(AT["CONTROL"], 1)
    bench.forget()
    await tried(bench, tile)


@cocotb.test()
async def patience_ends(dut):
    """A run whose operands do not come is given up after so many cycles."""
    bench = await Bench.begun(dut)
    await bench.lite.write_dword(AT["PATIENCE"], 200)
    await bench.start(next(golden())["run"])
    await ClockCycles(dut.aclk, 400)
    assert await bench.read("STATUS") >> 8 & 255 == MANIFEST["errors"][-1]["number"]


@cocotb.test()
async def a_second_run_waits(dut):
    """One run may wait in the registers; the next one is answered SLVERR, and so is an address of nothing."""
    bench = await Bench.begun(dut)
    tile, handed = next(golden()), 1
    word = tile["run"]
    await ClockCycles(dut.aclk, MANIFEST["cycles"]["after_reset"])
    await bench.start(word)
    for _ in range(3):  # those that the array takes before it starts the first
        await ClockCycles(dut.aclk, 10)
        if await bench.read("STATUS") & 2:
            break
        await bench.start(word)
        handed += 1
    for name in ("RUN0", "RUN1", "RUN2"):  # of a run that cannot be handed over yet: those that wait stay as they are
        await bench.lite.write_dword(AT[name], 0)
    answered = await bench.lite.write(AT["RUN3"], b"\0\0\0\0")
    assert answered.resp == 2
    assert (await bench.lite.read(0x3C, 4)).resp == 2
    assert (await bench.lite.write(AT["ID"], b"\0\0\0\0")).resp == 2
    for _ in range(handed):
        for name in OPERANDS:
            bench.send(name, tile[name])
        assert (await bench.sums() == np.array(tile["results"])).all()


def _field(name):
    return next(each["lowest"] for each in MANIFEST["run"] if each["name"] == name)


@cocotb.test()
async def products(dut):
    """Operands of one's own, LEFT and RIGHT, or random ones of several sizes; the product goes to PRODUCT."""
    bench = await Bench.begun(dut)
    array = Array(MANIFEST)
    numbers = np.random.default_rng(1)
    scale = 30 if array.format == "int8" else 1
    sizes = ((1, 1, 1), (ROWS + 1, 5 * array.m + 1, COLUMNS + 1), (2 * ROWS, 3 * array.m, 2 * COLUMNS))
    if "LEFT" in os.environ:
        sizes = [None]
    for size in sizes:
        if size is None:
            left, right = (np.load(os.environ[name]) for name in ("LEFT", "RIGHT"))
        else:
            left, right = (scale * numbers.standard_normal(shape) for shape in (size[:2], size[1:]))
        left, right = array.encode(left), array.encode(right)
        mask = array.largest(right)
        out = np.zeros((len(left), right.shape[1]), np.uint32)
        cycles = wanted = 0
        for run in array.runs(left, right, mask):
            bench.send("west", run.west)
            bench.send("north", run.north)
            await bench.start(run.word)
            if run.drains:
                sums = await bench.sums()
                for column, place in enumerate(run.columns):
                    for number, row in enumerate(run.rows):
                        if row >= 0 and place >= 0:
                            out[row, place] = sums[column, number]
            cycles += await bench.cycles()
            wanted += run.cycles
        expected = array.product(left, right, mask)
        different = int((out != expected).sum())
        dut._log.info(
            f"{len(left)} x {len(right)} x {right.shape[1]}: {out.size} sums, {different} wrong, {cycles} cycles"
        )
        assert different == 0 and cycles == wanted, (cycles, wanted)
        if size is None:
            np.save(os.environ["PRODUCT"], array.sums(out))
