"""The DMA engine before the memory of cocotbext-axi, in a simulator that cocotb drives: values, and the rules of AXI.

    python -m tests.rtl.core_dma_axi FOLDER BURSTS

writes what came out to FOLDER/PAUSES.json, for each share of cycles in which every channel stands still. The memory
orders nothing between reads and writes, so stores wait for their answers; the host begins no store before the loads of
the same addresses are over, as whoever makes a program would.
"""

import hashlib
import json
import os
import random
import shutil
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb_tools.runner import get_runner
from cocotbext.axi import AxiBus, AxiRam

from rtl.core.bursts import bursts
from rtl.core.dma import PREFIX, Dma
from rtl.formats import BF16
from rtl.tools import to_verilog
from rtl.verilate import verilator_command
from tests.rtl import core_dma_cases
from tests.rtl.core_dma_cases import BASE, COLUMNS, WORDS, Order, random_order, random_sums, wanted_writes

SHAPE = replace(core_dma_cases.SHAPE, form=BF16)
PAUSES = (0.0, 0.4)  # of all cycles
TOP, MOST, AHEAD = "core_dma", 60, 3  # beats of a command; commands whose sums may be announced before they begin
RULED = {"aw": ("addr", "len", "user"), "ar": ("addr", "len", "user"), "w": ("data", "last")}
STILL = ("go", "ready_store", "load_walks__valid", "store_walks__valid", "store_words__valid", "clear")
FIELDS = ("memory", "per", "address", "bank", "index", "data")


class Bench:
    """A host that hands everything over as fast as it is taken, looks at all channels, and writes down what it sees."""

    def __init__(self, dut: object, orders: Sequence[Order], rng: np.random.Generator) -> None:
        self.dut, self.orders, self.rng = dut, orders, rng
        self.sums = random_sums(rng)
        self.queues = {
            "load_walks": deque(_walks(orders, store=False)),
            "store_walks": deque(_walks(orders, store=True)),
            "store_words": deque(int(order.narrows) for order in orders if order.transfer.store),
        }
        self.stores = np.cumsum([0, *(order.transfer.store for order in orders)]).tolist()  # before each command
        self.begun = self.ended = self.announced = self.cycles = 0
        self.owed = 0  # beats whose addresses have been offered
        self.open: deque[Order] = deque()  # loads whose data have not all come
        self.writes, self.bursts, self.freed = list[int](), list[tuple[str, int, int]](), list[int]()
        self.before: dict[str, tuple[int, ...] | None] = dict.fromkeys(RULED)

    @property
    def over(self) -> bool:
        return self.ended == len(self.orders) and not self.open

    def give(self) -> None:
        """What stands on the inputs in the next cycle."""
        dut = self.dut
        for name, queue in self.queues.items():
            getattr(dut, f"{name}__valid").value = bool(queue)
            if queue:
                getattr(dut, f"{name}__payload").value = queue[0]
        coming = self.stores[min(self.begun + AHEAD, len(self.orders))]
        announces = self.announced < coming and self.rng.random() < 0.3
        dut.ready_store.value = announces
        begins = self.begun == self.ended < len(self.orders) and self._may_begin(self.orders[self.begun])
        dut.go.value = begins
        if begins:
            order = self.orders[self.begun]
            dut.command.value = order.transfer.bits(SHAPE)
            self.begun += 1
            if not order.transfer.store:
                self.open.append(order)
        self.announced += announces

    def _may_begin(self, order: Order) -> bool:
        if self.rng.random() < 0.2:
            return False
        if not order.transfer.store:
            return True
        return self.announced > self.stores[self.begun] and not any(_overlap(order, load) for load in self.open)

    def look(self) -> None:
        """What stood on the outputs in the cycle that ends."""
        dut = self.dut
        self.cycles += 1
        for name, queue in self.queues.items():
            if queue and int(getattr(dut, f"{name}__valid").value) and int(getattr(dut, f"{name}__ready").value):
                queue.popleft()
        if int(dut.ends.value):
            self.ended += 1
        if dut.write.value[0] == 1:  # else its data may be unknown
            self.writes.append(int(dut.write.value))
        if int(dut.filled.value):
            assert int(dut.filled_tag.value) == self.open.popleft().transfer.tag
        if int(dut.freed.value):
            self.freed.append(int(dut.freed_tag.value))
        read = SHAPE.sums.address_bits
        told = int(dut.read.value)
        address, bank = told >> 1 & (1 << read) - 1, told >> read + 1
        columns = [self.sums[bank + side, address] if bank + side < COLUMNS else 0xABADCAFE for side in range(4)]
        dut.sums.value = sum(int(value) << 32 * side for side, value in enumerate(columns))
        self._rules()

    def _rules(self) -> None:
        """What is valid and not taken stays as it is, and no beat comes before its address; addresses are kept."""
        for channel, names in RULED.items():
            valid, ready = (int(getattr(self.dut, f"{PREFIX}{channel}{name}").value) for name in ("valid", "ready"))
            told = tuple(int(getattr(self.dut, f"{PREFIX}{channel}{name}").value) for name in names) if valid else None
            if self.before[channel] is not None:
                assert told == self.before[channel], f"{channel}: {self.before[channel]} has become {told}"
            elif channel == "aw" and told is not None:
                self.owed += told[1] + 1
            self.before[channel] = told if not ready else None
            if told is not None and ready and channel != "w":
                self.bursts.append((channel, told[0], told[1] + 1))
            if channel == "w" and told is not None:
                assert self.owed > 0, "a beat has overtaken its address"
                self.owed -= ready


