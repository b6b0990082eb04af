"""The VCU1525's project as far as it can be looked at here: nobody runs Vivado."""

import re
from pathlib import Path

from tests.command import Run


def test_a_project(simulate: Run, tmp_path: Path) -> None:
    arguments = ("--pattern", "2:4", "--rows", "2", "--cols", "1", "--format", "int8", "--out", "card")
    code, out, _ = simulate("bitstream", "--board", "vcu1525", *arguments)
    assert code == 0
    assert out.startswith("card: Vivado project of 2:4 int8 2x1 for the VCU1525; nobody here has run it in Vivado\n")
    found = re.search(r"2 PEs without the array's edges: (\d+) LUTs .* (\d+) FFs .*, 2 DSPs", out)
    assert found
    assert all(100 < int(count) < 1000 for count in found.groups())
    card = tmp_path / "card"
    assert "module sparse_array(" in (card / "sparse_array.v").read_text()
    assert "create_clock -period 5.000 -name clk [get_ports clk]" in (card / "sparse_array.xdc").read_text()
    script, words = (card / "project.tcl").read_text(), (card / "README.md").read_text()
    for name in re.findall(r"add_files (?:-fileset \w+ )?(\S+)", script):
        assert (card / name).exists()
    assert "Nobody has run this project" in words
    assert "AXI4-Stream" in words
