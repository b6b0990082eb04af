"""What the command says of itself and of the parts it knows by name, and what a shell offers for them."""

import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.command import Run


def test_version(simulate: Run) -> None:
    assert simulate("--version") == (0, f"sparsehil {version('sparsehil')}\n", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sat", ("SAT, systolic array", "array.rows", "16 to 64", "not public", "--option dataflow=", "not modelled:")),
        ("piuma", ("--option kernel=smash-v3", "heap-merge")),
        ("bdwp", ("FF", "BP", "weight", "output channels")),
        ("bank", ("fields: ", "start_share=0.1")),
        ("resnet18", ("11,689,512 parameters", "recorded at batch", "kept dense")),
    ],
)
def test_show(simulate: Run, name: str, said: tuple[str, ...]) -> None:
    code, out, err = simulate("show", name)
    assert (code, err) == (0, "")
    assert [word for word in said if word not in out] == []


def test_show_reads_a_file_with_settings(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: sat\ntitle: mine\n", encoding="utf-8")
    code, out, _ = simulate("show", "mine.yaml", "--set", "array.rows=16")
    (row,) = [line.split() for line in out.splitlines() if line.startswith("array.rows ")]
    assert code == 0 and "mine: mine (kind systolic)" in out and row[1] == "16" and "set" in row


def test_show_names_the_nearest(simulate: Run) -> None:
    code, _, err = simulate("show", "resnet81")
    assert code == 2 and "unknown name 'resnet81'; did you mean 'resnet18'?" in err


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("simulate --arch s", {"s4", "sat"}),
        ("simulate stu", {"study"}),
        ("simulate study s", {"smash", "sparsity"}),
        ("simulate --model resnet1", {"resnet18", "resnet152"}),
        ("simulate show bd", {"bdwp"}),
        ("simulate validate s", {"s4", "sat"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell: str, line: str, offered: set[str], tmp_path: Path) -> None:
    words = line.split()
    asked = {
        "_SIMULATE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
    }
    command = [sys.executable, "-c", "from simulator.command.start import main; main()"]
    done = subprocess.run(command, env=asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert set(re.findall(r'(?:^|\(\()"?([a-z0-9][\w-]*)', done.stdout, re.MULTILINE)) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_of_a_shell(shell: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from simulator.command.start import main; main()"]
    env = {"_SIMULATE_COMPLETE": f"source_{shell}"}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "_simulate_completion" in done.stdout
    if shell == "bash":  # which is on every machine
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_a_study_without_a_name(simulate: Run) -> None:
    code, out, err = simulate("study")
    assert (code, out) == (2, "") and "study: name one of accuracy, byte-tolerance, iso-area" in err


def test_who_imports_the_command_keeps_ctrl_c() -> None:
    code = (
        "import signal; import simulator.command.main; usual = signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGINT) is usual; import simulator.command.start\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL"
    )
    # a shell that starts the tests in the background has children ignore the signal, and theirs too
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        subprocess.run([sys.executable, "-c", code], check=True)
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_broken_pipe_that_is_not_standard_output_is_said(simulate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("simulator.command.main._called", broken)
    assert simulate("list") == (2, "", "simulate: cannot go on: Broken pipe\n")
