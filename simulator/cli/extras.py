"""What a run can write beside its result: a timeline, and DRAM addresses."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from simulator.cli.job import Job

TimelineOption = Annotated[
    Path | None, typer.Option("--timeline", help="Also write a Perfetto trace there, sampled where rounds repeat.")
]
DramTraceOption = Annotated[
    Path | None,
    typer.Option(
        "--dram-trace", help="Also write an op's DRAM addresses there, for Ramulator 2 and DRAMsim3; sampled."
    ),
]
DramOpOption = Annotated[
    str | None, typer.Option("--dram-op", help="LAYER/PHASE of --dram-trace. [default: the op that moves most]")
]


@dataclass(frozen=True)
class Extras:
    """The files asked for."""

    timeline: Path | None
    dram_trace: Path | None
    dram_op: str | None

    def check(self, force: bool) -> None:
        """Raises UserError before anything runs where a file could not be written afterwards."""
        from workloads.errors import UserError

        if self.dram_op is not None and self.dram_trace is None:
            raise UserError("--dram-op: says whose addresses --dram-trace writes; give that too")
        for option, path in (("--timeline", self.timeline), ("--dram-trace", self.dram_trace)):
            if path is None:
                continue
            if not path.absolute().parent.is_dir():
                raise UserError(f"{option} {path}: there is no folder '{path.parent}'")
            if path.exists() and not force:
                raise UserError(f"{option} {path}: is there already; choose another name or add --force")
        if self.timeline is not None and self.timeline.is_dir():
            raise UserError(f"--timeline {self.timeline}: is a folder; a trace is a file")
        if self.dram_trace is not None and self.dram_trace.is_file():
            raise UserError(f"--dram-trace {self.dram_trace}: is a file; the traces are a folder")

    def write(self, job: "Job") -> list[str]:
        """Write the files; says what is in them. Raises UserError where that cannot be."""
        said = []
        if self.timeline is not None:
            said.append(_timeline(job, self.timeline))
        if self.dram_trace is not None:
            said.append(_dram_trace(job, self.dram_op or "", self.dram_trace))
        return said


def _timeline(job: "Job", path: Path) -> str:
    from reports.timeline import write_timeline
    from workloads.errors import UserError

    try:
        shown = write_timeline(job.schedule, job.sparse, path)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("perfetto", "google"):
            raise
        raise UserError(
            "--timeline needs the package 'perfetto', which is missing: pip install 'sparsehil[report]'"
        ) from None
    how = "averages over equal parts" if "fabric" in job.sparse.card else "repeating rounds sampled"
    return f"timeline: {path} ({shown.slices:,} slices, {how}; open it in https://ui.perfetto.dev)"


def _dram_trace(job: "Job", op: str, folder: Path) -> str:
    from reports.dram_trace import write_dram_trace
    from workloads.errors import UserError

    numbers = job.sparse.card["numbers"]
    burst, channel = (numbers.get(f"dram.{name}") for name in ("burst_bytes", "channel_bandwidth_gb_s"))
    if not burst or not channel or not job.schedule:
        raise UserError(
            f"--dram-trace {folder}: {job.sparse.card['arch']} has no DRAM channel whose addresses are known"
        )
    done = write_dram_trace(job.schedule, job.sparse, int(burst["value"]), float(channel["value"]), op, folder)
    return f"DRAM trace of {done.op}: {folder} ({done.written:,} of its {done.total:,} requests, sampled)"
