"""The DMA engine before an AXI memory of others: pauses on all channels change cycles, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(folder: Path, count: int) -> dict[float, int]:
    """The cycles of so many bursts by their pauses; values and the rules of AXI are checked where they are seen."""
    # cocotb would take the test that goes on here for one of its own
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    told = [sys.executable, "-m", "tests.rtl.core_dma_axi", str(folder), str(count)]
    done = subprocess.run(told, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "TESTS=2 PASS=2 FAIL=0" in done.stdout, done.stdout + done.stderr
    found = {pauses: json.loads((folder / f"{pauses}.json").read_text()) for pauses in (0.0, 0.4)}
    assert all(each["bursts"] >= count for each in found.values())
    assert len({each["digest"] for each in found.values()}) == 1
    return {pauses: each["cycles"] for pauses, each in found.items()}


def test_pauses_change_nothing_but_cycles(tmp_path: Path) -> None:
    cycles = check(tmp_path, 300)
    assert cycles[0.0] < cycles[0.4]


@pytest.mark.slow
def test_ten_thousand_bursts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cycles = check(tmp_path, 10_000)
    with capsys.disabled():
        print(f"\n10,000 bursts in {cycles[0.0]:,} and, with pauses, {cycles[0.4]:,} cycles: nothing else differs")
