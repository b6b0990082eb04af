"""The house stays readable: limits on what `house.py` counts, and walls without exceptions."""

import ast
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.house import ROOMS, ROOT, counted

IMPORTS = 60  # inside functions; 395 before the redesign
ANYS = 60  # uses of the name outside numba bodies; 209 before
# 23,200 before bands, GPU measurements, ops that overlap, energy by part and bounds of fabrics; 25,100 before a
# recorder that knows every operator, inputs and outputs of any nesting, and sizes left open; 25,900 before ONNX files;
# 26,900 before methods in any training loop, with a user's own module and data, and the core's control; 28,100 before
# the core carried out products; 30,600 before trainings on a backend, and in hardware; 31,600 before cores as folders
# and on boards; 34,200 before a step was shown without frames, and the
# threads of a fabric were a compiled loop
STATEMENTS = 34_400
LINES = 400


def test_limits() -> None:
    now = counted()
    assert now.imports.total() <= IMPORTS
    assert now.bare_imports == []
    assert now.anys.total() <= ANYS
    assert now.statements <= STATEMENTS
    assert max(now.lines.values()) <= LINES


# Modules that touch files beside `workloads/files`, and why each may.
TOUCHING = {
    "reports/dram_trace.py": "writes into the folder that `new_folder` gives",
    "reports/figures/style.py": "matplotlib draws into memory",
    "reports/output.py": "writes into the files that `new_file` gives",
    "reports/page/build.py": "reads files of the package",
    "rtl/exported/array.py": "reads files of the package",
    "rtl/exported/blocks.py": "reads files of the package",
    "rtl/exported/core.py": "reads files of the package",
    "rtl/exported/core_placed.py": "reads what a tool has left",
    "rtl/exported/core_readme.py": "reads files of the package",
    "rtl/exported/readme.py": "reads files of the package",
    "rtl/exported/testbench.py": "reads files of the package",
    "rtl/files.py": "writes into the folder that `new_folder` gives",
    "rtl/fast/program.py": "reads files of the package",
    "rtl/in_process.py": "reads files of the package",
    "rtl/link/core_board.py": "opens a wire",
    "rtl/link/remote.py": "opens a wire",
    "rtl/link/serving.py": "opens the other end of its own pseudo-terminal",
    "rtl/link/virtual.py": "reads files of the package",
    "rtl/link/virtual_core.py": "reads files of the package",
    "rtl/synthesis.py": "writes where `kept` has an entry made",
    "rtl/verilate.py": "writes where `kept` has an entry made, and into the folder of this run",
    "simulator/command/main.py": "opens the null device",
    "simulator/command/sweep.py": "opens a store",
    "simulator/folder.py": "writes into the folder that `new_folder` gives",
    "simulator/hil/loop.py": "removes its own journal",
    "simulator/lazy_commands.py": "reads files of the package",
    "simulator/sensitivity/simulations.py": "opens a store",
    "simulator/sweep/store.py": "removes its own errors",
    "simulator/sweep/version.py": "reads files of the package",
    "workloads/door.py": "reads files of the package",
    "workloads/kernels.py": "numba's cache, which has its own way of writing",
    "workloads/registry.py": "reads what an installed distribution says of itself",
    "workloads/sparse/matrix_market.py": "scipy reads what has been read and bounded",
    "workloads/terminal.py": "opens standard streams",
    "workloads/training/checkpoint.py": "torch writes into what `new_file` gives, and reads what is held open",
    "workloads/training/image_files.py": "Pillow opens what has been read and bounded",
    "workloads/training/run_folder.py": "holds a lock",
    "workloads/training/run_log.py": "adds lines to its own log",
    "workloads/training/study.py": "holds a lock",
}
PRINTING = {
    "rtl/diagram.py": "a program of its own",
    "rtl/link/virtual.py": "a program of its own",
    "simulator/command/main.py": "warnings of other libraries, in their own words",
    "workloads/terminal.py": "the place itself",
    "workloads/recording/capture.py": "a program of its own",
}


def test_files_are_read_and_written_in_one_place() -> None:
    assert {path for path, _ in counted().touches} == set(TOUCHING)


def test_what_is_said_on_a_terminal_goes_through_one_place() -> None:
    assert {path for path, times in counted().prints.items() if times} == set(PRINTING)


def test_the_layers_have_no_exceptions() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = [each for each in contracts if each["type"] == "layers"]
    assert layers and not any("ignore_imports" in each for each in contracts)


DOORS = sorted(path for room in ROOMS for path in (ROOT / room).rglob("__init__.pyi"))
ORDER = ("workloads", "rtl", "simulator", "dataflows", "reports")  # what may be imported, from the first room on


@pytest.mark.parametrize("stub", DOORS, ids=lambda path: path.parent.relative_to(ROOT).as_posix())
def test_a_door_opens_on_its_own_room_or_an_earlier_one(stub: Path) -> None:
    """A door's names are looked up while the program runs, where the walls between the rooms are not checked."""
    package = ".".join(stub.parent.relative_to(ROOT).parts)
    room = package.partition(".")[0]
    for node in ast.walk(ast.parse(stub.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            target = f"{package}." if node.level else ""
            found = (target + (node.module or "")).partition(".")[0]
            assert found not in ROOMS or ORDER.index(found) <= ORDER.index(room), node.module


def test_one_function_runs_jobs() -> None:
    """`carry_out` of the runner is the one place where a prepared job is compiled, timed, priced and given its card."""
    users = [
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "card_of(" in path.read_text(encoding="utf-8")
    ]
    assert sorted(users) == ["simulator/card.py", "simulator/runner.py"]


@pytest.mark.parametrize("group", sorted(each for each in entry_points().groups if each.startswith("sparsehil.")))
def test_every_registered_name_loads(group: str) -> None:
    for entry in entry_points(group=group):
        assert entry.load() is not None


def test_no_name_at_a_door_is_that_of_a_module_beside_it() -> None:
    """To import a module puts it on its package under its own name, in place of what the door gives."""
    for stub in (path for room in ROOMS for path in (ROOT / room).rglob("__init__.pyi")):
        imports = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
        beside = {path.stem for path in stub.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
        assert not beside & {alias.asname or alias.name for node in imports for alias in node.names}, stub
