"""What must hold for any card of bank-sparse chips and any step on it."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataflows.s4.jobs import kept_of
from dataflows.s4.planner import S4 as COMPILER
from simulator.kernel import run
from simulator.machines.s4 import HostSpec, S4Arch
from simulator.runs import Runs
from simulator.schedule import ScheduledOp
from tests.cards import SUPPORTED, cards, steps
from tests.executed import execute, planned
from workloads.errors import UserError
from workloads.op import MatrixOp, Role
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.workload import Workload

relaxed = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
inference, training = steps(), steps(training=True)
LARGEST = 4000  # commands an exact run may take


def on_card(step: Workload, card: S4Arch, runs: Runs | None = None) -> tuple[ScheduledOp, ...]:
    try:
        return planned(COMPILER, step, card, runs or Runs())
    except UserError as refused:
        assert "too small for this step" in str(refused) or "modelled on one chip" in str(refused)
        assume(False)
        raise


def wider(card: S4Arch, times: float) -> HostSpec:
    """The card's link, whichever it has."""
    host = card.host
    return replace(host, bandwidth_gb_s=host.bandwidth_gb_s * times, several_chips_gb_s=host.several_chips_gb_s * times)


def cycles(step: Workload, card: S4Arch) -> int:
    runs = Runs()
    return sum(runs.cycles(program) for each in on_card(step, card, runs) for program in each.programs)


@relaxed
@given(cards(), st.one_of(inference, training))
def test_every_multiply_accumulate_is_useful_or_skipped(card: S4Arch, step: Workload) -> None:
    runs = Runs()
    result = execute(on_card(step, card, runs), runs)
    assert len(result.ops) == len(step.ops) + 1  # the next step's input on its way over the host link
    for op, (_, row) in zip(step.ops, result.ops.iterrows(), strict=False):
        assert row["busy_cycles"] + row.filter(like="stall_").sum() == row["cycles"]
        if isinstance(op, MatrixOp):
            assert row["macs_useful"] + row["macs_skipped"] == op.macs
            assert row["macs_padded"] >= 0
            assert row["cycles"] * row["pes"] >= row["macs_useful"]
    counted = result.actions[result.actions["kind"] == "mac"]["amount"].sum()
    assert counted == result.ops["macs_useful"].sum()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(cards(), st.one_of(inference, training), st.data())
def test_fast_equals_exact(card: S4Arch, step: Workload, data: st.DataObject) -> None:
    programs = [program for each in on_card(step, card) for program in each.programs]
    program = data.draw(st.sampled_from(programs))
    assume(sum(count for _, count in program.commands()) <= LARGEST)
    fast, exact = run(program), run(program, exact=True)
    assert replace(fast, steps=0) == replace(exact, steps=0)


@relaxed
@given(cards(), st.one_of(inference, training))
def test_floors_of_every_engine_and_bytes(card: S4Arch, step: Workload) -> None:
    for each in on_card(step, card):
        for program in each.programs:
            timing = run(program)
            assert timing.cycles >= max(program.engine_ticks().values(), default=0)
            moved = dict.fromkeys(("dram", "noc"), 0)
            for (kind, _), amount in timing.actions.items():
                if kind.endswith((".read", ".write")) and kind.partition(".")[0] in moved:
                    moved[kind.partition(".")[0]] += amount
            rates = {"dram": card.dram_channel(), "noc": card.noc_channel()}
            for name, channel in rates.items():
                assert isinstance(channel.bytes_per_tick, Fraction)
                assert timing.cycles >= moved[name] / channel.bytes_per_tick / card.chips


@relaxed
@given(cards(), st.one_of(inference, training))
def test_a_step_is_no_shorter_than_its_inputs_way_over_the_host_link(card: S4Arch, step: Workload) -> None:
    runs = Runs()
    found = execute(on_card(step, card, runs), runs)
    sent = found.actions[found.actions["kind"] == "host.read"]["amount"].sum()
    assert found.cycles >= sent / card.host_channel().bytes_per_tick  # type: ignore[operator]
    others = found.ops["cycles"].iloc[:-1].sum()
    assert found.cycles == max(others, card.host_channel().ticks(int(sent)))


@relaxed
@given(cards(), inference)
def test_weights_come_at_least_once_unless_they_stay(card: S4Arch, step: Workload) -> None:
    for each in on_card(step, card):
        if (
            isinstance(each.op, MatrixOp)
            and each.op.right.role is Role.WEIGHT
            and "weights=resident" not in each.detail
        ):
            read = sum(
                amount
                for program in each.programs
                for (kind, tensor), amount in program.actions().items()
                if (kind, tensor) == ("dram.read", "weight")
            )
            assert read >= each.op.count * each.op.cols * kept_of(each.op)


@relaxed
@given(cards(), inference, st.sampled_from(["dram", "noc", "host", "vector", "special", "units"]))
def test_a_better_card_is_never_slower(card: S4Arch, step: Workload, what: str) -> None:
    better = {
        "dram": replace(card, dram=replace(card.dram, bandwidth_gb_s=card.dram.bandwidth_gb_s * 1.5)),
        "noc": replace(card, noc=replace(card.noc, bandwidth_gb_s=card.noc.bandwidth_gb_s * 1.5)),
        "host": replace(card, host=wider(card, 1.5)),
        "vector": replace(card, vector=replace(card.vector, peak_tops=card.vector.peak_tops * 1.5)),
        "special": replace(card, vector=replace(card.vector, special_per_cycle=card.vector.special_per_cycle * 2)),
        "units": replace(card, units=replace(card.units, efficiency=min(1.0, card.units.efficiency * 1.3))),
    }
    assert cycles(step, better[what]) <= cycles(step, card)


@relaxed
@given(cards(), inference)
def test_time_never_rises_with_the_ratio(card: S4Arch, step: Workload) -> None:
    took = [cycles(sparse(step, Pattern(PatternKind.BANK, kept, 64)), card) for kept in (64, 32, 16, 8, 4, 2)]
    assert took == sorted(took, reverse=True)


@relaxed
@given(cards(), inference)
def test_all_of_a_bank_takes_the_units_as_long_as_dense(card: S4Arch, step: Workload) -> None:
    runs = Runs()
    dense, whole = (execute(on_card(sparse(step, pattern), card, runs), runs).ops for pattern in (DENSE, SUPPORTED[-1]))
    assert dense["macs_useful"].tolist() == whole["macs_useful"].tolist()


def sparse(step: Workload, pattern: Pattern) -> Workload:
    """The step with one pattern on every weight."""
    ops = tuple(
        replace(op, right=replace(op.right, pattern=pattern))
        if isinstance(op, MatrixOp) and op.right.role is Role.WEIGHT
        else op
        for op in step.ops
    )
    return replace(step, ops=ops)


@pytest.mark.parametrize("chips", [2, 3, 4])
@given(card=cards(), step=inference)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_more_chips_are_never_slower_than_one_with_the_hosts_link_to_itself(
    chips: int, card: S4Arch, step: Workload
) -> None:
    """Chips share only the link to the host."""
    wide = wider(card, 10**6)
    one = replace(card, chips=1, host=wide)
    assert cycles(step, replace(one, chips=chips)) <= cycles(step, one)
