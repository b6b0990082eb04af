"""What a run gives: one row an op, one row an action of an op, and a run card. On disk Parquet and JSON."""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow  # type: ignore[import-untyped]  # noqa: F401  pandas would load it at the first string, in the middle of a run

from simulator.program import Action, Stall
from simulator.run import Timing
from simulator.schedule import Runs, ScheduledOp
from workloads.errors import UserError
from workloads.op import MatrixOp

Key = TypeVar("Key")
SCHEMA = 1
FILES = {"card.json", "ops.parquet", "actions.parquet", "dense_ops.parquet", "dense_actions.parquet", "hil.parquet"}
LARGEST = 2**62  # what a column of 64-bit integers may sum to
STALLS = {f"stall_{cause.value}": cause for cause in Stall}  # columns of `Result.ops`


@dataclass(frozen=True)
class Result:
    """`ops` has a row an op in the order of the step, `actions` a row for every (op, kind, tensor) with its amount.

    Columns of `ops`: layer, phase, kind, dataflow, detail, rows, cols, inner, count, pattern, cycles, busy_cycles,
    stall_* (cycles), macs_useful, macs_padded, macs_skipped, pes. `actions` also says what each costs (component,
    entry, energy_pj, energy_low_pj, energy_high_pj). `card` says what ran, with what, and on what terms. `dense` is
    the best dense schedule of the same step on the same machine, `hil` a row a tile that hardware ran, None where none
    was asked for. `reports/SCHEMA.md` describes every column.
    """

    ops: pd.DataFrame
    actions: pd.DataFrame
    card: Mapping[str, Any]
    dense: "Result | None" = None
    hil: pd.DataFrame | None = None

    @property
    def cycles(self) -> int:
        return int(self.ops["cycles"].sum())


def execute(schedule: Sequence[ScheduledOp], card: Mapping[str, Any], runs: Runs) -> Result:
    """Run a schedule, op after op. Raises ValueError for a program that can never go on.

    Raises UserError for a step whose counts do not fit 64 bits.
    """
    rows, counted = measured(schedule, runs)
    table = {"op": [number for number, _ in counted], "kind": [action.kind for _, action in counted]}
    table |= {"tensor": [action.tensor for _, action in counted], "amount": [action.amount for _, action in counted]}
    ops = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return Result(pd.DataFrame(ops), pd.DataFrame(table), dict(card))


def measured(schedule: Sequence[ScheduledOp], runs: Runs) -> tuple[list[dict[str, Any]], list[tuple[int, Action]]]:
    """The rows of `Result.ops`, and every op's actions with its number. Raises what `execute` does."""
    rows: list[dict[str, Any]] = []
    actions: list[tuple[int, Action]] = []
    for number, scheduled in enumerate(schedule):
        timings = [runs.timing(program) for program in scheduled.programs]
        rows.append(_row(scheduled, timings))
        amounts = timings[0].actions if len(timings) == 1 else _total(timing.actions for timing in timings)
        actions.extend((number, Action(kind, tensor, amount)) for (kind, tensor), amount in sorted(amounts.items()))
    for column in ("cycles", "macs_useful", "macs_padded", "macs_skipped"):
        if sum(row[column] for row in rows) >= LARGEST:
            raise UserError(f"the step is too large: its {column} do not fit 64 bits; take a smaller one")
    return rows, actions


def _total(counts: Iterable[Mapping[Key, int]]) -> Counter[Key]:
    total: Counter[Key] = Counter()
    for each in counts:
        total.update(each)
    return total


