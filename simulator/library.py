"""`simulate`, the library's way to ask: names as on the command line, or objects, in one call."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import workloads
from simulator.arch.loading import read_sheet
from simulator.arch.machine import Machine, MachineSheet, machine_reader
from simulator.job import Job, Source, Value, option_pairs
from simulator.result import Result
from simulator.rows import Show, silent
from simulator.runner import run_job
from simulator.runs import Runs
from workloads.errors import UserError
from workloads.files.limits import parse_limits
from workloads.registry import MACHINES, load_part, names
from workloads.stored import template_of, text_of
from workloads.work import TRAINING, Work
from workloads.workload import Workload

GEMM = re.compile(r"[0-9]+x[0-9]+x[0-9]+")
Setting = int | float | bool | str | None


def simulate(
    machine: Machine | str | Path = "sat",
    pattern: str | Mapping[str, str] | Sequence[str] | None = None,
    workload: object = "resnet18",
    *,
    inputs: object = None,
    method: str = "bdwp",
    settings: Mapping[str, Setting] | Sequence[str] = (),
    options: Mapping[str, Value] | None = None,
    batch: int | None = None,
    sequence: int | None = None,
    mode: str = TRAINING,
    optimizer: str | None = None,
    exact: bool = False,
    dense: bool = True,
    limits: Mapping[str, int] | None = None,
    runs: Runs | None = None,
    progress: Show = silent,
) -> Result:
    """Simulate one step, or one product, on a machine, beside the best dense schedule of the same machine.

    machine: a registered name, the path of a machine file, or a Machine. pattern: "2:8"; texts as on the command line,
    ["2:8", "layer4.*=1:8"]; or a mapping of layer globs, {"*": "2:8", "layer4.*": "1:8"}, which unlike the bare text
    takes the layers that methods keep dense too. Without one the step is simulated as it is, which is dense for a
    model. workload: a captured model, the path of a recorded workload (.json), a topology (.csv) or an ONNX file
    (.onnx), a product "3136x64x576", a sparse matrix to be squared ("rmat:10:8", or a .mtx file), a Work, a Workload,
    or a torch module or torch.export.ExportedProgram, of which one step on `inputs` (a tensor or a tuple of them, batch
    first) is recorded. settings: numbers of the machine, {"array.rows": 64}. options: choices of its compiler,
    {"dataflow": "weight-stationary"}.
    exact: make every command an event. dense: whether the dense schedule is wanted beside it. limits: how much is taken
    where that is more than usual, {"multiplies": 50_000_000} (`workloads.files.limits.Limits`). runs: shares what was
    found out between calls. progress: called with (done, total, words) after every op.

    Nothing is printed and nothing is written. Raises UserError for anything that cannot be, in one sentence.

    >>> result = simulate("sat", "2:8", "resnet18", settings={"array.rows": 64, "array.cols": 64})
    >>> round(result.speedup, 2), result.card.numbers["array.rows"].provenance.value
    (1.5, 'set')
    """
    if not isinstance(options, Mapping | None):
        raise UserError(f"options: type '{type(options).__name__}' is not accepted; give a mapping of names to values")
    source, more = _machine(machine)
    job = Job(
        machine=source,
        work=_work(workload, inputs, Work(batch=batch, sequence=sequence, mode=mode, optimizer=optimizer), limits),
        patterns=_patterns(pattern),
        method=method,
        settings=(*more, *_settings(settings)),
        options=option_pairs({name: _plain(value) for name, value in (options or {}).items()}),
        exact=exact,
        dense=dense,
    )
    return run_job(Job.from_json(job.to_json()), runs, progress)  # which looks at the type of every value


def _machine(given: Machine | str | Path) -> tuple[Source, tuple[str, ...]]:
    """A machine as a job keeps it, and the settings that it has already."""
    if not isinstance(given, Machine):
        return Source(str(given)), ()
    sheet = given.sheet
    if machine_reader(given.name, sheet.description())(given.settings).spec != given.spec:
        raise UserError(f"machine '{given.name}': its description was changed by hand; use settings={{FIELD: VALUE}}")
    if given.name in names(MACHINES) and load_part(MACHINES, "machine", given.name, MachineSheet).sheet == sheet.path:
        return Source(given.name, sheet.digest), given.settings
    if sheet.path.is_file() and read_sheet(sheet.path).digest == sheet.digest:
        return Source(str(sheet.path), sheet.digest), given.settings
    return Source(given.name, content=sheet.description()), given.settings


def _work(given: object, inputs: object, how: Work, limits: Mapping[str, int] | None) -> Work:
    if isinstance(given, Work):
        if how != Work() or limits is not None:
            raise UserError("batch, sequence, mode, optimizer and limits: a Work says these itself; leave them out")
        return given
    how = replace(how, limits=parse_limits(_texts("limits", limits or {})))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(given, torch.nn.Module | torch.export.ExportedProgram):
        if inputs is None:
            raise UserError("inputs: say what the module takes: a tensor, or a tuple of tensors, batch first")
        given = workloads.record_module(given, inputs, name=type(given).__name__)
    elif inputs is not None:
        raise UserError("inputs: are for a torch module; this workload has its own")
    if isinstance(given, Workload):
        tensors = str(given.tensors) if given.tensors else ""
        return replace(how, workload=given.model, content=text_of(template_of(given)), tensors=tensors)
    if not isinstance(given, str | Path):
        kind = type(given).__name__
        raise UserError(f"workload: type '{kind}' is not accepted; give a name, a path, a Workload or a torch module")
    return _named(str(given), how)


def _named(text: str, how: Work) -> Work:
    """A text as work; a word that is nothing else is a model's name."""
    if GEMM.fullmatch(text):
        return replace(how, gemms=(text,))
    if ":" in text or text.endswith((".mtx", ".mtx.gz")):
        return replace(how, matrices=(text,))
    match Path(text).suffix:
        case ".json":
            return replace(how, workload=text)
        case ".csv":
            return replace(how, topology=text)
        case ".onnx":
            return replace(how, onnx=text)
    return replace(how, model=text)


def _patterns(given: str | Mapping[str, str] | Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None or isinstance(given, str):
        return None if given is None else (given,)
    return _texts("pattern", given)


def _settings(given: Mapping[str, Setting] | Sequence[str]) -> tuple[str, ...]:
    words = {True: "true", False: "false", None: "null"}
    if isinstance(given, Mapping):
        given = {path: words[each] if each is None or isinstance(each, bool) else each for path, each in given.items()}
    return _texts("settings", (given,) if isinstance(given, str) else given)


def _plain(value: Value) -> Value:
    """A scalar of numpy as Python's own: a loop over np.arange hands such ones in, and JSON does not know them."""
    found: Value = value.item() if isinstance(value, np.generic) else value
    return found


def _texts(what: str, given: object) -> tuple[str, ...]:
    """Texts as on the command line, of a mapping NAME=VALUE. Raises UserError for anything but texts or a mapping."""
    if isinstance(given, Mapping):
        return tuple(f"{name}={value}" for name, value in given.items())
    if not isinstance(given, Sequence):
        raise UserError(
            f"{what}: type '{type(given).__name__}' is not accepted; give a mapping, a text or several texts"
        )
    return tuple(given)