@cocotb.test()
@cocotb.parametrize(pauses=PAUSES)
async def transfers(dut, pauses):
    """Random commands, one after the other: what is written, and where."""
    told = json.loads(os.environ["TOLD"])
    rng = np.random.default_rng(5)
    orders, wanted = [], []
    while len(wanted) < told["bursts"]:
        orders.append(random_order(rng, MOST))
        transfer = orders[-1].transfer
        channel = "aw" if transfer.store else "ar"
        wanted += [(channel, *burst) for burst in bursts(transfer.address, transfer.beats)]
    bench = Bench(dut, orders, rng)
    words = rng.integers(0, 1 << 64, WORDS, dtype=np.uint64)
    for name in STILL:
        getattr(dut, name).value = 0
    dut.wait_for_b.value = 1
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    ram = AxiRam(AxiBus.from_prefix(dut, PREFIX.removesuffix("_")), dut.clk, dut.rst, size=8 * WORDS)
    assert BASE % ram.size == 0
    ram.write(0, words.tobytes())
    for interface in (ram.write_if, ram.read_if):
        interface.log.setLevel("ERROR")
    if pauses:
        write, read = ram.write_if, ram.read_if
        channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
        for number, channel in enumerate(channels):
            channel.set_pause_generator(_still(random.Random(number), pauses))
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    while not bench.over:
        bench.give()
        await RisingEdge(dut.clk)
        bench.look()
    await RisingEdge(dut.clk)
    rows = wanted_writes(orders, bench.sums, words, BF16)
    np.testing.assert_array_equal(np.array([_taken_apart(each) for each in bench.writes], np.uint64), rows)
    assert ram.read(0, 8 * WORDS) == words.tobytes()
    assert bench.bursts == wanted
    assert bench.freed == [order.transfer.tag for order in orders if order.transfer.store]
    assert int(dut.bus_error.value) == 0 and int(dut.idle.value) == 1
    seen = repr((bench.writes, bench.bursts, bench.freed)).encode() + words.tobytes()
    found = {"bursts": len(bench.bursts), "cycles": bench.cycles, "digest": hashlib.sha256(seen).hexdigest()}
    Path(told["folder"], f"{pauses}.json").write_text(json.dumps(found))


def _walks(orders: Sequence[Order], store: bool) -> list[int]:
    shape = SHAPE.sums if store else SHAPE.places
    of = [order.walks for order in orders if order.transfer.store is store]
    return [walk.bits(shape, last=place == len(walks)) for walks in of for place, walk in enumerate(walks, 1)]


def _overlap(one: Order, other: Order) -> bool:
    a, b = one.transfer, other.transfer
    return a.address < b.address + 8 * b.beats and b.address < a.address + 8 * a.beats


def _taken_apart(write: int) -> list[int]:
    fields = (SHAPE.write[name] for name in FIELDS)
    return [write >> field.offset & (1 << field.width) - 1 for field in fields]


def _still(numbers: random.Random, share: float) -> Iterator[bool]:
    while True:
        yield numbers.random() < share


def main(folder: Path, count: int) -> None:
    """Build in Icarus where it is, else in Verilator, and run."""
    simulator = "icarus" if shutil.which("iverilog") else "verilator"
    if simulator == "verilator":
        (program,), environment = verilator_command()
        os.environ["VERILATOR_ROOT"] = environment["VERILATOR_ROOT"]
        os.environ["PATH"] = f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"
        # its makefile lacks what a compiler is told of headers; compiling takes longer than running
        os.environ["MAKEFLAGS"] = f"-j{os.cpu_count()} CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0"
    (folder / "core_dma.v").write_text(to_verilog(Dma(SHAPE), TOP))
    runner = get_runner(simulator)
    of = {"hdl_toplevel": TOP, "build_dir": folder / simulator, "timescale": ("1ns", "1ps")}
    arguments = {"icarus": ["-g2012"], "verilator": ["-Wno-fatal"]}[simulator]
    runner.build(sources=[folder / "core_dma.v"], build_args=arguments, **of)
    told = {"bursts": count, "folder": str(folder)}
    runner.test(test_module=__spec__.name, test_dir=folder, extra_env={"TOLD": json.dumps(told)}, **of)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
