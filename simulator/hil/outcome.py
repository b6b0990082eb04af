"""What hardware gave for a tile, held against the golden model and the machine model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import ClassVar

import numpy as np

from rtl.hardware import Answer
from simulator.hil.chains import Chain

CONFIRMED, DIFFERS, UNCONFIRMED = "confirmed", "differs", "not confirmed"
STATUSES = (CONFIRMED, DIFFERS, UNCONFIRMED)


@dataclass(frozen=True)
class Outcome:
    """A row of the `hil` table. `status` says if values and cycles agree, `difference` in words where they do not.

    rows, cols, inner: of the tile; step_*: of the product it is cut from. values_from: the layer whose sampled block
    its values are. bits: compared; wrong_bits: of those, different. Cycles are the array's, all pieces together:
    model_cycles by the machine model, the others by the hardware's counters.
    """

    tile: int
    op: int
    layer: str
    phase: str
    dataflow: str
    pattern: str
    values_from: str
    rows: int
    cols: int
    inner: int
    step_rows: int
    step_cols: int
    step_inner: int
    pieces: int
    operands: int
    nonzero_operands: int
    status: str
    difference: str = ""
    bits: int = 0
    wrong_bits: int = 0
    model_cycles: int = 0
    hardware_cycles: int = 0
    compute_cycles: int = 0
    fill_cycles: int = 0
    drain_cycles: int = 0
    waiting_cycles: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # read again from a journal

    def row(self) -> dict[str, object]:
        return asdict(self)


COLUMNS = tuple(each.name for each in fields(Outcome))


def unconfirmed(chain: Chain, why: str) -> Outcome:
    """Nothing that can be believed came back."""
    return replace(_place(chain), difference=why, model_cycles=chain.cycles)


def compared(chain: Chain, answers: Sequence[Answer]) -> Outcome:
    """Values bit for bit, and every piece's cycles."""
    bits = wrong = 0
    said: list[str] = []
    for number, (expected, answer) in enumerate(zip(chain.expected, answers, strict=True), 1):
        which = f"piece {number} of {len(answers)}: " if len(answers) > 1 else ""
        if expected.product is not None:
            bits += 8 * expected.product.nbytes
            differing = np.bitwise_count(expected.product ^ answer.product)
            wrong += int(differing.sum())
            said += [f"{which}{_first(expected.product, answer.product, differing)}"] if differing.any() else []
        for what, model in (("cycles", expected.cycles), ("compute", expected.compute)):
            if answer.counters[what] != model:
                said.append(
                    f"{which}{answer.counters[what]} {what} cycles, model {model}".replace("cycles cycles", "cycles")
                )
    totals = {name: sum(answer.counters[name] for answer in answers) for name in answers[0].counters}
    if totals["cycles"] != chain.cycles and not said:
        said.append(f"{totals['cycles']} cycles, machine model {chain.cycles}")
    return replace(
        _place(chain),
        status=DIFFERS if said else CONFIRMED,
        difference="; ".join(said),
        bits=bits,
        wrong_bits=wrong,
        model_cycles=chain.cycles,
        hardware_cycles=totals["cycles"],
        compute_cycles=totals["compute"],
        fill_cycles=totals["fill"],
        drain_cycles=totals["drain"],
        waiting_cycles=totals["waiting"],
    )


def _first(model: np.ndarray, hardware: np.ndarray, differing: np.ndarray) -> str:
    """The first value that differs, and how many do."""
    row, col = (int(each[0]) for each in np.nonzero(differing))
    count = int(np.count_nonzero(differing))
    more = f" (and {count - 1} more)" if count > 1 else ""
    pair = f"{int(hardware[row, col]):#010x}, model {int(model[row, col]):#010x}"
    return f"{int(differing[row, col])} wrong bits in row {row}, column {col}: {pair}{more}"


def _place(chain: Chain) -> Outcome:
    """Where the tile is cut from, before anything is known of it."""
    draw, part = chain.draw, chain.draw.stratum.part
    layer, phase, dataflow, pattern = draw.stratum.key
    return Outcome(
        tile=draw.number,
        op=draw.stratum.op_index,
        layer=layer,
        phase=phase,
        dataflow=dataflow,
        pattern=pattern,
        values_from=chain.values_from,
        rows=chain.rows,
        cols=chain.cols,
        inner=chain.reduction.segments * chain.reduction.length,
        step_rows=part.rows,
        step_cols=part.cols,
        step_inner=part.reduction.segments * part.reduction.length,
        pieces=len(chain.tiles),
        operands=chain.operands,
        nonzero_operands=chain.nonzeros,
        status=UNCONFIRMED,
    )
