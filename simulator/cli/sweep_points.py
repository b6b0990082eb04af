"""What one point of a sweep gives: a row of totals, beside the best dense schedule of the same machine.

Points that share a machine share its dense schedule and all they have alike; nothing is read twice by a process.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

from simulator.arch.energy import EnergyTable
from simulator.cli.choices import Choices
from simulator.cli.job import LARGEST_STEP, compiler_for
from simulator.cli.work import load_workload, with_method
from simulator.machine import Arch, arch_reader
from simulator.result import STALLS, measured
from simulator.schedule import Runs, uncollected
from simulator.sweep.point import Point
from simulator.sweep.runner import ERROR
from simulator.sweep.spec import typed
from workloads.apply_method import apply_method
from workloads.errors import UserError
from workloads.methods.dense import Dense
from workloads.op import Phase
from workloads.pattern import PatternMap, parse_patterns
from workloads.workload import Workload

Row = dict[str, Any]
PICO = 1e-12
SUMMED = ("cycles", *STALLS, "busy_cycles", "macs_useful")  # columns of a row


def evaluate(points: Sequence[Point]) -> list[Row]:
    """A row a point, in order; a point that cannot be run has its reason in the field `error`."""
    rows: dict[Point, Row] = {}
    machines: dict[tuple[Any, ...], list[Point]] = defaultdict(list)
    for point in points:
        machines[_machine_of(point)].append(point)
    for alike in machines.values():
        with uncollected():
            _machine(alike, rows)
    return [rows[point] for point in points]


def _machine_of(point: Point) -> tuple[Any, ...]:
    return point.arch, point.model, point.batch, point.sequence, point.mode, point.dataflow, point.settings


def _machine(points: Sequence[Point], rows: dict[Point, Row]) -> None:
    """Points that differ in pattern and method alone."""
    runs, dense = Runs(), None
    for point in points:
        try:
            step = _Step(point, runs)
            dense = dense or step.totals(step.workload)
            rows[point] = {**_names(point, step), **step.results(dense)}
        except UserError as refused:
            rows[point] = {ERROR: str(refused)}
        except OverflowError:
            rows[point] = {ERROR: "some cycles or bytes do not fit 64 bits"}
        except Exception as fault:  # a sweep goes on; the point keeps what happened
            rows[point] = {ERROR: f"fault of the program: {type(fault).__name__}: {fault}"}


class _Step:
    """A point with its machine and workload at hand."""

    def __init__(self, point: Point, runs: Runs) -> None:
        self.point = point
        self.runs = runs
        self.arch: Arch = _reader(point.arch)(point.setting_texts)
        self.workload = _workload(point.model, point.batch, point.sequence, point.mode)
        choices = Choices(point.arch, (), point.method, dataflow=point.dataflow, check_capacity=point.check_capacity)
        self.compiler = compiler_for(self.arch, choices)

    def results(self, dense: Row) -> Row:
        """The point's totals and what they are beside the dense ones."""
        sparse_work = _sparse(replace(self.point, arch="", dataflow=None, settings=(), check_capacity=True))
        sparse = dense if sparse_work.ops == self.workload.ops else self.totals(sparse_work)
        beside = {f"dense_{name}": dense[name] for name in ("cycles", "energy_j") if name in dense}
        return {**sparse, **beside, "speedup": dense["cycles"] / sparse["cycles"] if sparse["cycles"] else 0.0}

    def totals(self, workload: Workload) -> Row:
        ops, actions = measured(self.compiler(workload, self.runs), self.runs)
        columns = zip(*map(itemgetter(*SUMMED), ops), strict=True)
        sums = {name: sum(column) for name, column in zip(SUMMED, columns, strict=True)}
        cycles, useful = sums["cycles"], sums["macs_useful"]
        seconds = cycles / (float(self.arch.spec.clock_mhz) * 1e6)
        amounts: Counter[tuple[str, str]] = Counter()
        for _, action in actions:
            amounts[action.kind, action.tensor] += action.amount
        pes = max(op["pes"] for op in ops)
        return {
            "cycles": cycles,
            "seconds": seconds,
            **{f"{phase.value.lower()}_cycles": _sum(ops, "cycles", phase) for phase in Phase},
            **{name: amount for name, amount in sums.items() if name != "cycles"},
            "utilisation": useful / (cycles * pes) if cycles and pes else 0.0,
            "dram_bytes": sum(amount for (kind, _), amount in amounts.items() if kind in ("dram.read", "dram.write")),
            **_energy(self.arch.energy, amounts, seconds),
        }


def _names(point: Point, step: _Step) -> Row:
    """What the point is, with its settings as numbers where they are numbers."""
    memory = step.arch.values.get("memory")
    sizes = [size for name, size in (memory or {}).items() if name.endswith("_kib")]
    pes = _of(step.arch.values, "array.rows", 0) * _of(step.arch.values, "array.cols", 0)
    return {
        "arch": point.arch,
        "model": point.model,
        "pattern": point.pattern,
        "method": point.method,
        "batch": step.workload.batch,
        "sequence": step.workload.sequence,
        "mode": point.mode,
        "dataflow": point.dataflow or "best by layer",
        **{name: typed(text) for name, text in point.settings},
        **({"pes": pes} if pes else {}),
        **({"onchip_kib": float(sum(sizes))} if sizes and None not in sizes else {}),
    }


def _of(values: Mapping[str, Any], path: str, otherwise: int) -> int:
    section, _, name = path.partition(".")
    inner = values.get(section)
    return int(inner.get(name, otherwise)) if isinstance(inner, Mapping) else otherwise


def _sum(ops: Sequence[Row], column: str, phase: Phase) -> int:
    return sum(op[column] for op in ops if op["phase"] == phase.value)


def _energy(table: EnergyTable | None, amounts: Mapping[tuple[str, str], int], seconds: float) -> Row:
    """Joules, and the ends of their range, as `simulator.energy` prices an op's actions."""
    if table is None:
        return {}
    entries = {counted: table.entry(*counted) for counted in amounts}

    def joules(of: Callable[[Any], float]) -> float:
        return sum(of(entries[counted]) * amount for counted, amount in amounts.items()) * PICO + seconds * sum(
            of(each) for each in table.static
        )

    ends = {
        "energy_low_j": joules(lambda each: float(each.low)),
        "energy_high_j": joules(lambda each: float(each.high)),
    }
    return {"energy_j": joules(lambda each: float(each.value)), **ends}


@lru_cache(maxsize=16)
def _reader(arch: str) -> Callable[[Sequence[str]], Arch]:
    return arch_reader(arch)


@lru_cache(maxsize=32)
def _workload(model: str, batch: int | None, sequence: int | None, mode: str) -> Workload:
    """A captured step, dense."""
    found = load_workload(Choices("", (), "", model=model, batch=batch, sequence=sequence, mode=mode))
    if found.macs >= LARGEST_STEP:
        raise UserError(f"the step is too large: {found.macs:.1e} multiply-accumulates do not fit 64 bits")
    return apply_method(found, Dense(), PatternMap())


@lru_cache(maxsize=256)
def _sparse(point: Point) -> Workload:
    """The step under the point's method and pattern: `2:8`, or several with semicolons, `2:8;layer4.*=1:8`."""
    patterns = parse_patterns([part.strip() for part in point.pattern.split(";")])
    return with_method(_workload(point.model, point.batch, point.sequence, point.mode), point.method, patterns)
