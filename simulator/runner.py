"""The one road from a job to a result, for every kind of machine, whoever asks."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os.path import realpath

from simulator.arch.machine import Machine, Spec, machine_reader
from simulator.card import Cost, card_of
from simulator.compiler import Compiler, load_compiler, options_of
from simulator.energy import energy_card, priced
from simulator.job import Job
from simulator.program import Program
from simulator.result import ACTION_COLUMNS, OP_COLUMNS, Columns, Result
from simulator.rows import Row, Show, actions_of, causes_of, op_rows, silent
from simulator.runs import Runs, without_gc
from simulator.schedule import Schedule
from workloads.errors import UserError
from workloads.named import check_method, check_work, dense_of, load_workload, with_method
from workloads.pattern import PatternMap, parse_patterns
from workloads.registry import COMPILERS, MACHINES, METHODS, MODELS, entry_of, owner_of
from workloads.workload import Workload

TOO_LARGE = "some cycles or bytes do not fit 64 bits; take a smaller step or other --set values"


@dataclass(frozen=True)
class Prepared:
    """A job with everything it names at hand and looked at: what is left is to compile and to run.

    workload: as asked, under its method. dense: the same step dense, None where that is not wanted.
    """

    job: Job
    machine: Machine
    compiler: Compiler[Spec, object]
    options: object
    workload: Workload
    dense: Workload | None


def run_job(job: Job, runs: Runs | None = None, show: Show = silent, command: Sequence[str] = ()) -> Result:
    """Carry a job out: the result asked for, and the best dense schedule beside it.

    runs: what earlier jobs found out, to be shared. show: called after every op. command: as the card will
    quote it; by default the command line that asks the same.
    Raises UserError for anything the user got wrong.

    >>> from simulator import simulate
    >>> job = simulate("sat", "2:8", "resnet9", batch=8).card.job
    >>> run_job(replace(job, patterns=("2:4",))).card.pattern
    '2:4'
    """
    return carry_out(prepare(job), runs, show, command)


def prepare(job: Job) -> Prepared:
    """Load what a job names. Raises UserError for an unknown name, and for work that the machine cannot take.

    Names come first: a wrong one is answered before a file is read. A matrix is made last, since that may take long.
    """
    patterns = parse_patterns(list(job.patterns)) if job.patterns is not None else None
    if not job.machine.content and not job.machine.is_file:
        entry_of(MACHINES, "machine", job.machine.name)
    check_method(job.method, patterns)
    check_work(job.work)
    if job.work.matrices and patterns is not None:
        raise UserError("--pattern: a product of matrices is no training step; leave it out")
    if not job.work.matrices:
        workload, dense = _as_asked(load_workload(job.work), job, patterns)
        job = replace(job, work=job.work.pinned())
    machine = machine_reader(job.machine.name, job.machine.content)(job.settings)
    compiler = load_compiler(machine.kind)
    check_takes(job, machine, compiler)
    options = options_of(compiler, machine, dict(job.options))
    if job.work.matrices:
        workload, dense = load_workload(job.work), None
        job = replace(job, work=job.work.pinned())
    return checked(Prepared(pinned(job, machine), machine, compiler, options, workload, dense))


def _as_asked(workload: Workload, job: Job, patterns: PatternMap | None) -> tuple[Workload, Workload | None]:
    """A step under the job's method, and the same step dense where that is wanted."""
    return with_method(workload, job.method, patterns), dense_of(workload) if job.dense else None


def checked(asked: Prepared) -> Prepared:
    """What was prepared, as it is. Raises UserError for work that the machine cannot take."""
    asked.compiler.check(asked.workload, asked.machine.spec, asked.options)
    asked.compiler.check_size(asked.workload, asked.options, asked.job.work.limits)
    return asked


def check_takes(job: Job, machine: Machine, compiler: Compiler[Spec, object]) -> None:
    """Raises UserError for work, or a way of reading it, that a whole kind of machine does not have."""
    if job.work.matrices and not compiler.multiplies_matrices:
        raise UserError(
            f"--matrix: machine '{machine.name}' multiplies the layers of a step by dataflows; sparse matrices and "
            f"kernels are for fabrics, such as --arch piuma"
        )
    if job.exact and not compiler.reads_exactly:
        raise UserError(f"--exact: machine '{machine.name}' knows no other way; leave it out")


