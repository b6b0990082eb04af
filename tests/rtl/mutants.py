"""Mutation testing: what the tests of SORE and of the PE notice (make rtl-mutants).

All mutants of a block are compiled together; one of them is switched on for each run, in a process of its own, so that
a mutant may hang or crash. A mutant is killed when a result, a cycle or the contract of streams differs.
"""

import csv
import hashlib
import os
import re
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Fragment, UnusedElaboratable
from amaranth.lib import wiring

from rtl.array import array_signature, array_verilog, block_verilog
from rtl.formats import FP16, FP32
from rtl.golden.units import add, multiply
from rtl.in_process import CompiledArray, harness
from rtl.lanes import SoreParameters
from rtl.multiply_add import Adder, Multiplier
from rtl.parameters import LATENCIES, make_parameters
from rtl.pe import SparsePE
from rtl.sore import Sore
from rtl.synthesis import cache_folder
from rtl.verilate import Compiled, Port, built, ports_of
from tests.rtl.cases import DEEP, Tally, run_random
from tests.rtl.chains import Streamed, random_stream, run_stream
from tests.rtl.flow import Flow
from tests.rtl.formal import run_yosys
from tests.rtl.lanes import check_groups, mixed
from tests.rtl.vectors import biased, cancelling, corners, pairs, rounding_cases
from workloads.pattern import parse_pattern

RESULTS = Path(__file__).parents[2] / "reports" / "results" / "rtl-mutants.csv"
SWITCH = "SPARSEHIL_MUTANT"
CHOICE = """
  import "DPI-C" function int mutant_chosen();
  reg [15:0] mutant;
  initial mutant = mutant_chosen();
"""
CHOOSE = f"""
#include <cstdlib>
extern "C" int mutant_chosen() {{ const char* number = getenv("{SWITCH}"); return number ? atoi(number) : 0; }}
"""
FIELDS = ["block", "mutant", "killed", "mode", "cell", "port", "portbit", "wire", "wirebit"]
MULTIPLIER, ADDER = LATENCIES["float"]
PATIENCE = 120  # seconds for one mutant


@dataclass(frozen=True)
class Subject:
    """A block, how many mutants of it are tried, and a test of its Verilog that raises when it notices anything.

    flat: mutants of its inner blocks are among them.
    """

    name: str
    block: Callable[[], wiring.Component]
    count: int
    flat: bool
    test: Callable[[str], None]


