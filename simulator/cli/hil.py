"""`--hil`: sampled tiles of the step on the RTL or on a board, held against the models."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dataflows.hil.running import Progress
    from dataflows.hil.strata import Stratum
    from rtl.hardware import Hardware
    from rtl.lanes import Lanes
    from rtl.parameters import Parameters
    from simulator.cli.choices import Choices
    from simulator.cli.job import Job

SIM = "sim"
DIFFERENT = 1  # exit code when hardware disagrees, or did not answer
HilOption = Annotated[
    str | None,
    typer.Option("--hil", help="Run sampled tiles on hardware too: sim (compiled RTL), a port, or a pyserial URL."),
]
TilesOption = Annotated[int | None, typer.Option("--hil-tiles", help="How many tiles. [default: 64]")]
SeedOption = Annotated[int | None, typer.Option("--hil-seed", help="Which tiles. [default: 1]")]


@dataclass(frozen=True)
class HilChoices:
    """What the command line says of hardware in the loop. Raises UserError for options that would do nothing."""

    target: str | None
    tiles: int | None
    seed: int | None

    def __post_init__(self) -> None:
        from workloads.errors import UserError

        for option, value, least in (("--hil-tiles", self.tiles, 1), ("--hil-seed", self.seed, 0)):
            if value is None:
                continue
            if self.target is None:
                raise UserError(f"{option}: says what --hil does; give that too")
            if value < least:
                raise UserError(f"{option} {value}: must be at least {least}")

    @property
    def draw(self) -> tuple[int, int]:
        """Tiles and seed."""
        return 64 if self.tiles is None else self.tiles, 1 if self.seed is None else self.seed


def check_possible(choices: "Choices") -> None:
    """Raises UserError where no tile of the work could ever run on hardware: said before anything is simulated."""
    from dataflows.hil.array import check_buildable
    from simulator.cli.choices import refuse_fabric_options
    from simulator.cli.verilog import needs_amaranth
    from simulator.cli.work import load_workload
    from simulator.machine import load_arch
    from workloads.errors import UserError

    check_buildable(choices.arch, load_arch(choices.arch, choices.settings).spec)
    refuse_fabric_options(choices)
    if load_workload(choices).tensors is None:
        raise UserError(
            "--hil: tiles need real tensors, which --model and recorded workloads have, and this work has not"
        )
    needs_amaranth()


def with_hardware(job: "Job", choices: "Choices", hil: HilChoices, beside: Path) -> tuple["Job", Path]:
    """The job with a `hil` table and its summary on the card, and the journal of finished tiles, a file in `beside`.

    The same run begun again goes on from that file, which `forget` takes away. Raises UserError where no hardware can
    be had, or the step has nothing for it.
    """
    from dataflows.hil.array import array_for
    from dataflows.hil.journal import Journal
    from dataflows.hil.lanes import lanes_checked, optimizer_lane
    from dataflows.hil.operands import read_donors
    from dataflows.hil.running import run_tiles, summary_of, table_of
    from dataflows.hil.strata import drawn, strata_of
    from simulator.cli.progress import counted, steps_shown
    from simulator.cli.work import load_workload
    from simulator.machine import load_arch
    from workloads.errors import UserError
    from workloads.samples import update_settings

    tensors = load_workload(choices).tensors
    assert hil.target is not None and tensors is not None
    strata = strata_of(job.schedule)
    if not strata:
        raise UserError("--hil: this step multiplies nothing, so the array has nothing to run")
    p = array_for(load_arch(choices.arch, choices.settings).spec, strata)
    draws = drawn(strata, *hil.draw)
    donors = read_donors(tensors, [stratum.op.layer for stratum in strata])
    settings = update_settings(tensors)
    with ExitStack() as stack:
        hardware, lanes = stack.enter_context(_opened(hil.target, p, optimizer_lane(settings)))
        p = hardware.parameters
        path = beside / f".hil-{_key(choices, hil, p, strata)}.jsonl"
        journal = stack.enter_context(Journal(path))
        resumed = sum(draw.number in journal.found for draw in draws)
        with counted("hil: tile") as show:
            outcomes = run_tiles(draws, donors, hardware, journal, lambda now: show(now.done, len(draws), said(now)))
        with steps_shown() as tell:
            tell("hil: masks and updates of the sampled blocks")
            blocks = lanes_checked(donors, settings, strata, hardware, lanes)
        link = asdict(hardware.figures())
    card = {
        "hardware": hil.target,
        "array": p.title,
        "parameters": asdict(p),
        "seed": hil.draw[1],
        "resumed_tiles": resumed,
        **summary_of(strata, outcomes),
        "lanes": [asdict(each) for each in blocks],
        "link": link,
    }
    sparse = replace(job.sparse, hil=table_of(outcomes), card={**job.sparse.card, "hil": card})
    return replace(job, sparse=sparse), path


def _key(choices: "Choices", hil: HilChoices, p: "Parameters", strata: "Sequence[Stratum]") -> str:
    """A name for this very run: what is simulated, which tiles, on which array as it stands, on the RTL or on a board.

    Tiles that other hardware confirmed are none of this run's.
    """
    from rtl.verilog import fingerprint

    where = SIM if hil.target == SIM else "board"
    told = repr((choices, hil.draw, p, fingerprint(p), where, [(stratum.key, stratum.part) for stratum in strata]))
    return sha256(told.encode()).hexdigest()[:16]


@contextmanager
def _opened(target: str, p: "Parameters", optimizer: str) -> "Iterator[tuple[Hardware, Lanes]]":
    """The hardware with its lanes, compiled first where it is the RTL.

    Raises UserError where nothing suitable answers.
    """
    from dataflows.hil.array import check_board
    from rtl.formats import FloatFormat
    from rtl.lanes import Lanes
    from rtl.link.remote import Board
    from rtl.link.virtual import started
    from simulator.cli.progress import steps_shown

    with ExitStack() as stack:
        if target == SIM:
            lanes = Lanes(True, optimizer) if isinstance(p.operand, FloatFormat) else Lanes()
            with steps_shown() as show:
                show(f"a virtual board with the array in the loop, {p.title}: compiled unless it is in the cache")
                url = stack.enter_context(started(p, lanes=lanes))
            board = stack.enter_context(Board(p, url))
        else:
            board = stack.enter_context(Board(None, target))
            check_board(board.parameters, p, target)
        yield board, board.gateware.lanes


def said(now: "Progress") -> str:
    """Agreement and rates in a line."""
    from dataflows.hil.outcome import CONFIRMED, DIFFERS

    agree, differ = (sum(each.status == status for each in now.outcomes) for status in (CONFIRMED, DIFFERS))
    silent = len(now.outcomes) - agree - differ
    parts = [f"{agree} agree, {differ} differ", *([f"{silent} without an answer"] if silent else [])]
    if now.bytes_moved:
        parts.append(f"{now.bytes_moved / max(now.seconds, 1e-3) / 1e3:,.0f} kB/s")
    return ", ".join(parts)


def forget(journal: Path, hil: Mapping[str, Any]) -> None:
    """The result is written; only where tiles are not confirmed the journal stays, for another try."""
    if not hil["unconfirmed_tiles"]:
        journal.unlink(missing_ok=True)


def verdict(hil: Mapping[str, Any]) -> int:
    """The exit code of a run."""
    lanes = any(each["status"] != "confirmed" for each in hil["lanes"])
    return DIFFERENT if hil["differing_tiles"] or hil["unconfirmed_tiles"] or lanes else 0
