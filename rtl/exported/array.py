"""The folder of an array: Verilog with and without AXI, test benches, README, manifest, core, constraints."""

from pathlib import Path

import numpy as np

from rtl.array import TOP, array_signature, array_verilog, block_verilog
from rtl.axi.array import AxiArray
from rtl.exported.around import REQUIREMENTS, Core, constraints, fusesoc_core
from rtl.exported.manifest import MANIFEST, array_facts, manifest, ports
from rtl.exported.naming import check_prefix, header, hushed, prefixed, release
from rtl.exported.readme import readme
from rtl.exported.testbench import test_bench
from rtl.exported.vectors import golden_tiles, vectors
from rtl.parameters import Parameters
from rtl.run import RUN_BITS
from rtl.synthesis import cells_by_module, cells_of, total

AXI = "sparse_array_axi"
BENCH = Path(__file__).parent / "bench"


def export(p: Parameters, command: str, prefix: str = "", count: bool = False, seed: int = 1) -> dict[str, str]:
    """Texts by file name. prefix: before the names of modules. count: whether the manifest has the array's cells.

    Raises UserError for a prefix that cannot be one, or when a tool is missing.
    """
    check_prefix(prefix)
    plain = array_verilog(p)
    tiles = golden_tiles(p, np.random.default_rng(seed))
    title = f"systolic array of {p.rows} x {p.cols} unified sparse PEs, {p.title}"
    top, axi = prefix + TOP, prefix + AXI
    above = f"made by sparsehil {release()}: {command}"
    files = {
        "sparse_array.v": header([f"{top}: {title}", above, "README.md explains ports, runs and the order of words."])
        + hushed(prefixed(plain, TOP, prefix)),
        "sparse_array_axi.v": header([f"{axi}: {title}, behind AXI4-Stream and AXI4-Lite", above])
        + hushed(prefixed(block_verilog(AxiArray(p), AXI), TOP, prefix, [TOP])),
        "sparse_array_tb.v": test_bench(p, [tile for tile, _ in tiles], prefix),
        "requirements.txt": REQUIREMENTS,
        "constraints/sparse_array.sdc": constraints("clk"),
        "constraints/sparse_array_axi.sdc": constraints("aclk"),
        **vectors(p, tiles),
        **{f"bench/{path.name}": path.read_text(encoding="utf-8") for path in sorted(BENCH.glob("*.py"))},
    }
    sources = ["sparse_array.v", "sparse_array_axi.v"]
    facts = array_facts(p, [top, axi, f"{top}_tb"], sources)
    found = ports(array_signature(p), _port_texts(p))
    hexes = [name for name in files if name.endswith(".hex")]
    core = Core(top, title, axi, sources, "constraints/sparse_array_axi.sdc", f"{top}_tb", "sparse_array_tb.v", hexes)
    files["sparse_array.core"] = fusesoc_core(core)
    cells = cells_of(total(cells_by_module(plain, TOP), TOP)) if count else None
    files["README.md"] = readme(p, command, prefix, facts, found, [tile for tile, _ in tiles])
    return files | {MANIFEST: manifest(title, command, facts, found, cells, files)}


def _port_texts(p: Parameters) -> dict[str, str]:
    """What ports are, by how their names begin."""
    link, bits, sums = p.west_link, p.operand.bits, p.accumulator.bits
    return {
        "run__payload": f"runs of {RUN_BITS} bits",
        "west": f"a stream a row: words of {link} operands of {bits} bits, first lowest; {p.row_depth} wait",
        "north": f"a stream a column: a weight of {bits} bits, its index above it; {p.column_depth} wait",
        "seeds": f"a stream a column: sums of {sums} bits to start from; {p.results} wait",
        "results": f"a stream a column: sums of {sums} bits; {p.results} wait",
        "counters": "32 bits each, first lowest: cycles, compute, fill, drain, waiting; then 8 bits of error",
        "idle": "no run is there, and all sums wait to be taken",
        "patience": "cycles that a run waits for what it takes before it is given up; 0 for ever",
        "abort_all": "everything is forgotten, also an error",
    }
