"""`--hil`: sampled tiles of a step that was simulated, on the RTL or on a board."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from rtl.array import fingerprint
from rtl.formats import FloatFormat
from rtl.hardware import Hardware, LinkFigures
from rtl.in_process import InProcess
from rtl.lanes import STATE, Lanes
from rtl.link.remote import Board
from rtl.link.virtual import started
from rtl.parameters import Parameters
from simulator.hil.array import array_for, buildable, check_board
from simulator.hil.core import CoreMachine, Values, run_products, through_core
from simulator.hil.journal import Journal
from simulator.hil.lanes import LaneOutcome, lanes_checked, optimizer_lane
from simulator.hil.operands import read_donors
from simulator.hil.outcome import CONFIRMED, DIFFERS, UNCONFIRMED, Outcome
from simulator.hil.running import Progress, run_tiles, summary_of, table_of
from simulator.hil.strata import Stratum, drawn, strata_of
from simulator.job import Job
from simulator.result import Result
from simulator.runner import Prepared
from simulator.schedule import ScheduledOp
from workloads.errors import UserError, unknown_name
from workloads.op import VectorOp
from workloads.progress import counted, steps_shown
from workloads.samples import update_settings

SIM, LINK, CORE = "sim", "link", "core"
DIFFERENT = 1  # exit code when hardware disagrees, or did not answer


@dataclass(frozen=True)
class Looped:
    """A result with what hardware said of it, and the journal of finished tiles; products have none."""

    result: Result
    outcomes: Sequence[Outcome]
    lanes: Sequence[LaneOutcome]
    journal: Path | None

    def forget(self) -> None:
        """The result is written; only where tiles are not confirmed the journal stays, for another try."""
        if self.journal is not None and not _count(self.outcomes, UNCONFIRMED):
            self.journal.unlink(missing_ok=True)

    @property
    def verdict(self) -> int:
        """The exit code of a run."""
        statuses = {*(each.status for each in self.outcomes), *(each.status for each in self.lanes)}
        return DIFFERENT if statuses - {CONFIRMED} else 0


def check_possible(asked: Prepared, target: str) -> None:
    """Raises UserError for hardware that there is not, and where no tile of the work could ever run on any.

    Both are said before anything is simulated.
    """
    if target not in (SIM, LINK) and target.isalpha() and not Path(target).exists():
        # ports and URLs have other letters, too
        raise unknown_name("hardware", target, (SIM, LINK, CORE, "a serial port", "a URL of pyserial's"), "--hil")
    buildable(asked.machine)
    if asked.workload.tensors is None:
        raise UserError(
            "--hil: tiles need real tensors, which --model and recorded workloads have, and this work has not"
        )


def with_hardware(asked: Prepared, result: Result, target: str, draw: tuple[int, int], beside: Path) -> Looped:
    """The result with a `hil` table and its summary on the card; the journal is a file in `beside`.

    target: "sim" (the array alone), "link" (a virtual board), a port or a URL. draw: how many tiles, and the seed. The
    same run begun again goes on from the journal.

    Raises UserError where no hardware can be had, or the step has nothing for it.
    """
    tensors, digest = asked.workload.tensors, asked.workload.samples
    assert tensors is not None  # checked: `check_possible`
    strata = strata_of(result.schedule)
    if not strata:
        raise UserError("--hil: this step multiplies nothing, so the array has nothing to run")
    p = array_for(buildable(asked.machine), strata)
    draws = drawn(strata, *draw)
    donors = read_donors(tensors, [stratum.op.layer for stratum in strata], digest)
    settings = update_settings(tensors, digest)
    with ExitStack() as stack:
        hardware, lanes = stack.enter_context(_opened(target, p, optimizer_lane(settings)))
        p = hardware.parameters
        path = beside / f".hil-{key(asked.job, target, draw, p, strata)}.jsonl"
        journal = stack.enter_context(Journal(path))
        resumed = sum(each.number in journal.found for each in draws)
        with counted("hil: tile") as show:
            outcomes = run_tiles(draws, donors, hardware, journal, lambda now: show(now.done, len(draws), said(now)))
        with steps_shown() as tell:
            tell("hil: masks and updates of the sampled blocks")
            blocks = lanes_checked(donors, settings, strata, hardware, lanes)
        link = hardware.figures()
    summary = {
        "hardware": target,
        "array": p.title,
        "parameters": asdict(p),
        "seed": draw[1],
        "resumed_tiles": resumed,
        **summary_of(strata, outcomes),
        "lanes": [asdict(each) for each in blocks],
        "link": asdict(link),
    }
    found = replace(result, card=replace(result.card, hil=summary), hil_columns=table_of(outcomes))
    return Looped(found, outcomes, blocks, path)


def check_core(asked: Prepared) -> None:
    """Raises UserError where a machine is no core: said before anything is simulated."""
    CoreMachine(asked.machine.spec).layout  # noqa: B018  # refuses another machine


def with_core(asked: Prepared, result: Result, ops: str | None) -> Looped:
    """The result with a `hil` table, a row a product that went through the core, and its summary on the card.

    ops: a glob of layers, or of LAYER/PHASE. Operands are drawn where the work has no tensors.
    Raises UserError where no product has such a name.
    """
    tensors, digest = asked.workload.tensors, asked.workload.samples
    strata = strata_of(result.schedule)
    if not strata:
        raise UserError("--hil: this step multiplies nothing, so the core has nothing to do")
    machine = CoreMachine(asked.machine.spec, optimizer_of(result.schedule))
    products = through_core(result.schedule, strata, ops)
    donors = read_donors(tensors, [stratum.op.layer for stratum in strata], digest) if tensors else None
    p = machine.layout.shape.array
    with steps_shown() as tell:
        tell(f"the core, {p.title}: compiled unless it is in the cache")
        machine.hardware  # noqa: B018
    with counted("hil: product") as show:
        outcomes, waits = run_products(
            machine,
            products,
            Values(donors, asked.workload.orders),
            lambda done: show(len(done), len(products), f"{_count(done, CONFIRMED)} agree"),
        )
    summary = {
        "hardware": CORE,
        "array": p.title,
        "parameters": asdict(p),
        "seed": 0,
        "resumed_tiles": 0,
        **summary_of(strata, outcomes),
        "lanes": [],
        "link": asdict(LinkFigures()),
        "waits": [
            {"layer": each.layer, "phase": each.phase, "buffers": {name: list(both) for name, both in waited.items()}}
            for each, waited in zip(outcomes, waits, strict=True)
        ],
    }
    found = replace(result, card=replace(result.card, hil=summary), hil_columns=table_of(outcomes))
    return Looped(found, outcomes, [], None)


def optimizer_of(schedule: Sequence[ScheduledOp]) -> str:
    """The optimizer of a step whose updates the core could do; '' where there is none."""
    named = (each.op.optimizer for each in schedule if isinstance(each.op, VectorOp) and each.op.optimizer)
    return next((each.value for each in named if each.value in STATE), "")


def key(job: Job, target: str, draw: tuple[int, int], p: Parameters, strata: Sequence[Stratum]) -> str:
    """A name for this very run: what is simulated, which tiles, on which array as it stands, on the RTL or on a board.

    Tiles that other hardware confirmed are none of this run's.
    """
    where = target if target in (SIM, LINK) else "board"
    told = repr((draw, p, fingerprint(p), where, [(stratum.key, stratum.part) for stratum in strata]))
    return job.key(sha256(told.encode()).hexdigest())[:16]


@contextmanager
def _opened(target: str, p: Parameters, optimizer: str) -> Iterator[tuple[Hardware, Lanes]]:
    """The hardware with its lanes, compiled first where it is the RTL.

    Raises UserError where nothing suitable answers.
    """
    lanes = Lanes(True, optimizer) if isinstance(p.operand, FloatFormat) else Lanes()
    with ExitStack() as stack:
        if target not in (SIM, LINK):
            board = stack.enter_context(Board(None, target))
            check_board(board.parameters, p, target)
            yield board, board.gateware.lanes
            return
        with steps_shown() as show:
            show(f"the array in the loop, {p.title}: compiled unless it is in the cache")
            hardware: Hardware = (
                InProcess(p) if target == SIM else Board(p, stack.enter_context(started(p, lanes=lanes)))
            )
        yield stack.enter_context(hardware), lanes


def said(now: Progress) -> str:
    """Agreement and rates in a line."""
    agree, differ = (_count(now.outcomes, status) for status in (CONFIRMED, DIFFERS))
    silent = _count(now.outcomes, UNCONFIRMED)
    parts = [f"{agree} agree, {differ} differ", *([f"{silent} without an answer"] if silent else [])]
    if now.bytes_moved:
        parts.append(f"{now.bytes_moved / max(now.seconds, 1e-3) / 1e3:,.0f} kB/s")
    return ", ".join(parts)


def _count(outcomes: Sequence[Outcome], status: str) -> int:
    return sum(each.status == status for each in outcomes)
