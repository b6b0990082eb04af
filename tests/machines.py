"""Random machines, ops and plans for the laws: small enough to run every tile, odd enough to meet every edge."""

from dataclasses import replace

from hypothesis import strategies as st

from dataflows.systolic.lowering import lower
from dataflows.systolic.mapping import Dataflow, Family, Plan
from dataflows.systolic.planner import compress
from dataflows.systolic.target import Target
from simulator.arch.machine import load_machine
from simulator.machines.systolic import SystolicArch
from workloads.conv import ConvGeometry
from workloads.op import MatrixOp, Operand, Phase, Role
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.registry import load_entry, names

EVERY = {name: load_machine(name) for name in names("sparsehil.machines")}
# the core's numbers are those of its hardware; tests/dataflows/core_plans.py draws what may differ
MACHINES: dict[str, SystolicArch] = {
    name: arch.spec for name, arch in EVERY.items() if isinstance(arch.spec, SystolicArch) and arch.spec.core is None
}
DATAFLOWS: list[Dataflow] = [
    load_entry("sparsehil.dataflows", "dataflow", name)() for name in names("sparsehil.dataflows")
]
small = st.integers(1, 6)


@st.composite
def archs(draw: st.DrawFn) -> SystolicArch:
    """A registered machine with sizes, memories, links and bandwidths drawn; few of them divide each other."""
    spec = MACHINES[draw(st.sampled_from(sorted(MACHINES)))]
    array = replace(spec.array, rows=draw(small), cols=draw(small))
    if spec.dram is None:
        return replace(spec, array=array)
    links = st.sampled_from([None, 0.25, 0.7, 1, 2.5, 4])
    array = replace(
        array,
        accumulators=draw(small),
        adder_latency_cycles=draw(st.integers(0, 7)),
        multiplier_latency_cycles=draw(st.integers(0, 3)),
        west_link_operands_per_cycle=draw(links),
        north_link_weights_per_cycle=draw(links),
        sum_link_values_per_cycle=draw(links),
        sum_hop_cycles=draw(st.integers(0, 2)),
        drains=draw(st.booleans()),
    )
    kib = st.sampled_from([0.125, 0.3, 1.5, 64, None])
    memory = replace(spec.memory, west_kib=draw(kib), north_kib=draw(kib), output_kib=draw(kib))
    memory = replace(memory, dma_port_bytes_per_cycle=draw(st.sampled_from([None, 3, 640])))
    dram = replace(
        spec.dram,
        channels=draw(st.integers(1, 3)),
        channel_bandwidth_gb_s=draw(st.sampled_from([0.13, 1.1, 19.2])),
        latency_ns=draw(st.sampled_from([0, 37, 400])),
        burst_bytes=draw(st.sampled_from([1, 24, 64])),
    )
    spec = replace(spec, array=array, memory=memory, dram=dram, clock_mhz=draw(st.sampled_from([150, 233.3, 700])))
    if spec.sore is not None:
        lanes, cycles = draw(st.sampled_from([1, 5, 32])), draw(st.sampled_from([1, 20]))
        sore = replace(spec.sore, lanes=lanes, cycles_per_element=cycles, tile_buffer=draw(st.booleans()))
        spec = replace(spec, sore=sore)
    if spec.transposer is not None:
        rate = draw(st.sampled_from([None, 1, 3, 128]))
        turning = replace(spec.transposer, elements_per_cycle=rate or 1, side=draw(st.sampled_from([1, 3, 8])))
        spec = replace(spec, transposer=turning if rate else None)
    return replace(spec, format=replace(spec.format, operand_bytes=draw(st.sampled_from([1, 2, 4]))))


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    """Dense about half of the time, otherwise n:m with m up to 64, mostly of few."""
    m = draw(st.integers(1, 8) | st.integers(9, 64))
    sparse = Pattern(PatternKind.NM, draw(st.integers(1, min(m, 8))), m)
    return draw(st.sampled_from([DENSE, sparse]))


@st.composite
def ops(draw: st.DrawFn) -> MatrixOp:
    """A product of any phase, plain or of a convolution with stride, padding, groups."""
    phase = draw(st.sampled_from([Phase.FF, Phase.BP, Phase.WU]))
    pattern = DENSE if phase is Phase.WU else draw(patterns())
    left = Operand("x", Role.GRADIENT if phase is Phase.BP else Role.ACTIVATION)
    right = Operand("w", Role.GRADIENT if phase is Phase.WU else Role.WEIGHT, pattern)
    if draw(st.booleans()):
        sizes = [draw(st.integers(1, 40)) for _ in range(3)]
        return MatrixOp("layer", phase, *sizes, left, right, count=draw(st.integers(1, 3)))
    groups, stride, extent = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2))
    reach = dilation * (extent - 1) + 1
    height, width = draw(st.integers(reach, 9)), draw(st.integers(reach, 9))
    channels, filters = groups * draw(st.integers(1, 9)), groups * draw(st.integers(1, 9))
    geometry = ConvGeometry(
        channels,
        filters,
        (extent, extent),
        (stride, stride),
        (draw(st.integers(0, extent - 1)),) * 2,
        (height, width),
        groups=groups,
        dilation=(dilation, dilation),
    )
    return conv_op(geometry, phase, draw(st.integers(1, 3)), left, right)


def conv_op(geometry: ConvGeometry, phase: Phase, images: int, left: Operand, right: Operand) -> MatrixOp:
    """The product of a phase of a convolution, with the sizes of `MatrixOp`'s table."""
    inputs, outputs = geometry.in_channels // geometry.groups, geometry.out_channels // geometry.groups
    rows, inner, cols = {
        Phase.FF: (images * geometry.output_positions, geometry.taps * inputs, outputs),
        Phase.BP: (images * geometry.input_positions, geometry.taps * outputs, inputs),
        Phase.WU: (geometry.taps * inputs, images * geometry.output_positions, outputs),
    }[phase]
    return MatrixOp(
        "layer", phase, rows, inner, cols, left, right, count=geometry.groups, geometry=geometry, images=images
    )


def all_plans(arch: SystolicArch, op: MatrixOp, inline: bool) -> list[Plan]:
    """Every plan of every dataflow for the first product of an op."""
    return [plan for family in all_families(arch, op, inline) for plan in family.plans()]


def all_families(arch: SystolicArch, op: MatrixOp, inline: bool) -> list[Family]:
    """Every family of mappings for the first product of an op."""
    products = lower(op, arch.lowering, arch.format.operand_bytes, arch.format.master_bytes)
    if not products:
        return []
    product = compress(products[0]) if arch.array.pe == "compressed" else products[0]
    target = Target.of(arch)
    return [
        family
        for dataflow in DATAFLOWS
        for draft in dataflow.drafts(target, product)
        for family in draft.families(inline)
    ]