def _row(scheduled: ScheduledOp, timings: Sequence[Timing]) -> dict[str, Any]:
    op = scheduled.op
    stalls = dict(timings[0].stalls) if len(timings) == 1 else _total(timing.stalls for timing in timings)
    cycles, busy = sum(timing.cycles for timing in timings), sum(timing.busy for timing in timings)
    if scheduled.last_cycle_index and cycles:
        cycles -= 1
        if stalls.get(Stall.FILL_DRAIN):
            stalls[Stall.FILL_DRAIN] -= 1
        else:
            busy -= 1
    matrix = isinstance(op, MatrixOp)
    lanes = sum(timing.busy for timing in timings) * scheduled.pes
    return {
        "layer": op.layer,
        "phase": op.phase.value,
        "kind": "product" if isinstance(op, MatrixOp) else op.kind.value,
        "dataflow": scheduled.dataflow,
        "detail": scheduled.detail,
        "rows": op.rows if isinstance(op, MatrixOp) else op.elements,
        "cols": op.cols if isinstance(op, MatrixOp) else 1,
        "inner": op.inner if isinstance(op, MatrixOp) else 1,
        "count": op.count,
        "pattern": str(op.right.pattern) if isinstance(op, MatrixOp) else "dense",
        "cycles": cycles,
        "busy_cycles": busy,
        **{column: stalls.get(cause, 0) for column, cause in STALLS.items()},
        "macs_useful": scheduled.macs_useful,
        "macs_padded": lanes - scheduled.macs_useful if matrix else 0,
        "macs_skipped": scheduled.macs_skipped,
        "pes": scheduled.pes,
    }


def bytes_by_memory(result: Result) -> dict[int, dict[str, int]]:
    """For every op's number, bytes moved by memory and direction, such as {"dram.read": 4096}."""
    moves = result.actions[result.actions["kind"].str.endswith((".read", ".write"))]
    table: dict[int, dict[str, int]] = {}
    for op, kind, amount in zip(moves["op"], moves["kind"], moves["amount"], strict=True):
        kinds = table.setdefault(int(op), {})
        kinds[kind] = kinds.get(kind, 0) + int(amount)
    return table


def save(result: Result, folder: Path, force: bool = False) -> None:
    """Write a result folder; it appears whole or not at all. Raises UserError where it cannot be written."""
    check_free(folder, force)
    partial = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".result-", dir=folder.parent))
        for prefix, each in (("", result), ("dense_", result.dense)):
            if each is not None:
                each.ops.to_parquet(partial / f"{prefix}ops.parquet")
                each.actions.to_parquet(partial / f"{prefix}actions.parquet")
        if result.hil is not None:
            result.hil.to_parquet(partial / "hil.parquet")
        (partial / "card.json").write_text(json.dumps(result.card, indent=1) + "\n", encoding="utf-8")
        partial.chmod(0o777 & ~_umask())
        _put(partial, folder, force)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written: {error.strerror or error}") from None
    except UnicodeEncodeError:
        raise UserError(f"--out {str(folder)!a}: is not a name this system can write") from None
    finally:
        if partial and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, folder: Path, force: bool) -> None:
    """Move the whole result to its place; an older one goes only once the new one is there."""
    if not (force and folder.exists()):
        partial.rename(folder)  # fails where somebody else's result has appeared meanwhile
        return
    aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=folder.parent))
    folder.rename(aside / "old")
    try:
        partial.rename(folder)
    except OSError:
        (aside / "old").rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_free(folder: Path, force: bool) -> None:
    """Raises UserError where a result may not be written: a folder in use, or anything that is not a result."""
    if folder.is_symlink():
        raise UserError(f"--out {folder}: is a link; name the folder itself")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"--out {folder}: is a file; a result is a folder")
    if not force:
        raise UserError(f"--out {folder}: is there already; choose another folder or add --force")
    others = {path.name for path in folder.iterdir()} - FILES
    if others:
        raise UserError(f"--out {folder}: holds '{min(others)}', which is no part of a result; it is left alone")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(folder: Path) -> Result:
    """Read a result folder. Raises UserError where it is none."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        dense = None
        if (folder / "dense_ops.parquet").exists():
            dense = _frames(folder, "dense_", {**card, "method": "dense", "pattern": "dense"}, None)
        tiles = folder / "hil.parquet"
        return replace(_frames(folder, "", card, dense), hil=pd.read_parquet(tiles) if tiles.exists() else None)
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such result folder") from None
        raise UserError(f"{folder}: is not a whole result: it has no {Path(error.filename).name}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: is not a whole result: {error}") from None


def _frames(folder: Path, prefix: str, card: Mapping[str, Any], dense: Result | None) -> Result:
    ops, actions = (pd.read_parquet(folder / f"{prefix}{name}.parquet") for name in ("ops", "actions"))
    later = [column for column in STALLS if column not in ops]
    return Result(ops.assign(**dict.fromkeys(later, 0)), actions, card, dense)  # causes that were added since
