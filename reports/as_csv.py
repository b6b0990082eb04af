"""A step as CSV, a row an op: what `--csv` prints. `SCHEMA.md` describes every column."""

from reports.layers import op_table
from simulator.arch.entries import STATIC
from simulator.result import Result


def show(result: Result) -> str:
    """All columns of `ops`, then dense_cycles, dram_bytes, energy_j (empty without a table) and the static part of it.

    `dense_cycles` is the same op's in the dense run, empty where that has other ops.
    """
    table, dense = op_table(result).drop(columns=["utilisation", "start_cycle"]), result.baseline.ops
    alike = len(dense) == len(table) and (dense["layer"].to_numpy() == table["layer"].to_numpy()).all()
    table["dense_cycles"] = dense["cycles"].to_numpy() if alike else None
    if "energy_j" in table:
        static = result.actions[result.actions["kind"].str.startswith(f"{STATIC}.")]
        table["static_energy_j"] = (static.groupby("op")["energy_pj"].sum() * 1e-12).reindex(
            table.index, fill_value=0.0
        )
    else:
        table = table.assign(energy_j=None, static_energy_j=None)
    table.insert(0, "op", table.index)
    return str(table.to_csv(index=False)).encode("utf-8", "replace").decode()