def pinned(job: Job, machine: Machine) -> Job:
    """The job with the full path and the digest of its machine. Raises UserError for a file that has changed."""
    source, digest = job.machine, machine.sheet.digest
    if source.digest and source.digest != digest:
        raise UserError(f"{source.name}: has changed since this was run")
    name = realpath(source.name) if source.is_file else source.name
    return replace(job, machine=replace(source, name=name, digest=digest))


def carry_out(asked: Prepared, runs: Runs | None = None, show: Show = silent, command: Sequence[str] = ()) -> Result:
    """Compile and run what was prepared. Raises UserError where no schedule fits the machine, or counts 64 bits."""
    try:
        return _carried_out(asked, runs or Runs(), show, tuple(command) or asked.job.command_line())
    except OverflowError:
        raise UserError(TOO_LARGE) from None


def _carried_out(asked: Prepared, runs: Runs, show: Show, command: tuple[str, ...]) -> Result:
    started, used = time.perf_counter(), time.process_time()
    before = runs.steps
    with without_gc():
        dense = compiled(asked, asked.dense, runs) if asked.dense else None
        alike = asked.dense is not None and asked.dense.ops == asked.workload.ops
        sparse = dense if dense is not None and alike else compiled(asked, asked.workload, runs)
    if asked.job.exact:
        schedules = {id(each): each for each in (dense, sparse) if each is not None}.values()
        asked.job.work.limits.check("commands", sum(map(_commands, schedules)), "--exact: the step")
    final = Runs(exact=True) if asked.job.exact else runs
    beside = _result(asked, asked.dense, dense, final, show, command) if asked.dense and dense is not None else None
    found = _result(asked, asked.workload, sparse, final, show, command)
    cost = Cost(
        simulation_seconds=time.perf_counter() - started,
        simulation_cpu_seconds=time.process_time() - used,
        commands_evaluated=runs.steps - before + (0 if final is runs else final.steps),
    )
    causes = {**(beside.card.causes if beside else {}), **found.card.causes}  # one card on disk speaks for both
    return replace(found, card=replace(found.card, cost=cost, causes=causes), dense=beside, schedule=sparse)


def compiled(asked: Prepared, workload: Workload, runs: Runs) -> Schedule:
    """The schedule of a workload on the job's machine. Raises UserError where none fits."""
    return asked.compiler.compile(workload, asked.machine.spec, asked.options, runs)


def _commands(schedule: Schedule) -> int:
    """Commands that are carried out one by one when a schedule is read exactly."""
    programs = (each for op in schedule for each in op.programs if isinstance(each, Program))
    return sum(count for program in programs for _, count in program.commands())


def _result(
    asked: Prepared, workload: Workload, schedule: Schedule, runs: Runs, show: Show, command: tuple[str, ...]
) -> Result:
    machine = asked.machine
    rows, actions = op_rows(schedule, runs, show), actions_of(schedule, runs)
    card = card_of(machine, workload, asked.job, command)
    card = replace(
        card,
        causes={str(cause): cause.words for cause in causes_of(schedule, runs)},
        outside=_outside(asked, schedule),
        energy=energy_card(machine.energy),
        more=asked.compiler.card(schedule, machine.spec, asked.options, runs),
    )
    prices = priced(rows, actions, machine.energy, card.clock_mhz)
    return Result(_columns(rows, OP_COLUMNS), _columns(prices, ACTION_COLUMNS), card)


def _columns(rows: Sequence[Row], without_rows: Iterable[str]) -> Columns:
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else without_rows)}


def _outside(asked: Prepared, schedule: Schedule) -> dict[str, str]:
    """The parts that other distributions brought, with the distribution and its version."""
    parts = [
        (MACHINES, asked.machine.name),
        (COMPILERS, asked.machine.kind),
        (METHODS, asked.workload.method),
        (MODELS, asked.job.work.model or ""),
        *((group, name) for name, group in asked.compiler.parts(schedule, asked.options).items()),
    ]
    owners = {f"{group.rpartition('.')[2].removesuffix('s')} {name}": owner_of(group, name) for group, name in parts}
    return {part: owner for part, owner in owners.items() if owner}
