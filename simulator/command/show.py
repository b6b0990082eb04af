"""Show a machine, a method or a model: what it is, and where its numbers come from."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import simulator
from simulator.compiler import load_compiler
from simulator.energy import component
from simulator.job import is_file_name
from workloads import named
from workloads.console import PlainConsole, console
from workloads.errors import unknown_name
from workloads.methods.fields import load_method
from workloads.op import MatrixOp, Phase
from workloads.options import SetOption, completed
from workloads.registry import MACHINES, METHODS, MODELS, entry_of, names
from workloads.work import Work

WIDTH = 160  # where nobody looks at a terminal
GROUPS = {"machine": MACHINES, "method": METHODS, "model": MODELS}


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A machine (or its YAML file), a method or a model, by name.",
            autocompletion=completed(*GROUPS.values()),
        ),
    ],
    settings: SetOption = [],  # noqa: B006
) -> None:
    """Show what a machine, a method or a model is; of a machine every number with its range, provenance and source."""
    kinds = ["machine"] if is_file_name(name) else [kind for kind, group in GROUPS.items() if name in names(group)]
    if not kinds:
        raise unknown_name("name", name, {each for group in GROUPS.values() for each in names(group)})
    shown = console()
    shown = shown if shown.is_terminal else PlainConsole(highlight=False, width=WIDTH)
    parts = {
        "machine": lambda: _machine(name, settings),
        "method": lambda: _method(name),
        "model": lambda: _model(name),
    }
    for kind in kinds:
        for part in parts[kind]():
            shown.print(part)


def _machine(name: str, settings: list[str]) -> Iterator[str | Table]:
    machine = simulator.load_machine(name, settings)
    yield f"[bold]{escape(machine.name)}[/]: {escape(machine.spec.title)} (kind {machine.kind})"
    table = _table("number", "value", "range", "provenance", "source")
    for path, number in simulator.numbers_of(machine).items():
        span = "" if number.low is None or number.high is None else f"{number.low:g} to {number.high:g}"
        table.add_row(path, str(number.value), span, number.provenance.value, escape(number.source))
    yield table
    for option in fields(load_compiler(machine.kind).Options):  # type: ignore[arg-type]
        others = f" (names: {', '.join(names(option.metadata['group']))})" if "group" in option.metadata else ""
        yield f"--option {option.name}={escape(str(option.default))}{others}"
    if machine.energy is not None:
        energy = machine.energy
        yield f"energy table '{energy.name}': {escape(energy.technology)}; {len(energy.entries)} entries"
        powers = [f"{component(each.name).removeprefix('static ')} {each.value:.3g} W" for each in energy.static]
        yield escape(f"static power: {', '.join(powers) or 'none'}")
        yield from [escape(energy.note)] if energy.note else []
    yield from (f"not modelled: {escape(point)}" for point in machine.not_modelled)


def _method(name: str) -> Iterator[str | Table]:
    method, text = load_method(name), import_module(entry_of(METHODS, "method", name).module).__doc__ or ""
    yield f"[bold]{name}[/]: {escape(' '.join(text.split()))}"
    table = _table("phase", "sparse operand", "groups along", "permuted")
    for each in method.sparse:
        table.add_row(each.phase.value, each.role.value, each.axis.name.lower().replace("_", " "), str(each.permuted))
    yield table
    yield f"masks are for: {method.mask_use.value}; backward mask from: {method.backward_from.value}"
    yield f"gradient: {method.gradient.value}; fields: {' '.join(named.method_fields(name)) or 'none'}"


def _model(name: str) -> Iterator[str | Table]:
    workload = named.load_workload(Work(model=name))
    sequence = f", sequence {workload.sequence}" if workload.sequence > 1 else ""
    yield f"[bold]{name}[/]: {workload.parameters:,} parameters, recorded at batch {workload.batch}{sequence}"
    table = _table("phase", "products", "multiply-accumulates", "other ops")
    for phase in Phase:
        ops = [op for op in workload.ops if op.phase is phase]
        products = [op for op in ops if isinstance(op, MatrixOp)]
        macs = sum(op.macs for op in products)
        table.add_row(phase.value, f"{len(products)}", f"{macs:,}", f"{len(ops) - len(products)}")
    yield table
    kinds = Counter(op.kind.value for op in workload.ops if not isinstance(op, MatrixOp))
    yield f"other ops: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}"
    yield f"kept dense unless a pattern names them: {', '.join(workload.kept_dense) or 'none'}"
    yield f"source: {escape(workload.capture.source)}; shapes: {escape(workload.capture.shapes)}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("value", "products", "multiply-accumulates") else "left")
    return table
