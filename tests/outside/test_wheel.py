"""The library from a wheel, in a process that sees the wheel and what it depends on, but not this checkout."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# -S leaves `site` out, and with it the file that puts the checkout on the path
AWAY = f"""
import sys
sys.path[:0] = [sys.argv[1], {sysconfig.get_paths()["purelib"]!r}]
import simulator
assert simulator.__file__.startswith(sys.argv[1]), simulator.__file__
assert not any(path.startswith({str(ROOT)!r}) and "site-packages" not in path for path in sys.path if path), sys.path
"""
SESSION = """
import pathlib
import torch
from simulator import Job, Machine, Result, Runs, UserError, load_machine, load_result, run_job, simulate

result = simulate("sat", "2:8", "resnet18")
assert isinstance(result, Result) and 1.7 < result.speedup < 1.75 and result.seconds > 2 and result.energy_j > 30
assert list(result.phases.index) == ["FF", "BP", "WU", "UP", "step"] and "array.rows" in result.assumed
assert result.ops["cycles"].sum() == result.cycles == run_job(result.card.job).cycles
assert isinstance(result.card.job, Job) and Job.from_json(result.card.job.to_json()) == result.card.job

# a machine of one's own, and a torch module of one's own
rows = "rows: {value: 16, provenance: set, source: me}"
pathlib.Path("mine.yaml").write_text(f"extends: sat\\ntitle: mine\\narray:\\n  {rows}\\n")
machine = load_machine("mine.yaml")
assert isinstance(machine, Machine) and machine.spec.array.rows == 16
nn = torch.nn
module = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.Flatten(), nn.Linear(6272, 10))
before = {name: each.clone() for name, each in module.state_dict().items()}
example = torch.randn(4, 3, 18, 18)
settings = {"array.cols": 64, "schedule.interleave": True}
mine = simulate(machine, {"*": "2:8", "4": "1:8"}, module, inputs=example, method="bdwp", settings=settings)
assert mine.speedup > 1 and mine.card.arch_title == "mine" and mine.card.numbers["array.cols"].provenance == "set"
assert {"0", "2", "4"} <= set(mine.ops["layer"])
assert all(map(torch.equal, before.values(), module.state_dict().values()))
again = run_job(mine.card.job)  # the job has the recorded step in it
assert again.cycles == mine.cycles

# a sweep in a loop that shares what was found out
runs, found = Runs(), {}
for pattern in ("2:4", "2:8", "1:8"):
    found[pattern] = simulate("sat", pattern, "resnet9", batch=8, runs=runs)
alone = simulate("sat", "1:8", "resnet9", batch=8)
assert found["1:8"].cycles == alone.cycles
assert found["1:8"].card.cost.commands_evaluated < 0.7 * alone.card.cost.commands_evaluated
assert simulate("sat", "2:8", "resnet9", batch=8, dense=False).dense is None

for wrong in (dict(machine="satt"), dict(pattern="9:8"), dict(workload="rsenet18"), dict(settings={"array.rwos": 1})):
    try:
        simulate(**wrong)
    except UserError as error:
        assert "did you mean" in str(error) or "n must be at most m" in str(error)
    else:
        raise AssertionError(wrong)

assert not list(pathlib.Path(".").glob("results*"))
result.save("runs/a")
assert load_result("runs/a").cycles == result.cycles
result.page("a.html")
assert "resnet18, bdwp 2:8" in pathlib.Path("a.html").read_text()
result.figure("layers").savefig("layers.png")
assert "<table" in result._repr_html_()
print("good")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without isolation and without a network, unpacked where it is installed."""
    made, place = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(made), str(ROOT)]
    subprocess.run(build, check=True)
    (found,) = made.glob("*.whl")
    install = [*pip, "install", "-q", "--no-deps", "--no-index", "--target", str(place), str(found)]
    subprocess.run(install, check=True)
    return place


def away(wheel: Path, folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-P", "-c", AWAY + code, str(wheel), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_session_as_in_a_notebook(wheel: Path, tmp_path: Path) -> None:
    done = away(wheel, tmp_path, SESSION)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    assert done.stderr == ""  # the library prints nothing


def test_the_python_of_the_readme(wheel: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    done = away(wheel, tmp_path, code)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_main_job(wheel: Path, tmp_path: Path) -> None:
    line = 'sys.argv[:] = ["simulate", *sys.argv[2:]]\nfrom simulator.command.start import main\nmain()\n'
    done = away(wheel, tmp_path, line, "--model", "resnet9", "--pattern", "2:8", "--out", "r")
    assert done.returncode == 0 and "x at equal area (LUTs and clock of our RTL" in done.stdout, done.stderr


DOCTESTS = """
import doctest, importlib, simulator
modules = {"simulator", "workloads", *(getattr(simulator, name).__module__ for name in simulator.__all__)}
for name in modules:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed, name
for name in simulator.__all__:
    assert ">>>" in getattr(simulator, name).__doc__, name
"""


def test_the_examples_of_public_docstrings(wheel: Path, tmp_path: Path) -> None:
    done = away(wheel, tmp_path, DOCTESTS)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
