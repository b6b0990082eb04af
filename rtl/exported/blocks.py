"""Folders of what stands beside the array: a lane of SORE, a lane of WUVE, and the array behind a serial port."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

import numpy as np
from amaranth.lib import wiring
from amaranth.lib.data import StructLayout

from rtl.array import block_verilog, blocks_verilog
from rtl.exported.around import CLOCK_MHZ, Core, constraints, fusesoc_core
from rtl.exported.manifest import CLOCKED, MANIFEST, Json, manifest, ports
from rtl.exported.naming import check_prefix, header, hushed, prefixed, release
from rtl.exported.testbench import TEMPLATES
from rtl.formats import FP32, encode
from rtl.golden.units import packed, updated
from rtl.lanes import Lanes, SoreParameters, UpdateParameters, constants, ends_of
from rtl.link.linked import LinkedArray, PinnedArray
from rtl.parameters import Parameters
from rtl.placing import as_instance
from rtl.sore import Sore, dense_layout, packed_layout
from rtl.synthesis import cells_by_module, cells_of, total
from rtl.wuve import Wuve

GROUPS, WEIGHTS = 50, 60  # of the vectors
SORE = """One lane of SORE takes a value a cycle and keeps the n of largest magnitude of every group, in their order;
ties go to the lower index. `last` of what goes in ends a group, of at most m = {m} values; `last` of what comes out
ends what was kept of it. `keep`, from 1 to {n}, is how many; it must stand still while groups are inside."""
WUVE = """One lane of WUVE updates a weight a cycle; every operation rounds to nearest even by itself. `constants` must
stand still while weights are inside. `operand` is the weight after the step as {form}.

