"""Multiply-accumulates, bytes and SORE work of whole ops, counted a second time from the convolution itself."""

from dataclasses import replace
from itertools import product as every

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataflows.systolic.places import Way
from dataflows.systolic.planner import Planner
from simulator.kernel import run
from simulator.machines.systolic import SystolicArch
from simulator.runs import Runs
from tests.machines import DATAFLOWS, MACHINES, all_plans, archs, ops
from workloads.conv import ConvGeometry
from workloads.errors import UserError
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, Pattern, PatternKind

slow_data = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def touches(geometry: ConvGeometry) -> int:
    """Pairs of an input position and an output position of the padded plane that a kernel tap joins, inputs inside."""
    pairs = 0
    for (out_h, out_w), tap in every(
        every(*(range(-6, 12) for _ in range(2))), every(range(geometry.kernel[0]), range(geometry.kernel[1]))
    ):
        place = [
            out * step - pad + each * gap
            for out, step, pad, each, gap in zip(
                (out_h, out_w), geometry.stride, geometry.padding, tap, geometry.dilation, strict=True
            )
        ]
        pairs += all(0 <= at < size for at, size in zip(place, geometry.input_size, strict=True))
    return pairs


def kept(length: int, pattern: Pattern) -> int:
    if pattern.is_dense:
        return length
    groups = [range(start, min(length, start + pattern.m)) for start in range(0, length, pattern.m)]
    return sum(min(pattern.n, len(group)) for group in groups)


def expected_macs(op: MatrixOp) -> int:
    geometry, pattern = op.geometry, op.right.pattern
    if geometry is None or op.phase is Phase.WU:
        return op.count * op.rows * op.cols * (kept(op.inner, pattern) if geometry is None else op.inner)
    length = kept(op.inner // geometry.taps, pattern)
    if op.phase is Phase.FF:
        return op.count * op.rows * op.cols * geometry.taps * length
    return op.count * op.images * touches(geometry) * op.cols * length


@slow_data
@given(archs(), ops(), st.booleans())
def test_multiply_accumulates_of_whole_ops(arch: SystolicArch, op: MatrixOp, inline: bool) -> None:
    assume(arch.lowering.skip_stride_zeros and arch.array.pe == "unified")
    arch = replace(arch, array=replace(arch.array, group_max=8))
    try:
        choices = Planner(arch, DATAFLOWS, Runs()).choose(
            op, Way.INLINE if inline and op.right.pattern.is_grouped else Way.PACKED
        )
    except UserError:
        assume(False)
    done = [run(choice.program).actions for choice in choices]
    macs = sum(amount for actions in done for (kind, _), amount in actions.items() if kind == "mac")
    assert macs == expected_macs(op)
    assert op.macs == expected_macs(replace(op, right=replace(op.right, pattern=DENSE)))


@slow_data
@given(archs(), ops(), st.data())
def test_inline_weights_come_dense_and_are_all_sorted(arch: SystolicArch, op: MatrixOp, data: st.DataObject) -> None:
    pattern = op.right.pattern
    assume(pattern.is_grouped and arch.sore is not None and arch.dram is not None)
    assert arch.sore is not None and arch.dram is not None
    arch = replace(arch, dram=replace(arch.dram, burst_bytes=1), sore=replace(arch.sore, tile_buffer=True))
    plans = all_plans(arch, op, True)
    assume(plans)
    program = data.draw(st.sampled_from(plans)).program()
    actions = run(program).actions
    segments = plans[0].operands.product.reduction.segments  # type: ignore[attr-defined]
    inner = plans[0].operands.product.inner  # type: ignore[attr-defined]
    groups = segments * -(-(inner // segments) // pattern.m) * op.cols * op.count
    read, sorted_ = actions["dram.read", "weight"], actions["sore.element", "weight"]
    assert sorted_ >= groups * pattern.m
    dense = inner * op.cols * op.count * arch.format.operand_bytes
    assert read >= dense
    assert read * groups * pattern.m == sorted_ * dense  # as often read as sorted
    sore = sum(command.ticks * count for command, count in program.commands() if command.engine == "sore")
    assert sore * arch.sore.lanes >= sorted_


@slow_data
@given(archs(), ops(), st.booleans(), st.data())
def test_no_memory_holds_more_than_it_can(arch: SystolicArch, op: MatrixOp, inline: bool, data: st.DataObject) -> None:
    plans = all_plans(arch, op, inline and op.right.pattern.is_grouped and arch.sore is not None)
    assume(plans)
    program = data.draw(st.sampled_from(plans)).program()
    twice = arch.sore is not None and not arch.sore.tile_buffer and op.phase is Phase.BP
    loads: dict[str, int] = {}
    for command, _ in program.commands():
        for action in command.actions:
            if action.kind in ("west.write", "north.write") and command.fills:
                at_once = action.amount // 2 if command.fills == ("north.raw",) and twice else action.amount
                loads[command.fills[0]] = max(loads.get(command.fills[0], 0), at_once)  # a second pass comes alone
    for memory, kib in (("west", arch.memory.west_kib), ("north", arch.memory.north_kib)):
        mine = [buffer for buffer in program.buffers if buffer.memory == memory]
        assert all(buffer.slot_bytes >= loads.get(buffer.name, 0) for buffer in mine)
        assert kib is None or sum(buffer.slots * buffer.slot_bytes for buffer in mine) <= kib * 1024


def test_a_second_pass_of_inline_backward_weights() -> None:
    sat = MACHINES["sat"]
    assert sat.sore is not None
    bare = replace(sat, sore=replace(sat.sore, tile_buffer=False))
    right = Operand("w", Role.WEIGHT, Pattern(PatternKind.NM, 2, 8))
    op = MatrixOp("layer", Phase.BP, 64, 128, 64, Operand("x", Role.GRADIENT), right)
    reads = []
    for arch in (sat, bare):
        (choice,) = Planner(arch, DATAFLOWS, Runs()).choose(op, Way.INLINE)
        reads.append(run(choice.program).actions["dram.read", "weight"])
    assert reads[1] == 2 * reads[0]
    forward = replace(op, phase=Phase.FF)
    (choice,) = Planner(bare, DATAFLOWS, Runs()).choose(forward, Way.INLINE)
    assert run(choice.program).actions["dram.read", "weight"] == reads[0]
