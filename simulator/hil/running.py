"""Tiles of a schedule through hardware, one chain after the other."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rtl.hardware import Hardware, Unconfirmed
from simulator.hil.chains import chain_of
from simulator.hil.journal import Journal
from simulator.hil.operands import Donors
from simulator.hil.outcome import COLUMNS, CONFIRMED, DIFFERS, UNCONFIRMED, Outcome, compared, unconfirmed
from simulator.hil.strata import Draw, Stratum
from simulator.result import Columns

CLASS = ("layer", "phase", "dataflow", "pattern")
Class = dict[str, str | int]  # those, and array_cycles, tiles, status
LOST = 3  # tiles in a row without an answer after which the hardware is given up


@dataclass(frozen=True)
class Progress:
    """Where a run is: outcomes so far, seconds since it began, and the bytes that the link has moved."""

    outcomes: Sequence[Outcome]
    seconds: float
    bytes_moved: int

    @property
    def done(self) -> int:
        return len(self.outcomes)


def run_tiles(
    draws: Sequence[Draw], donors: Donors, hardware: Hardware, journal: Journal, show: Callable[[Progress], None]
) -> list[Outcome]:
    """Every draw's outcome. Those in the journal are not run again; those without an answer are marked, not believed.

    When hardware gives no answer several times in a row the rest is marked too.
    """
    began, outcomes, silent, why = time.monotonic(), list[Outcome](), 0, ""
    for draw in draws:
        known = journal.found.get(draw.number)
        if known is None:
            chain = chain_of(draw, donors.for_layer(draw.stratum.op.layer), hardware.parameters)
            try:
                if silent >= LOST:
                    raise Unconfirmed(why)
                known, silent = compared(chain, hardware.run(chain.tiles)), 0
                journal.add(known)
            except Unconfirmed as error:
                silent, why = silent + 1, str(error)
                known = unconfirmed(chain, why)
        outcomes.append(known)
        link = hardware.figures()
        show(Progress(outcomes, time.monotonic() - began, link.sent + link.received))
    return outcomes


def table_of(outcomes: Sequence[Outcome]) -> Columns:
    """The `hil` table of a result: a row a tile."""
    return {name: [getattr(each, name) for each in outcomes] for name in COLUMNS}


def summary_of(strata: Sequence[Stratum], outcomes: Sequence[Outcome]) -> dict[str, object]:
    """What a run says in numbers: tiles by status, what was compared, `confirmed_share` and `classes_of`."""
    tiles = Counter(each.status for each in outcomes)
    total = {
        name: sum(getattr(each, name) for each in outcomes)
        for name in ("bits", "wrong_bits", "operands", "nonzero_operands", "model_cycles", "hardware_cycles")
    }
    answered = [each for each in outcomes if each.status != UNCONFIRMED]
    classes = classes_of(strata, outcomes)
    return {
        "tiles": len(outcomes),
        "confirmed_tiles": tiles[CONFIRMED],
        "differing_tiles": tiles[DIFFERS],
        "unconfirmed_tiles": tiles[UNCONFIRMED],
        "first_difference": next((_sentence(each) for each in outcomes if each.difference), ""),
        **total,
        "tiles_with_other_cycles": sum(each.hardware_cycles != each.model_cycles for each in answered),
        "own_values_tiles": sum(each.values_from == each.layer for each in outcomes),
        "confirmed_share_of_array_cycles": confirmed_share(classes),
        "classes": classes,
    }


def _sentence(outcome: Outcome) -> str:
    return f"{outcome.layer} {outcome.phase}, tile {outcome.tile}: {outcome.difference}"


def classes_of(strata: Sequence[Stratum], outcomes: Sequence[Outcome]) -> list[Class]:
    """The classes of a step: their modelled array cycles, the tiles run of each, and what these say.

    A class is confirmed when every tile run of it was; "no tile" where none was run.
    """
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for each in outcomes:
        found.setdefault((each.layer, each.phase, each.dataflow, each.pattern), []).append(each.status)
    cycles = Counter[tuple[str, str, str, str]]()
    for stratum in strata:
        cycles[stratum.key] += stratum.part.array_cycles
    return [
        {**dict(zip(CLASS, key, strict=True)), "array_cycles": amount, "tiles": len(ran), "status": _together(ran)}
        for key, amount in cycles.items()
        for ran in (found.get(key, []),)
    ]


def _together(statuses: Sequence[str]) -> str:
    return next((each for each in (DIFFERS, UNCONFIRMED, CONFIRMED) if each in statuses), "no tile")


def confirmed_share(classes: Sequence[Class]) -> dict[str, float]:
    """Shares of the modelled array cycles that belong to confirmed classes: of the step, and of each phase's own."""
    shares = {}
    for phase in ("step", *dict.fromkeys(str(each["phase"]) for each in classes)):
        mine = [each for each in classes if phase in ("step", each["phase"])]
        whole = sum(int(each["array_cycles"]) for each in mine)
        confirmed = sum(int(each["array_cycles"]) for each in mine if each["status"] == CONFIRMED)
        shares[phase] = confirmed / whole if whole else 0.0
    return shares
