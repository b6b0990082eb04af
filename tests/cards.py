"""Random cards of bank-sparse chips and steps for them: small, and odd enough to meet every edge."""

from dataclasses import replace

from hypothesis import strategies as st

from simulator.arch.machine import load_machine
from simulator.machines.s4 import S4Arch
from tests.machines import conv_op
from workloads.conv import ConvGeometry
from workloads.op import MatrixOp, Op, Operand, Phase, Role, VectorKind, VectorOp
from workloads.pattern import DENSE, Pattern, PatternKind
from workloads.workload import Capture, Mode, Workload

S4: S4Arch = load_machine("s4").spec
SUPPORTED = [
    DENSE,
    *(Pattern(kind, n, m) for kind in (PatternKind.NM, PatternKind.BANK) for n, m in ((2, 64), (4, 64), (16, 64))),
    *(Pattern(PatternKind.NM, n, m) for n, m in ((2, 4), (2, 8), (1, 8), (1, 32), (4, 4), (64, 64))),
]
X = Operand("x", Role.ACTIVATION)


@st.composite
def cards(draw: st.DrawFn) -> S4Arch:
    """A card with units, memories and bandwidths drawn."""
    units = replace(
        S4.units,
        per_core=draw(st.integers(1, 4)),
        rows=draw(st.integers(1, 5)),
        cols=draw(st.integers(1, 5)),
        depth=draw(st.sampled_from([2, 4])),
        operand_bytes_per_cycle=draw(st.sampled_from([3.0, 64.0, 1024.0])),
        efficiency=draw(st.sampled_from([0.3, 0.8, 1.0])),
    )
    links = st.sampled_from([0.1, 15.75])
    return replace(
        S4,
        clock_mhz=draw(st.sampled_from([133.3, 899.88])),
        chips=draw(st.integers(1, 4)),
        cores=draw(st.integers(1, 4)),
        units=units,
        l2_mib=draw(st.sampled_from([0.005, 0.02, 4.0])),
        vector=replace(S4.vector, peak_tops=draw(st.sampled_from([0.001, 3.2]))),
        noc=replace(S4.noc, bandwidth_gb_s=draw(st.sampled_from([0.5, 204.8])), multicast=draw(st.booleans())),
        dram=replace(S4.dram, bandwidth_gb_s=draw(st.sampled_from([0.3, 82.0])), burst_bytes=draw(st.integers(1, 64))),
        host=replace(S4.host, bandwidth_gb_s=draw(links), several_chips_gb_s=draw(links)),
    )


@st.composite
def steps(draw: st.DrawFn, training: bool = False) -> Workload:
    """A step of one to three products, each with vector work behind it; the patterns are supported ones."""
    batch = draw(st.integers(1, 7))
    ops: list[Op] = []
    for number in range(draw(st.integers(1, 3))):
        op = draw(_products(batch, f"layer{number}", training))
        ops.append(op)
        made = op.rows * op.cols * op.count
        for kind in draw(st.lists(st.sampled_from(list(_WORK)), max_size=3)):
            reads, writes = _WORK[kind]
            ops.append(VectorOp(f"layer{number}.{kind}", op.phase, kind, made, made * reads, made // writes))
    mode = Mode.TRAINING if training else Mode.INFERENCE
    capture = Capture("test", "test")
    return Workload("random", "ste", "random", batch, 1, mode, tuple(ops), 1000, 1000, (), capture)


_WORK = {
    VectorKind.NORMALISATION: (2, 1),
    VectorKind.ACTIVATION: (1, 1),
    VectorKind.SOFTMAX: (2, 1),
    VectorKind.ELEMENTWISE: (2, 1),
    VectorKind.POOLING: (1, 1),
}


@st.composite
def _products(draw: st.DrawFn, batch: int, layer: str, training: bool) -> MatrixOp:
    phase = draw(st.sampled_from([Phase.FF, Phase.BP, Phase.WU])) if training else Phase.FF
    pattern = DENSE if phase is Phase.WU else draw(st.sampled_from(SUPPORTED))
    weight = Operand("w", Role.GRADIENT if phase is Phase.WU else Role.WEIGHT, pattern)
    left = Operand("x", Role.GRADIENT if phase is Phase.BP else Role.ACTIVATION)
    sizes = [draw(st.integers(1, 40)) for _ in range(3)]
    match draw(st.sampled_from(["linear", "attention", "convolution"])):
        case "attention":
            right = Operand("y", Role.ACTIVATION)
            return MatrixOp(layer, Phase.FF, *sizes, X, right, count=batch * draw(st.integers(1, 3)))
        case "linear" if phase is Phase.WU:
            return MatrixOp(layer, phase, sizes[0], batch * sizes[1], sizes[2], left, weight)
        case "linear":
            return MatrixOp(layer, phase, batch * sizes[0], sizes[1], sizes[2], left, weight)
    extent, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    geometry = ConvGeometry(
        draw(st.integers(1, 70)),
        draw(st.integers(1, 24)),
        (extent, extent),
        (stride, stride),
        (draw(st.integers(0, extent - 1)),) * 2,
        (draw(st.integers(3, 7)),) * 2,
    )
    return replace(conv_op(geometry, phase, batch, left, weight), layer=layer)
