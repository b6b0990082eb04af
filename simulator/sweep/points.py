"""What one point of a sweep gives: a row of totals, beside the best dense schedule of the same machine.

Points that share a machine share its dense schedule and all they have alike; nothing is read twice by a process.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from simulator.arch.machine import Machine, machine_reader
from simulator.compiler import load_compiler, options_of
from simulator.energy import UNITS, joules, units_by_entry
from simulator.expression import typed
from simulator.job import Job, Source
from simulator.rows import Row, actions_of, op_rows, total, totals
from simulator.runner import TOO_LARGE, Prepared, check_takes, checked, compiled
from simulator.runs import Runs, without_gc
from simulator.sweep.runner import ERROR
from workloads.errors import UserError
from workloads.files.limits import SENTENCE_LETTERS
from workloads.named import dense_of, load_workload, with_method
from workloads.pattern import parse_patterns
from workloads.work import Work
from workloads.workload import Workload

BESIDE = ("cycles", "energy_j")  # of the dense step, in the row of the sparse one


def evaluate(points: Sequence[Job], by_entry: bool = False, runs: Runs | None = None) -> list[Row]:
    """A row a point, in order; a point that cannot be run has its reason in the field `error`.

    by_entry: with what every entry of the energy table in use is multiplied by, dense and sparse. runs: what earlier
    calls found out, to be shared; by default a machine's is forgotten with it, since a sweep has thousands.
    """
    rows: dict[Job, Row] = {}
    machines: dict[Job, list[Job]] = defaultdict(list)
    for point in points:
        machines[replace(point, patterns=None, method="")].append(point)
    for alike in machines.values():
        with without_gc():
            _on_one_machine(alike, rows, by_entry, runs or Runs())
    return [rows[point] for point in points]


def evaluate_by_entry(points: Sequence[Job]) -> list[Row]:
    """The same as `evaluate` with the units of every entry: a function of its own, which processes are handed."""
    return evaluate(points, by_entry=True)


def _on_one_machine(points: Sequence[Job], rows: dict[Job, Row], by_entry: bool, runs: Runs) -> None:
    """Points that differ in pattern and method alone."""
    dense = None
    for point in points:
        try:
            asked = _prepared(point)
            dense = dense or _totals(asked, asked.dense or asked.workload, runs, by_entry)
            rows[point] = _fitting({**_names(asked), **_results(asked, dense, runs, by_entry)})
        except UserError as refused:
            rows[point] = _failed(str(refused))
        except OverflowError:
            rows[point] = _failed(TOO_LARGE)
        except MemoryError:
            rows[point] = _failed("this machine has not the memory that the point takes; take a smaller step")
        except Exception as fault:  # a sweep goes on; the point keeps what happened
            rows[point] = _failed(f"fault of the program: {type(fault).__name__}: {fault}")


def _failed(why: str) -> Row:
    """What stands for a point that cannot be run; a long sentence is cut in its middle."""
    half = SENTENCE_LETTERS // 2
    return {ERROR: why if len(why) <= SENTENCE_LETTERS else f"{why[:half]} ... {why[-half:]}"}


def _prepared(point: Job) -> Prepared:
    """A point with everything at hand, of which no part is loaded again for the next point."""
    machine = _reader(point.machine)(point.settings)
    compiler = load_compiler(machine.kind)
    check_takes(point, machine, compiler)
    options = options_of(compiler, machine, dict(point.options))
    workload = _sparse(point.work, point.method, point.patterns)
    return checked(Prepared(point, machine, compiler, options, workload, _dense(point.work) if workload.ops else None))


def _results(asked: Prepared, dense: Row, runs: Runs, by_entry: bool) -> Row:
    """The point's totals and what they are beside the dense ones."""
    alike = asked.dense is None or asked.workload.ops == asked.dense.ops
    sparse = dense if alike else _totals(asked, asked.workload, runs, by_entry)
    beside = {f"dense_{name}": each for name, each in dense.items() if name in BESIDE or name.startswith(UNITS)}
    speedup = float(dense["cycles"]) / float(sparse["cycles"]) if sparse["cycles"] else 0.0
    return {**sparse, **beside, "speedup": speedup}


def _totals(asked: Prepared, workload: Workload, runs: Runs, by_entry: bool) -> Row:
    schedule = compiled(asked, workload, runs)
    actions = actions_of(schedule, runs)
    found = totals(op_rows(schedule, runs), actions, float(asked.machine.spec.clock_mhz) * 1e6)
    amounts, seconds, table = total(actions), float(found["seconds"]), asked.machine.energy
    units = units_by_entry(table, amounts, seconds) if by_entry else {}
    return {**found, **joules(table, amounts, seconds), **units}


def _names(asked: Prepared) -> Row:
    """What the point is, with its settings as numbers where they are numbers."""
    job, values, options = asked.job, asked.machine.values, dict(asked.job.options)
    memory = values.get("memory")
    sizes = [size for name, size in (memory or {}).items() if name.endswith("_kib")]
    pes = _number(values, "rows") * _number(values, "cols")
    return {
        "arch": job.machine.name,
        "model": job.work.name,
        "pattern": ";".join(job.patterns or ("dense",)),
        "method": job.method,
        "batch": asked.workload.batch,
        "sequence": asked.workload.sequence,
        "mode": job.work.mode,
        "dataflow": str(options.get("dataflow", "best by layer")),
        **({"kernel": options["kernel"]} if "kernel" in options else {}),
        **dict(_set(each) for each in job.settings),
        **({"pes": pes} if pes else {}),
        **({"onchip_kib": float(sum(sizes))} if sizes and None not in sizes else {}),
    }


def _fitting(row: Row) -> Row:
    """A row as it is. Raises OverflowError where a number does not fit a column, of 64 bits."""
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in row.values()):
        raise OverflowError
    return row


def _set(text: str) -> tuple[str, str | int | float]:
    """A setting as a column; null is written as it is."""
    name, _, value = text.partition("=")
    found = typed(value)
    return name, value if found is None else found


def _number(values: Mapping[str, object], name: str) -> int:
    """Rows or columns of the array; 0 where a machine has none."""
    array = values.get("array")
    return int(array.get(name, 0)) if isinstance(array, Mapping) else 0


@lru_cache(maxsize=16)
def _reader(source: Source) -> Callable[[Sequence[str]], Machine]:
    """A machine's description, read once. Raises UserError for a file that is not what the sweep began with."""
    read = machine_reader(source.name, source.content)
    if source.digest and read(()).sheet.digest != source.digest:
        raise UserError(f"{source.name}: has changed since the sweep began")
    return read


@lru_cache(maxsize=32)
def _dense(work: Work) -> Workload:
    """A step, dense; a product of matrices as it is."""
    found = load_workload(work)
    return dense_of(found) if found.ops else found


@lru_cache(maxsize=256)
def _sparse(work: Work, method: str, patterns: tuple[str, ...] | None) -> Workload:
    """The step under a method and its patterns."""
    if patterns is None or work.matrices:
        return _dense(work)
    return with_method(_dense(work), method, parse_patterns(list(patterns)))
