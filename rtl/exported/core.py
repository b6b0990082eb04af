"""The folder of a core: Verilog with an AXI4 master and an AXI4-Lite slave, a bench with programs, README, manifest."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rtl.array import BLOCKS
from rtl.axi.core import AxiCore, core_signature
from rtl.core.core import ENGINES
from rtl.core.feeding import QUEUES
from rtl.core.program import CoreDesign
from rtl.core.registers import CoreMap
from rtl.exported.around import REQUIREMENTS, Core, constraints, fusesoc_core
from rtl.exported.core_readme import core_readme
from rtl.exported.core_words import FAULTS, QUEUE_TEXTS, text_of
from rtl.exported.manifest import MANIFEST, Json, manifest, ports
from rtl.exported.naming import check_prefix, header, release
from rtl.exported.plain import Block, plain_verilog
from rtl.files import read_report
from rtl.placing import module_name
from rtl.run import REASONS
from rtl.synthesis import Cells, Statistics, cached, cells_of
from rtl.wuve import Wuve

TOP, AXI = "sparse_core", "sparse_core_axi"
BENCH = Path(__file__).parent / "bench" / "core"
PORTS = {
    "aclk": "clock, rising edge",
    "aresetn": "synchronous, low",
    "s_axi_": "AXI4-Lite: registers",
    "m_axi_": "AXI4: DRAM; user of an address is high with the first burst of a command",
}
CONSTRAINTS = "constraints/sparse_core_axi.sdc"


def core_verilog(where: CoreMap, prefix: str = "") -> dict[str, str]:
    """The modules of a core by name, each a text of its own, the top first. Raises UserError for a missing tool."""
    layout, texts, blocks = where.layout, dict[str, str](), dict[str, Block]()
    placed = {module_name(kind): kind(layout.shape.edge) for kind in BLOCKS}
    if layout.updates is not None:
        placed[module_name(Wuve)] = Wuve(layout.updates.lane)
    for kind, component in placed.items():
        name = f"{prefix}{TOP}_{kind}"
        blocks[kind] = Block.of(component, name)
        texts[name] = plain_verilog(component, name)
    return {prefix + AXI: plain_verilog(AxiCore(where), prefix + AXI, blocks), **texts}


def export_core(
    design: CoreDesign, where: CoreMap, command: str, prefix: str = "", count: bool = False
) -> dict[str, str]:
    """Texts by file name. prefix: before the names of modules. count: whether the manifest has the core's cells.

    Raises UserError for a prefix that cannot be one, or when a tool is missing.
    """
    check_prefix(prefix)
    p = where.layout.shape.array
    title = f"core with {p.rows} x {p.cols} unified sparse PEs, {p.title}"
    above = [f"{title}, made by sparsehil {release()}: {command}", "README.md says how a host uses it."]
    modules = core_verilog(where, prefix)
    sources = [f"{name}.v" for name in modules]
    files = {f"{name}.v": header([f"{name}: {above[0]}", above[1]]) + text for name, text in modules.items()}
    files |= {
        "requirements.txt": REQUIREMENTS,
        CONSTRAINTS: constraints("aclk"),
        **core_vectors(design),
        **{f"bench/{path.name}": path.read_text(encoding="utf-8") for path in sorted(BENCH.glob("*.py"))},
    }
    top = prefix + AXI
    files["sparse_core.core"] = fusesoc_core(Core(prefix + TOP, title, top, sources, CONSTRAINTS))
    cells = core_cells(modules, top) if count else None
    facts = core_facts(design, where, top, sources)
    found = ports(core_signature(), PORTS)
    files["README.md"] = core_readme(design, where, facts, [each["name"] for each in found], command)
    return files | {MANIFEST: manifest(title, command, facts, found, cells, files, clocked=False)}


def core_cells(modules: dict[str, str], top: str) -> Cells:
    """Cells of an ECP5 after synthesis, as Yosys counts them. Raises UserError when a tool is missing."""
    script = f"read_verilog design.v; synth_ecp5 -top {top}; tee -q -o stat.json stat -json"
    done = cached({"design.v": "\n".join(modules.values())}, [("yosys", ["-q", "-p", script])], ("stat.json",))
    return cells_of(read_report(done / "stat.json", Statistics).design.num_cells_by_type)


def core_vectors(design: CoreDesign) -> dict[str, str]:
    """Texts of `vectors/*.hex`: DRAM before everything, then of each program its words and its results in DRAM."""
    memory = design.memory()
    texts = {"vectors/memory.hex": "".join(f"{word:x}\n" for word in memory.tolist())}
    for number, program in enumerate(design.programs):
        words = "".join(f"{QUEUES.index(each.queue):x} {each.word:x}\n" for each in program.pushes)
        rows = "".join(f"{address:x} {mask:x} {value:x}\n" for address, mask, value in program.results.tolist())
        texts |= {f"vectors/{number}_pushes.hex": words, f"vectors/{number}_results.hex": rows}
    return texts


def core_facts(design: CoreDesign, where: CoreMap, top: str, sources: Sequence[str]) -> Json:
    """What is special of a core."""
    array, engines = where.layout.shape.array, ", ".join(f"{at} {name}" for at, name in enumerate(ENGINES))
    return {
        "modules": {"top": top},
        "sources": list(sources),
        "parameters": {each.name: getattr(array, each.name) for each in fields(array)},
        "engines": list(ENGINES),
        "buffers": where.layout.control.buffers,
        "queue_depth": where.depth,
        "constants": where.constants,
        "registers": [
            {"name": each.name, "address": each.address, "access": each.access, "text": each.text}
            for each in where.registers
        ],
        "waits": [
            {"engine": engine, "buffer": buffer, "address": where.wait(number, buffer)}
            for number, engine in enumerate(ENGINES)
            for buffer in range(where.layout.control.buffers)
        ],
        "queues": [
            {
                "name": queue.name,
                "number": queue.number,
                "bits": queue.bits,
                "parts": queue.parts,
                "address": queue.address,
                "free": queue.free,
                "text": QUEUE_TEXTS.get(queue.name, ""),
                "fields": [
                    {"name": name, "lowest": lowest, "bits": bits, "text": text_of(queue.name, name, engines)}
                    for name, lowest, bits in queue.fields()
                ],
            }
            for queue in where.queues
        ],
        "faults": [{"number": int(fault.value), "text": text} for fault, text in FAULTS.items()],
        "errors": [{"number": int(error), "text": text} for error, text in REASONS.items()],
        "programs": [{"title": program.title, "words": len(program.pushes)} for program in design.programs],
    }
