"""The VCU1525 card: Verilog, constraints and a Vivado project, with an estimate from Yosys. No one here ran Vivado."""

import sys
from collections.abc import Callable

from rtl.array import array_verilog, block_verilog
from rtl.exported.naming import header, hushed, release
from rtl.parameters import Parameters
from rtl.pe import SparsePE
from rtl.synthesis import cells_by_module, cells_of, total

PART = "xcvu9p-fsgd2104-2L-e"  # Corundum README and constraints for the VCU1525
# what the vendor's shell leaves: ThunderGP's device file for xilinx_vcu1525_xdma_201830_1, sum over regions
LUTS, FLIPFLOPS, DSPS = 868_852, 1_775_861, 5_847
CLOCK_MHZ = 200  # assumed, as in sat.yaml

TCL = """# Vivado project of {title} for the VCU1525; not run by whoever wrote it.
# vivado -mode batch -source project.tcl
create_project -force sparse_array build -part {part}
add_files sparse_array.v
add_files -fileset constrs_1 sparse_array.xdc
set_property top sparse_array [current_fileset]
# the streams have no pins of their own: a shell feeds them, so the array is built out of context
set_property -name {{STEPS.SYNTH_DESIGN.ARGS.MORE OPTIONS}} -value {{-mode out_of_context}} -objects [get_runs synth_1]
launch_runs synth_1 -jobs 4
wait_on_run synth_1
open_run synth_1
opt_design
place_design
route_design
report_utilization -hierarchical -file utilization.rpt
report_timing_summary -file timing.rpt
write_checkpoint -force sparse_array.dcp
"""
XDC = """# {clock} MHz is an assumption, not a measurement
create_clock -period {period:.3f} -name clk [get_ports clk]
"""
README = """# {title} on the VCU1525

Nobody has run this project in Vivado or on the card. It holds `sparse_array.v`, its clock constraint `sparse_array.xdc`
({clock} MHz, assumed) and `project.tcl`, which synthesises, places and routes the array out of context on {part}.

What feeds the array: its `west_*`, `north_*`, `seed_*` and `result_*` ports are AXI4-Stream shaped (valid, ready,
payload; one stream a row or column), `run_*` is one more. In the vendor's shell each row's stream comes from an AXI
DataMover (or a Vitis kernel's `hls::stream`) that reads DDR4 over AXI4, and results go back the same way; that glue is
not part of this project.

Estimate: {estimate}
"""


def vivado_project(p: Parameters, show: Callable[[str], None]) -> tuple[dict[str, str], str]:
    """Texts by file name, and the estimate in a sentence."""
    show("synthesis of a PE with Yosys")
    cells = cells_of(
        total(cells_by_module(block_verilog(SparsePE(p), "sparse_pe"), "sparse_pe", "ultrascale+"), "sparse_pe")
    )
    count = p.rows * p.cols
    shares = [
        f"{count * used:,} {name} ({100 * count * used / there:.0f} % of the {there:,} left by the vendor's shell)"
        for name, used, there in (
            ("LUTs", cells.luts, LUTS),
            ("FFs", cells.flipflops, FLIPFLOPS),
            ("DSPs", cells.dsps, DSPS),
        )
    ]
    estimate = f"Yosys for UltraScale+, {count} PEs without the array's edges: {', '.join(shares)}"
    show("writing the design")
    above = [f"sparse_array: {p.title}", f"made by sparsehil {release()}: {' '.join(['simulate', *sys.argv[1:]])}"]
    text = header(above) + hushed(array_verilog(p))
    fields = {"title": p.title, "part": PART, "clock": CLOCK_MHZ, "period": 1e3 / CLOCK_MHZ, "estimate": estimate}
    files = {"project.tcl": TCL, "sparse_array.xdc": XDC, "README.md": README}
    return {"sparse_array.v": text, **{name: each.format(**fields) for name, each in files.items()}}, estimate