def mutated(subject: Subject) -> tuple[str, list[str]]:
    """(Verilog of the block with all its mutants and the choice among them, the mutants as Yosys commands)."""
    text = rtlil.convert(subject.block(), name="block", emit_src=False)
    # without bits that are always zero and logic that nobody reads, whose mutants nobody could notice
    ready = [
        "proc",
        "memory_collect",
        "flatten" if subject.flat else "",
        "opt",  # by itself first: `-full` stops at a register some bits of which are constant
        "opt -full",
        "wreduce",
        "opt -full",
        "opt_clean",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = f"mutate -list {subject.count} -seed 1 -module block -ctrl mutant 16 1 -o mutants.txt"
        run_yosys(folder, text, [*ready, chosen], top="block")
        commands = (folder / "mutants.txt").read_text().splitlines()
        made = ["script mutants.txt", "delete -input block/w:mutant", "write_verilog -noattr mutated.v"]
        run_yosys(folder, text, [*ready, *made], top="block")
        verilog = (folder / "mutated.v").read_text()
    verilog = re.sub(r"\n  wire \[15:0\] mutant;\n", CHOICE, verilog, count=1)
    assert "mutant_chosen" in verilog
    return verilog, commands


def _compile(verilog: str, block: wiring.Component) -> Compiled:
    Fragment.get(block, None)  # only its ports are wanted, and a block that nobody elaborates is complained of
    return built(verilog, lambda: verilog, "block", ports_of(block), extra=CHOOSE)


def _test_sore(verilog: str) -> None:
    parameters = SoreParameters(FP16, 3, 8)
    for keep in (3, 1, 2):
        flow = Flow(Sore(parameters), verilog, CHOOSE, keep=keep)
        for m, gaps, waits in ((8, 0, 0), (5, 60, 0), (8, 0, 120), (3, 128, 128), (1, 0, 200), (7, 30, 220)):
            values = mixed(FP16, 2000, m)
            cycles = check_groups(flow, FP16, keep, m, values, gaps, waits)
            assert gaps or waits or m < 8 or cycles == 2000 + 1 + keep


def _pipelined(unit: Compiled, latency: int, operands: tuple[np.ndarray, np.ndarray], wanted: np.ndarray) -> None:
    enable = np.random.default_rng(1).integers(0, 8, 2 * len(wanted)) > 0
    step = np.cumsum(enable) - enable  # how many pairs have entered before each cycle
    fed = np.minimum(step, len(wanted) - 1)
    made = unit.run(a=operands[0][fed], b=operands[1][fed], en=enable)["p"]
    shown = (step >= latency) & (step < len(wanted) + latency)
    np.testing.assert_array_equal(made[shown], wanted[step[shown] - latency])


def _operands(form: object) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    left, right = pairs(corners(form))
    more = [rounding_cases(each, 12, rng) for each in range(0, 256, 3)] if form is FP32 else []
    more += [cancelling(2, rng)] if form is FP32 else []
    lefts = [left, biased(form, 300_000, rng), rng.integers(0, 1 << form.bits, 100_000), *(a for a, _ in more)]
    rights = [right, biased(form, 300_000, rng), rng.integers(0, 1 << form.bits, 100_000), *(b for _, b in more)]
    return np.concatenate(lefts).astype(left.dtype), np.concatenate(rights).astype(left.dtype)


def _test_adder(verilog: str) -> None:
    operands = _operands(FP32)
    _pipelined(_compile(verilog, Adder(FP32, ADDER)), ADDER, operands, add(*operands, FP32))


def _test_multiplier(verilog: str) -> None:
    operands = _operands(FP16)
    _pipelined(_compile(verilog, Multiplier(FP16, MULTIPLIER)), MULTIPLIER, operands, multiply(*operands, FP16))


# three rows, and links that groups wait for: what idle cycles do to a sum shows only there
PE = make_parameters(parse_pattern("2:4"), 3, 2, "fp16", accumulators=6, west_link=2, **DEEP)


@cache  # of all mutants, which share it
def _array_of(verilog: str) -> tuple[str, list[Port]]:
    """Verilog of the array with that PE, and its ports."""
    inner = re.sub(r"\\block\.([\w.]+) ", lambda found: f"sparse_pe_{found[1].replace('.', '_')} ", verilog)
    own = re.sub(r"\bblock\b", "sparse_pe", inner)
    whole = array_verilog(PE)
    plain = block_verilog(SparsePE(PE), "sparse_pe")
    assert plain in whole
    return whole.replace(plain, own), ports_of(array_signature(PE).create())


def _test_pe(verilog: str) -> None:
    text, ports = _array_of(verilog)
    extra = harness(PE) + CHOOSE
    unit = built(text, lambda: text, "sparse_array", ports, extra=extra)
    with patch("rtl.in_process._build", return_value=unit):
        array = CompiledArray(PE)
    rng, tally, streamed = np.random.default_rng(1), Tally(), Streamed()
    for number in range(150):
        run_random(array, rng, tally, "values" if number % 2 else "corners", (0, 0, 40)[number % 3])
        assert tally.differences == (0, 0, 0)
    for _ in range(10):
        run_stream(array, random_stream(PE, rng), streamed)
        assert streamed.differences == (0, 0, 0)


SUBJECTS = (
    Subject("sore", lambda: Sore(SoreParameters(FP16, 3, 8)), 150, True, _test_sore),
    Subject("pe", lambda: SparsePE(PE), 120, False, _test_pe),
    Subject("adder", lambda: Adder(FP32, ADDER), 100, True, _test_adder),
    Subject("multiplier", lambda: Multiplier(FP16, MULTIPLIER), 60, True, _test_multiplier),
)


def tried(subject: Subject) -> Iterator[dict[str, object]]:
    """A row for each mutant; those of an interrupted run of the same circuit under the same tests are not run again."""
    verilog, commands = mutated(subject)
    kept = _kept(verilog)
    before = _rows(kept)
    yield from before
    if len(before) == len(commands):
        return
    os.environ[SWITCH] = "0"
    subject.test(verilog)  # without a mutant; what it compiles serves all of them
    for number, command in list(enumerate(commands, 1))[len(before) :]:
        at = dict(re.findall(r"-(mode|cell|port|portbit|wire|wirebit) (\S+)", command))
        row = {"block": subject.name, "mutant": number, "killed": int(_killed(subject, verilog, number))} | at
        _write(kept, [row], "a")
        yield row


def _kept(verilog: str) -> Path:
    """Where the rows of a run go as they come: a file for these mutants and these tests."""
    tests = [each.read_text() for each in sorted(Path(__file__).parent.glob("*.py"))]
    digest = hashlib.sha256("\0".join([verilog, *tests]).encode()).hexdigest()[:24]
    folder = cache_folder().parent / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{digest}.csv"


def _killed(subject: Subject, verilog: str, number: int) -> bool:
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        os.environ[SWITCH] = str(number)
        try:
            subject.test(verilog)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def main(names: list[str]) -> None:
    """Try the named blocks, or all; other blocks keep the results they have."""
    warnings.simplefilter("ignore", UnusedElaboratable)  # of many a block only the ports are wanted
    for subject in SUBJECTS:
        if names and subject.name not in names:
            continue
        rows = []
        for row in tried(subject):
            rows.append(row)
            if not int(row["killed"]):
                print(*row.values(), flush=True)
        print(f"{subject.name}: {sum(int(row['killed']) for row in rows)} of {len(rows)} mutants killed", flush=True)
        _write(RESULTS, [row for row in _rows(RESULTS) if row["block"] != subject.name] + rows, "w")


def _write(file: Path, rows: list[dict[str, object]], mode: str) -> None:
    titled = mode == "a" and file.exists()
    with file.open(mode, newline="") as out:
        writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
        if not titled:
            writer.writeheader()
        writer.writerows(rows)


def _rows(file: Path) -> list[dict[str, object]]:
    """What earlier runs found."""
    if not file.exists():
        return []
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
