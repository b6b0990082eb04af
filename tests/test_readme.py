"""The README's commands and its Python run as they stand there; the package claims its five rooms alone."""

import re
import shlex
from importlib.metadata import distributions, entry_points, packages_distributions
from pathlib import Path

import pytest

from tests.command import Run
from tests.workloads.onnx_models import by_hand

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONV = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
    "conv,9,9,3,3,3,8,1,\n"
)
MODULE = """from torch import nn

def build_model():
    return nn.Sequential(nn.Conv2d(3, 8, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""
COMMANDS = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("simulate ")]


SLOW = ("simulate validate", "--hil")


@pytest.mark.parametrize("command", [each for each in COMMANDS if not any(word in each for word in SLOW)])
def test_a_command_of_the_readme(simulate: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "my_layers.csv").write_text(CONV)
    (tmp_path / "my_sat.yaml").write_text("extends: sat\n")
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg/mymodule.py").write_text(MODULE)
    if "--onnx" in command:
        pytest.importorskip("onnx", reason="pip install -e '.[onnx]' brings the package that reads ONNX files")
        by_hand(tmp_path / "my_model.onnx", [("MatMul", ["x0", "w"], ["y"])], [("batch", 64)], {"w": (64, 32)})
    if "results/my-run" in command:
        assert simulate("--gemm", "64x64x64", "--out", "results/my-run")[0] == 0
    code, out, err = simulate(*shlex.split(command)[1:])
    assert code == 0
    assert all(line.startswith("point ") for line in err.splitlines())  # a sweep's progress
    assert out


@pytest.mark.slow
def test_hardware_in_the_loop_of_the_readme(simulate: Run) -> None:
    (command,) = (each for each in COMMANDS if "--hil" in each)
    code, out, _ = simulate(*shlex.split(command)[1:])
    assert code == 0
    said = " ".join(out.split())
    assert "8 of 8 tiles agree with the models on the compiled RTL (2:8 fp16 8x8)" in said
    assert "SORE: 8 of 8 masks" in said and "WUVE: 4 of 4 updates" in said


@pytest.mark.slow
def test_validate_of_the_readme(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate("validate", "sat", "--out", "v")
    assert code == 0
    for words in ("published average at 2:8: 1.75x", "ceiling", "array.rows and array.cols", "without interleave"):
        assert words in out
    written = {path.name for path in (tmp_path / "v").iterdir()}
    assert {"ceilings.csv", "ceilings.png", "optimisations.csv", "sensitivity.csv", "sensitivity.svg"} <= written


def test_the_python_of_the_readme(simulate: Run) -> None:
    assert simulate("--gemm", "64x64x64", "--out", "results/my-run")[0] == 0
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict[str, object] = {}
    exec(code, names)
    assert "result" in names


def test_no_other_distribution_claims_our_rooms() -> None:
    owners = packages_distributions()
    for room in ("simulator", "rtl", "workloads", "dataflows", "reports"):
        assert set(owners.get(room, ["sparsehil"])) == {"sparsehil"}
    assert sum(each.metadata["Name"] == "sparsehil" for each in distributions()) >= 1


def test_what_machine_files_name_is_there() -> None:
    """A source that names a file of results or a sub-command can be followed; none is an estimate that nobody finds."""
    commands = {each.name for each in entry_points(group="sparsehil.commands")}
    for path in sorted((ROOT / "simulator/machines").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        assert "our own estimate" not in text, path.name
        for named in re.findall(r"reports/results/[\w./-]+\w", text):
            assert (ROOT / named).exists(), f"{path.name}: {named}"
        for command in re.findall(r"simulate ([a-z]+)\b", text):
            assert command in commands, f"{path.name}: simulate {command}"
