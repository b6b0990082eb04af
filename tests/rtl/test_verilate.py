"""A compiled block that is damaged in the cache is compiled again, and a foreign one is never run."""

from pathlib import Path

import numpy as np
import pytest

from rtl.verilate import LIBRARY, Port, built
from workloads.errors import UserError
from workloads.files.cache import cache_folder

COUNTER = "module block(input clk, input [7:0] a, output reg [7:0] p); always @(posedge clk) p <= p + a; endmodule"
PORTS = (Port("a", 8, True), Port("p", 8, False))


def sums(verilog: str = COUNTER) -> list[int]:
    return built(verilog, lambda: verilog, "block", PORTS).run(a=np.ones(4, np.uint64))["p"].tolist()


def test_a_damaged_library_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, cut, nothing but zeros, and one that is whole and another's."""
    compiled: list[bytes] = []
    monkeypatch.setattr("rtl.verilate.Compiled.__init__", lambda _, library, __: compiled.append(library))
    monkeypatch.setattr("rtl.verilate.Compiled.__del__", lambda _: None)
    built(COUNTER, lambda: COUNTER, "block", PORTS)
    whole, made = compiled[0], []

    def make(work: Path, *_: object) -> None:
        made.append((work / LIBRARY).write_bytes(whole))

    monkeypatch.setattr("rtl.verilate._make", make)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    damages = (b"", whole[:5000], whole[:-1], bytes(len(whole)), whole.replace(b"create", b"kreate"))
    for content in damages:
        built(COUNTER, lambda: COUNTER, "block", PORTS)
        next(cache_folder("verilated").glob(f"*/{LIBRARY}")).write_bytes(content)
    built(COUNTER, lambda: COUNTER, "block", PORTS)
    assert len(made) == 1 + len(damages)
    assert set(compiled) == {whole}


def test_a_library_runs_from_memory() -> None:
    assert sums() == [0, 1, 2, 3]


def test_a_tool_that_fails_is_a_sentence() -> None:
    with pytest.raises(UserError, match="verilator_bin failed: ") as failed:
        sums(COUNTER.replace("endmodule", ""))
    assert "\n" not in str(failed.value)
