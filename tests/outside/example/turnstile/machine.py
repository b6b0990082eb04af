"""A kind of machine of its own: each op pays a coin, then its kept multiply-accumulates pass the gates."""

from collections.abc import Mapping
from dataclasses import dataclass as plain
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from simulator.arch.machine import MachineSheet
from simulator.compiler import Compiler
from simulator.program import Action, Buffer, Command, Program, Stall
from simulator.runs import Runs
from simulator.schedule import Schedule, ScheduledOp
from workloads.errors import UserError
from workloads.op import MatrixOp, Op
from workloads.workload import Workload

COIN = Stall("coin", "looking for a coin")
Whole = Annotated[int, Field(strict=True, ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Hall:
    """A hall: `gates` let one multiply-accumulate through a cycle, an op pays for `coin_cycles`."""

    machine: Literal["turnstile"]
    title: str
    clock_mhz: Annotated[float, Field(gt=0)]
    gates: Whole
    coin_cycles: Whole
    hypothetical: tuple[str, ...] = ()

    def peaks(self) -> Mapping[str, float]:
        return {"macs_per_cycle": self.gates}


@plain(frozen=True)
class HallOptions:
    """discount: the share of the coin that is not paid."""

    discount: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "discount", float(self.discount))
        if not 0 <= self.discount < 1:
            raise UserError(f"discount {self.discount}: must be at least 0 and below 1")


class HallCompiler(Compiler[Hall, HallOptions]):
    """One program an op."""

    Options = HallOptions
    engines: ClassVar[Mapping[str, str]] = {"gates": "compute"}

    def check(self, workload: Workload, spec: Hall, options: HallOptions) -> None:
        """Any step will do."""

    def compile(self, workload: Workload, spec: Hall, options: HallOptions, runs: Runs) -> Schedule:
        return tuple(_scheduled(op, spec, round(spec.coin_cycles * (1 - options.discount))) for op in workload.ops)


def _scheduled(op: Op, spec: Hall, coin: int) -> ScheduledOp:
    if not isinstance(op, MatrixOp):
        return ScheduledOp(op, (), "gates", "walks past")
    kept = op.macs * op.right.pattern.kept(op.inner // op.segments) * op.segments // op.inner
    pay = Command("purse", coin, COIN, fills=("coin",))
    pass_ = Command(
        "gates", -(-kept // spec.gates), Stall.ARRAY, ("coin",), ("coin",), actions=(Action("mac", "", kept),)
    )
    program = Program("gates", (Buffer("coin", 1),), (pay, pass_))
    return ScheduledOp(op, (program,), "gates", f"coin={coin}", kept, op.macs - kept, spec.gates)


TURNSTILE = MachineSheet("turnstile", Path(__file__).with_name("machine.yaml"), Hall, ("queues in front of the gates",))
COMPILER = HallCompiler()
