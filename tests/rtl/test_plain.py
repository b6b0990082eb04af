"""Plain Verilog does what Amaranth's does: all kinds of cells, random inputs, every output in every cycle."""

import subprocess
from pathlib import Path

import numpy as np
from amaranth import Array, Cat, Elaboratable, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from rtl.core.ported import TwiceWritten
from rtl.core.streaming import BankReader, BankWriter
from rtl.core.walk import Walker, WalkShape
from rtl.divider import Narrower
from rtl.exported.plain import Block, plain_verilog
from rtl.formats import FP16
from rtl.verilate import built, compiled, ports_of, verilator_command

CYCLES = 3000


class Cells(wiring.Component):
    """Signed and unsigned arithmetic of unlike widths, shifts, parts of words, memories that are written in parts."""

    def __init__(self) -> None:
        super().__init__({"a": In(13), "b": In(9), "before": In(1), "y": Out(64), "z": Out(64)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        signed, held = Signal(Shape(11, signed=True)), Signal(20, init=0x5A5)
        memory = m.submodules.memory = Memory(shape=16, depth=8, init=[])
        write, read = memory.write_port(granularity=4), memory.read_port()
        shown = memory.read_port(domain="comb")
        a, b = self.a, self.b
        m.d.sync += [signed.eq(a.as_signed() - b.as_signed()), held.eq(Mux(self.before, held + a, held ^ b))]
        m.d.comb += [
            write.addr.eq(a[:3]),
            write.data.eq(Cat(b, a)),
            write.en.eq(b[:4]),
            read.addr.eq(b[:3]),
            read.en.eq(a[5]),
            shown.addr.eq(b[3:6]),
            self.y.eq(Cat(signed * b.as_signed(), a >= b, signed < a.as_signed(), a.any() & b.all(), (a >> b[:4])[:7])),
            self.z.eq(
                Cat(
                    read.data,
                    shown.data,
                    (a << b[:3])[:9],
                    a.bit_select(b[:4], 3),
                    Array([a, b, ~a, a & b])[b[:2]],
                    Mux(b > 600, 1, 0),
                    ~b.bool() | a.xor(),
                    held[3:9],
                )
            ),
        ]
        return m


class Several(wiring.Component):
    """Circuits side by side, their inputs taken from one number and their outputs joined to one."""

    def __init__(self) -> None:
        shape = WalkShape(6, 3, 3)
        self.inner = [Cells(), Walker(shape), BankReader(16, 6, 5, 0x8000), BankWriter(16, 6, 5), Narrower(FP16, 2)]
        inputs, outputs = (
            sum(port.bits for each in self.inner for port in ports_of(each) if port.is_input is way)
            for way in (True, False)
        )
        super().__init__({"i": In(inputs), "o": Out(outputs)})

    def elaborate(self, platform: object) -> Elaboratable:
        m, at, made = Module(), 0, list[Value]()
        for number, each in enumerate(self.inner):
            m.submodules[f"inner_{number}"] = each
            for _, member, port in each.signature.flatten(each):
                value = Value.cast(port)
                if member.flow is In:
                    m.d.comb += value.eq(self.i[at : at + len(value)])
                    at += len(value)
                else:
                    made.append(value)
        m.d.comb += self.o.eq(Cat(made))
        return m


def test_every_output_in_every_cycle() -> None:
    several, rng = Several(), np.random.default_rng(3)
    plain, ports = plain_verilog(several, "several"), ports_of(several)
    words = rng.integers(0, 1 << 64, (CYCLES, ports[0].words), np.uint64, endpoint=False)
    words[:, -1] &= np.uint64((1 << (ports[0].bits - 1) % 64 + 1) - 1)
    wanted = compiled(several, "several").run(i=words)["o"]
    found = built(plain, lambda: plain, "several", ports).run(i=words)["o"]
    assert len(np.unique(wanted, axis=0)) > CYCLES // 2
    np.testing.assert_array_equal(found, wanted)


def test_no_tool_warns(tmp_path: Path) -> None:
    """Also of an instance of another module, of a port called by a keyword, of bits that nobody reads."""

    class Around(wiring.Component):
        def __init__(self) -> None:
            super().__init__({"a": In(16), "y": Out(5)})

        def elaborate(self, platform: object) -> Elaboratable:
            m = Module()
            m.submodules.inside = inside = Cells()
            m.d.comb += [inside.a.eq(self.a), inside.b.eq(self.a[2:]), self.y.eq(inside.y[3:8])]
            return m

    (tmp_path / "around.v").write_text(plain_verilog(Around(), "around"))
    (tmp_path / "cells.v").write_text(plain_verilog(Cells(), "cells"))
    assert "input wire \\before ," in (tmp_path / "cells.v").read_text()
    command, environment = verilator_command()
    for name in ("around", "cells"):
        asked = [*command, "--lint-only", "-Wall", "--top-module", name, f"{name}.v"]
        done = subprocess.run(asked, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_what_an_instance_refers_to() -> None:
    cells = Cells()
    plain_verilog(cells, "cells")  # or Amaranth warns of what was made for nothing
    block = Block.of(cells, "other")
    assert block.inputs == {"clk": 1, "rst": 1, "a": 13, "b": 9, "before": 1} and block.outputs == {"y": 64, "z": 64}


class Ported(wiring.Component):
    """The memory with two write ports."""

    def __init__(self) -> None:
        address = {name: In(4) for name in ("read_a", "read_b", "write_a", "write_b")}
        data = {"data_a": In(8), "data_b": In(8), "enable_a": In(1), "enable_b": In(1), "shows": In(1)}
        super().__init__({**address, **data, "out_a": Out(8), "out_b": Out(8)})

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.memory = memory = TwiceWritten(8, 16)
        for name, shows in (("a", self.shows), ("b", 1)):
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.addr.eq(getattr(self, f"read_{name}")),
                read.en.eq(shows),
                getattr(self, f"out_{name}").eq(read.data),
                write.addr.eq(getattr(self, f"write_{name}")),
                write.data.eq(getattr(self, f"data_{name}")),
                write.en.eq(getattr(self, f"enable_{name}")),
            ]
        return m


def test_a_memory_with_two_write_ports() -> None:
    """Beside one of numpy; the two never write one place in a cycle, and nobody reads what is being written."""
    rng = np.random.default_rng(5)
    ported = Ported()
    inputs = [port for port in ports_of(ported) if port.is_input]
    given = {port.name: rng.integers(0, 1 << port.bits, CYCLES, np.uint64) for port in inputs}
    given["write_b"] = (given["write_a"] + rng.integers(1, 16, CYCLES, np.uint64)) % np.uint64(16)
    found = compiled(ported, "ported").run(**given)
    memory, shown = np.zeros(16, np.uint64), {"a": 0, "b": 0}
    raced = {"a": False, "b": False}
    checked = 0
    for cycle in range(CYCLES):
        now = {name: int(values[cycle]) for name, values in given.items()}
        for name in "ab":
            if not raced[name]:
                assert found[f"out_{name}"][cycle] == shown[name]
                checked += 1
            if name == "b" or now["shows"]:
                place = now[f"read_{name}"]
                raced[name] = any(now[f"enable_{by}"] and now[f"write_{by}"] == place for by in "ab")
                shown[name] = int(memory[place])
        for name in "ab":
            if now[f"enable_{name}"]:
                memory[now[f"write_{name}"]] = now[f"data_{name}"]
    assert checked > CYCLES
