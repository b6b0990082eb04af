"""The edges of an array in their places around its mesh, and what each one is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from amaranth import Module, Signal, Value
from amaranth.lib.stream import Interface

from rtl.column_edge import COLUMN_SIDE, ColumnEdge
from rtl.control import Op
from rtl.counting import later
from rtl.mesh import ClosedMesh, Mesh
from rtl.parameters import Parameters
from rtl.placing import Place
from rtl.row_edge import Clockwork, RowEdge, row_side


class RowEdges(NamedTuple):
    """side: what the first row is told. last: the last row's sums are about to leave. enough: whether each row has what
    the next run takes."""

    side: Value
    shift: Value
    last: Value
    enough: list[Value]


class ColumnEdges(NamedTuple):
    """leaves: whether each column's sums are leaving. enough: whether each has what the next run takes."""

    leaves: list[Value]
    enough: list[Value]


@dataclass(frozen=True)
class Edges:
    """Where edges go: `m`, with `place` as array and `mesh` want it. clear: nothing goes on."""

    m: Module
    p: Parameters
    place: Place
    mesh: Mesh | ClosedMesh
    clear: Value

    def rows(self, west: Sequence[Interface], told: Value, fetch: Value, wanted: Value) -> RowEdges:
        """The rows, fed by streams of words. told, fetch: the first one's orders. wanted: words the next run takes."""
        m, p, clear = self.m, self.p, self.clear
        m.submodules.clockwork = works = Clockwork(p)
        m.submodules.fetch_clockwork = fetches = Clockwork(p)
        op = told.token.control.op
        side, shift, slot = Signal(row_side(p)), Signal(), Signal(p.slot_bits)
        m.d.comb += [works.skew.eq(told.skew), fetches.skew.eq(fetch.skew)]
        m.d.comb += [works.clear.eq(clear), fetches.clear.eq(clear)]
        m.d.sync += [
            side.token.eq(told.token),
            side.when.eq(works.when),
            side.fetch.eq(fetch.fetch),
            side.fetch_when.eq(fetches.when),
            side.store.valid.eq(op == Op.STORE),
            side.store.row.eq(told.row),
            side.store.slot.eq(told.token.control.slot),
            side.clear.eq(clear),
            shift.eq(op == Op.SHIFT),
            slot.eq(told.token.control.slot),
        ]
        with m.If((op == Op.STORE) | (op == Op.SHIFT)):
            m.d.sync += side.token.eq(0)
        above: Value = side
        row_enough = list[Value]()
        for number in range(p.rows):
            last = above.token.last
            below, enough = Signal(row_side(p), name=f"below_{number}"), Signal(name=f"row_enough_{number}")
            words = west[number]
            given = {"above": above, "wanted": wanted, "shift": shift, "slot": slot}
            ready = Signal(name=f"row_ready_{number}")
            given |= {"words__valid": words.valid & ~clear, "words__payload": words.payload}
            made = {"below": below, "enough": enough, "words__ready": ready}
            m.d.comb += words.ready.eq(ready & ~clear)
            made |= {"group": self.mesh.groups[number], "control": self.mesh.controls[number]}
            self.place(m, f"row_{number}", RowEdge, p, given, made)
            row_enough.append(enough)
            above = below
        return RowEdges(side, shift, last, row_enough)

    def columns(
        self,
        north: Sequence[Interface],
        seeds_in: Sequence[Interface],
        results_out: Sequence[Interface],
        told: Value,
        rows: RowEdges,
        wanted: Value,
    ) -> ColumnEdges:
        """The columns, the first one told in step with the first row. wanted: what the next run takes and gives."""
        m, p, clear, shift, last = self.m, self.p, self.clear, rows.shift, rows.last
        before = Signal(COLUMN_SIDE, name="column_side")
        take, seed = Signal(), Signal()
        m.d.sync += [take.eq(told.take), seed.eq(told.seed)]
        seeds = later(m, later(m, seed & shift, 1, "seed_shift") | (seed & ~shift), p.input_latency - 1, "seed")
        added = later(m, last, p.adder_latency, "added")
        m.d.comb += [
            before.take.eq(take),
            before.seed.eq(seeds),
            before.comes.eq(later(m, added | (shift & ~seed), p.input_latency + 2, "comes")),
            before.clear.eq(rows.side.clear),
        ]
        column_enough, leaves = list[Value](), list[Value]()
        for number in range(p.cols):
            weights, sums, results = north[number], seeds_in[number], results_out[number]
            after = Signal(COLUMN_SIDE, name=f"column_side_{number}")
            enough = Signal(name=f"column_enough_{number}")
            given = {"before": before, "wanted": wanted, "total": self.mesh.totals[number]}
            names = ("weights_ready", "seeds_ready", "results_valid")
            taken, seeded, there = (Signal(name=f"{name}_{number}") for name in names)
            # an edge hears of `clear` in its turn, whoever is connected to it at once
            given |= {"weights__valid": weights.valid & ~clear, "weights__payload": weights.payload}
            given |= {"seeds__valid": sums.valid & ~clear, "seeds__payload": sums.payload}
            given |= {"results__ready": results.ready & ~clear}
            made = {"after": after, "enough": enough, "weights__ready": taken, "seeds__ready": seeded}
            made |= {"results__valid": there, "results__payload": results.payload}
            m.d.comb += [
                weights.ready.eq(taken & ~clear),
                sums.ready.eq(seeded & ~clear),
                results.valid.eq(there & ~clear),
            ]
            made |= {"weight": self.mesh.weights[number], "seed": self.mesh.seeds[number]}
            self.place(m, f"column_{number}", ColumnEdge, p, given, made)
            column_enough.append(enough)
            leaves.append(before.comes)
            before = after
        return ColumnEdges(leaves, column_enough)
