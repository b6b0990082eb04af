"""The tables of a result as files: what each column holds, and how tables and card agree. It stands on pyarrow."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from simulator import hil
from simulator.card import Card
from simulator.card_parts import MOST
from simulator.result import ACTION_COLUMNS, OP_COLUMNS, STALL, Columns, Result
from simulator.rows import COUNTED, LARGEST
from workloads.errors import UserError
from workloads.files.tables import Column, read_table, table_bytes
from workloads.op import Phase, VectorKind

KINDS = {str: Column.TEXT, int: Column.WHOLE, float: Column.NUMBER}
PHASES = {*(phase.value for phase in Phase), "product"}
WORK = {*(kind.value for kind in VectorKind), "product"}
STATUS = ("confirmed", "differs", "not confirmed")


def tables_of(result: Result) -> dict[str, bytes]:
    """The tables of a result by the names of their files."""
    tables = {"hil": result.hil_columns} | _pair(result, "") | (_pair(result.dense, "dense_") if result.dense else {})
    return {f"{name}.parquet": table_bytes(columns) for name, columns in tables.items() if columns is not None}


def _pair(result: Result, prefix: str) -> dict[str, Columns | None]:
    return {f"{prefix}ops": result.op_columns, f"{prefix}actions": result.action_columns}


@dataclass(frozen=True)
class TableReader:
    """Reads the tables in a folder of a result. damaged: what can be done about one that is not whole."""

    folder: Path
    card: Card
    damaged: str

    def pair(self, prefix: str = "") -> tuple[Columns, Columns]:
        """Ops and their actions. Raises UserError for a table that does not hold what such a table must."""
        path = self.folder / f"{prefix}ops.parquet"
        ops = self._read(path, OP_COLUMNS, phase=PHASES, kind=WORK)
        for name in COUNTED:
            if sum(ops[name]) >= LARGEST:
                raise self._wrong(path, f"{name}: its sum does not fit 64 bits")
        stalls = [name for name in ops if name.startswith(STALL)]
        for name in stalls:
            if name.removeprefix(STALL) not in self.card.causes:
                raise self._wrong(path, f"{name}: the card does not know this cause")
        spent = [sum(row) for row in zip(ops["busy_cycles"], *(ops[name] for name in stalls), strict=True)]
        if spent != ops["cycles"]:
            raise self._wrong(path, "cycles: are not the sum of busy_cycles and all stalls")
        return ops, self._actions(self.folder / f"{prefix}actions.parquet", len(ops["cycles"]))

    def tiles(self) -> Columns:
        """The tiles that hardware ran. Raises UserError as `pair` does, and for others than the card counts."""
        path, said = self.folder / "hil.parquet", self.card.hil or {}
        wanted = {each.name: str if each.type is str else int for each in fields(hil.Outcome)}
        tiles = self._read(path, wanted, status=STATUS)
        if said.get("tiles") != (count := len(tiles["tile"])):
            raise self._wrong(path, f"has {count} tiles, and the card {said.get('tiles', 'no part on hardware')}")
        return tiles

    def _actions(self, path: Path, ops: int) -> Columns:
        priced = self.card.energy is not None
        entries = {"entry": self.card.energy.entries} if self.card.energy else {}
        actions = self._read(path, ACTION_COLUMNS, op=range(ops), **entries)
        for name in (name for name, kind in ACTION_COLUMNS.items() if priced and kind is float):
            self._check(path, name, actions[name], lambda value: value == value, "is no number")
        return actions

    def _read(self, path: Path, wanted: Mapping[str, type], **known: Collection[object]) -> Columns:
        """The columns that are ours: a later version of this program may add some."""
        found = read_table(path, {name: KINDS[kind] for name, kind in wanted.items()}, self.damaged)
        table = {name: each for name, each in found.items() if name in wanted or name.startswith(STALL)}
        for name, values in table.items():
            kind = wanted.get(name, int)
            if kind is not str:
                self._check(path, name, values, _is_whole if kind is int else _is_amount, "cannot be there")
        for name, words in known.items():
            self._check(path, name, table[name], words.__contains__, "is not known")
        return table

    def _check(
        self, path: Path, name: str, values: Sequence[object], takes: Callable[[object], bool], said: str
    ) -> None:
        for row, value in enumerate(values):
            if not takes(value):
                raise self._wrong(path, f"{name}: row {row} holds {value!r}, which {said}")

    def _wrong(self, path: Path, said: str) -> UserError:
        return UserError(f"{path}: {said}; {self.damaged}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def _is_amount(value: object) -> bool:
    """NaN is one too: what nothing is known of."""
    return isinstance(value, int | float) and not (value < 0 or value > MOST)