{formula}"""
FORMULAS = {  # those of `rtl.golden.units`
    "momentum": """    momentum = momentum * constants.momentum + (gradient + weight * weight_decay)
    weight   = weight - momentum * learning_rate""",
    "adamw": """    first_moment  = first_moment * beta1 + gradient * beta1_rest
    second_moment = second_moment * beta2 + (gradient * gradient) * beta2_rest
    spread        = root(second_moment) / root_correction + epsilon
    weight        = (weight - weight * decay) - (first_moment / spread) * rate

    beta1_rest = 1 - beta1, beta2_rest = 1 - beta2, root_correction = root(1 - beta2 ^ step),
    decay = learning_rate * weight_decay, rate = learning_rate / (1 - beta1 ^ step)""",
}
LINKED = """{array} with its controller behind a serial port: 8 data bits, no parity, one stop bit, {divisor} cycles of
the clock a bit, which with sparsehil's 1 Mbaud is a clock of {divisor} MHz. `rx_pin` and `tx_pin` go to a serial
converter; `simulate board --selftest /dev/ttyUSB0` tries it, `simulate --hil /dev/ttyUSB0` computes with it. `quiet`:
nothing goes on, and nothing will before another byte comes."""
PORTS = {  # by how their names begin
    "i__payload": "a word that goes in; its fields are below",
    "o__payload": "a word that comes out; its fields are below",
    "keep": "values that are kept of a group",
    "constants": "numbers of a whole step; their fields are below",
    "rx_pin": "from the serial converter",
    "tx_pin": "to the serial converter",
    "quiet": "nothing goes on",
}
BENCH = """
```
iverilog -g2012 -o tb {file}.v {file}_tb.v && vvp tb          # +waves writes {file}_tb.vcd
```
"""


@dataclass(frozen=True)
class Vectors:
    """Words in and out, by the name of the port that stands still and its value."""

    given: list[int]
    wanted: list[int]
    steady: str
    value: int


@dataclass(frozen=True)
class Block:
    """A block to be exported. verilog: of the modules it refers to. what: in sentences. layouts: fields of payloads."""

    name: str
    title: str
    component: wiring.Component
    what: str
    verilog: str = ""
    layouts: Mapping[str, StructLayout] | None = None
    vectors: Vectors | None = None


def sore_block(parameters: SoreParameters) -> Block:
    """A lane of SORE with `GROUPS` groups of numbers, ties among them."""
    form, n, m = parameters.form, parameters.n, parameters.m
    numbers = np.random.default_rng(1).integers(-9, 10, GROUPS * m)
    values = encode(numbers, form)
    kept, index, last = packed(values, form, n, m)
    given = [int(value) | int(ends) << form.bits for value, ends in zip(values, ends_of(len(values), m), strict=True)]
    at = form.bits + parameters.index_bits
    wanted = [int(v) | int(i) << form.bits | int(e) << at for v, i, e in zip(kept, index, last, strict=True)]
    layouts = {"i__payload": dense_layout(form), "o__payload": packed_layout(parameters)}
    title, what = f"SORE, {n}:{m} of {form.name}", SORE.format(n=n, m=m)
    return Block("sore", title, Sore(parameters), what, "", layouts, Vectors(given, wanted, "keep", n))


def wuve_block(parameters: UpdateParameters) -> Block:
    """A lane of WUVE with `WEIGHTS` random weights and gradients."""
    settings = {"learning_rate": 0.01, "weight_decay": 1e-4, "momentum": 0.9}
    settings |= {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 10}
    by, numbers = constants(parameters.optimizer, settings), np.random.default_rng(1)
    names = ("weight", *parameters.state, "gradient")
    fields = {name: encode(np.abs(numbers.standard_normal(WEIGHTS)), FP32) for name in names}
    after = updated(parameters, fields, by)
    component = Wuve(parameters)
    layouts = {"i__payload": component.i.payload.shape(), "o__payload": component.o.payload.shape()}
    layouts["constants"] = component.constants.shape()
    given, wanted = _words(layouts["i__payload"], fields), _words(layouts["o__payload"], after)
    steady = _words(layouts["constants"], {name: np.array([by[name]], np.uint32) for name in parameters.constants})[0]
    what = WUVE.format(formula=FORMULAS[parameters.optimizer], form=parameters.format)
    title = f"WUVE, {parameters.optimizer}, weights handed on as {parameters.format}"
    return Block("wuve", title, component, what, "", layouts, Vectors(given, wanted, "constants", steady))


def linked_block(p: Parameters, divisor: int, lanes: Lanes) -> Block:
    """The array behind two pins of a serial port."""
    component = PinnedArray(LinkedArray(p, place=as_instance, lanes=lanes), divisor)
    what = LINKED.format(array=f"An array of {p.title}", divisor=divisor)
    return Block("linked_array", f"{p.title} behind a serial port", component, what, blocks_verilog(p))


def export_block(block: Block, command: str, prefix: str = "", count: bool = False) -> dict[str, str]:
    """Texts by file name. count: whether the manifest has its cells."""
    check_prefix(prefix)
    top, file = prefix + block.name, f"{block.name}.v"
    plain = block.verilog + block_verilog(block.component, block.name)
    above = [f"{top}: {block.title}", f"made by sparsehil {release()}: {command}"]
    files = {file: header(above) + hushed(prefixed(plain, block.name, prefix))}
    files[f"constraints/{block.name}.sdc"] = constraints("clk")
    bench = block.vectors is not None
    if block.vectors is not None:
        files |= _bench(block, block.vectors, top)
    hexes = [name for name in files if name.endswith(".hex")]
    named = (f"{top}_tb", f"{block.name}_tb.v") if bench else ("", "")
    files[f"{block.name}.core"] = fusesoc_core(
        Core(top, block.title, top, [file], f"constraints/{block.name}.sdc", *named, hexes)
    )
    found = ports(block.component.signature, PORTS)
    files["README.md"] = _readme(block, command, top, found)
    cells = cells_of(total(cells_by_module(plain, block.name), block.name)) if count else None
    return files | {MANIFEST: manifest(block.title, command, {"modules": {"top": top}}, found, cells, files)}


def _words(layout: StructLayout, fields: Mapping[str, np.ndarray]) -> list[int]:
    """Words of a struct, from columns by name."""
    offsets = {name: field.offset for name, field in layout}
    return [
        sum(int(column[number]) << offsets[name] for name, column in fields.items())
        for number in range(len(next(iter(fields.values()))))
    ]


def _bench(block: Block, vectors: Vectors, top: str) -> dict[str, str]:
    widths = {port["name"]: port["bits"] for port in ports(block.component.signature, {})}
    text = Template((TEMPLATES / "lane_tb.v.in").read_text(encoding="utf-8")).substitute(
        top=top,
        file=block.name,
        in_bits=widths["i__payload"],
        out_bits=widths["o__payload"],
        given=len(vectors.given),
        wanted=len(vectors.wanted),
        patience=100 * (len(vectors.given) + 100),
        steady=vectors.steady,
        steady_bits=widths[vectors.steady],
        steady_value=f"{vectors.value:x}",
    )
    hexes = {"in": vectors.given, "out": vectors.wanted}
    lines = {f"vectors/{name}.hex": "".join(f"{word:x}\n" for word in words) for name, words in hexes.items()}
    return {f"{block.name}_tb.v": text, **lines}


def _readme(block: Block, command: str, top: str, found: list[Json]) -> str:
    rows = [
        f"| `{port['name']}` | {port['direction']} | {port['bits']} | {port['text']} |" for port in [*CLOCKED, *found]
    ]
    fields = ["", "## Fields", "", "| port | bits | field |", "|---|---|---|"] if block.layouts else []
    for port, layout in (block.layouts or {}).items():
        for name, field in layout:
            high = field.offset + field.width - 1
            fields.append(f"| `{port}` | {high}:{field.offset} | {name} |")
    return Template((TEMPLATES / "BLOCK.md.in").read_text(encoding="utf-8")).substitute(
        top=top,
        title=block.title,
        what=block.what,
        command=command,
        release=release(),
        file=block.name,
        clock=CLOCK_MHZ,
        bench=BENCH.format(file=block.name) if block.vectors else "",
        ports="\n".join(rows),
        fields="\n".join(fields),
    )
