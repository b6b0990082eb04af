"""What a run gives: one row an op, one row an action of an op, and a run card."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simulator
from simulator.card import Card, Number
from simulator.schedule import Schedule
from workloads.registry import VIEWS, load_entry

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Columns = Mapping[str, Sequence[Any]]  # of one length, by name
PICO = 1e-12
STALL = "stall_"
# The columns that every table of ops and of actions has, and what they hold; ops have more `stall_*` (int).
OP_COLUMNS: Mapping[str, type] = {
    **dict.fromkeys(("layer", "phase", "kind", "dataflow", "detail"), str),
    **dict.fromkeys(("rows", "cols", "inner", "count"), int),
    "pattern": str,
    **dict.fromkeys(("cycles", "busy_cycles", f"{STALL}fill_drain"), int),
    **dict.fromkeys(("macs_useful", "macs_padded", "macs_skipped", "pes"), int),
}
ACTION_COLUMNS: Mapping[str, type] = {
    "op": int,
    "kind": str,
    "tensor": str,
    "amount": int,
    "component": str,
    "entry": str,
    **dict.fromkeys(("energy_pj", "energy_low_pj", "energy_high_pj"), float),
}


@dataclass(frozen=True, repr=False)
class Result:
    """One step, or one product, on one machine.

    op_columns: a row an op in the order of the step: layer, phase, kind, dataflow, detail, rows, cols, inner, count,
    pattern, cycles, busy_cycles, stall_* (cycles), macs_useful, macs_padded, macs_skipped, pes. action_columns: a row
    for every (op, kind, tensor) with its amount, and what it costs: component, entry, energy_pj and the ends of its
    range. `ops` and `actions` are the same as frames. `card` says what ran, with what, and on what terms. `dense` is
    the best dense schedule of the same step on the same machine, None where nobody asked. `hil`: a row a tile that
    hardware ran. `schedule` is not stored. `reports/SCHEMA.md` describes every column.

    >>> from simulator import simulate
    >>> result = simulate("sat", "2:8", "resnet9", batch=8)
    >>> list(result.phases.index), int(result.ops["cycles"].sum()) == result.cycles
    (['FF', 'BP', 'WU', 'UP', 'step'], True)
    """

    op_columns: Columns
    action_columns: Columns
    card: Card
    dense: "Result | None" = None
    hil_columns: Columns | None = None
    schedule: Schedule = field(default=(), repr=False, compare=False)

    def __repr__(self) -> str:
        """In a line: all rows would fill pages."""
        return f"Result({self.card.model!r} on {self.card.arch!r}, {self.cycles:,} cycles)"

    @cached_property
    def ops(self) -> "pd.DataFrame":
        """The rows of ops as a frame."""
        return simulator.frame(self.op_columns, OP_COLUMNS)

    @cached_property
    def actions(self) -> "pd.DataFrame":
        """The rows of actions as a frame."""
        return simulator.frame(self.action_columns, ACTION_COLUMNS)

    @cached_property
    def hil(self) -> "pd.DataFrame | None":
        """The tiles that hardware ran as a frame; None where none was asked for."""
        return None if self.hil_columns is None else simulator.frame(self.hil_columns, {})

    @property
    def cycles(self) -> int:
        """Cycles of the step, of the machine's clock."""
        return int(sum(self.op_columns.get("cycles", ())))

    @property
    def seconds(self) -> float:
        """Seconds of the step."""
        return self.cycles / self.card.clock_hz

    @property
    def baseline(self) -> "Result":
        """What this result is held against: the dense one beside it, or itself."""
        return self.dense or self

    @property
    def speedup(self) -> float:
        """Times as fast as the best dense schedule of the same machine; NaN where that was not asked for."""
        return self.over_baseline if self.dense else math.nan

    @property
    def over_baseline(self) -> float:
        """Times as fast as what it is held against; NaN for a step that takes no cycle."""
        return self.baseline.cycles / self.cycles if self.cycles else math.nan

    @property
    def energy_j(self) -> float:
        """Joules of the step; NaN where the machine's file has no energy table."""
        return math.nan if self.card.energy is None else float(sum(self.action_columns.get("energy_pj", ()))) * PICO

    @property
    def phases(self) -> "pd.DataFrame":
        """Cycles, seconds, utilisation, dense_cycles and speedup of each phase (FF, BP, WU, UP) and of the step."""
        return simulator.phase_table(self)

    @property
    def assumed(self) -> dict[str, Number]:
        """The numbers of the machine that nobody stated, by dotted path, each with its reason and range."""
        return {path: self.card.numbers[path] for path in self.card.assumed}

    def save(self, folder: str | Path, force: bool = False) -> None:
        """Write a result folder; it appears whole or not at all. Raises UserError where it cannot be written."""
        simulator.save_result(self, Path(folder), force)

    def page(self, path: str | Path, force: bool = False) -> None:
        """Write one self-contained HTML page. Raises UserError where it cannot be written, or jinja2 is missing."""
        load_entry(VIEWS, "view", "page")(self, Path(path), force)

    def figure(self, name: str) -> "Figure":
        """A picture of the result: "layers", "causes", "energy", ... Raises UserError for an unknown name, with all."""
        made: Figure = load_entry(VIEWS, "view", "figure")(self, name)
        return made

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        shown: str = load_entry(VIEWS, "view", "notebook")(self)
        return shown
