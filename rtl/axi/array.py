"""The array with AXI4-Stream sides and AXI4-Lite registers: what a block design or a DMA engine connects to.

Four streams, each as wide as all rows or columns side by side, since all of them take and give equally many words: a
word a row, its bytes from byte `row * lane` on. A beat is taken when every row, or column, has room for its word.
TLAST ends the sums of a run; that of operands is not looked at, as a run says how many words it takes.
"""

from amaranth import ClockDomain, Elaboratable, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from rtl.array import SparseArray
from rtl.axi.lite import Registers, lite_ports
from rtl.control import COUNTERS, run_layout
from rtl.parameters import Parameters
from rtl.placing import as_instance

LITE = "s_axil_"
GIVEN = {
    "west": "s_axis_west_",
    "north": "s_axis_north_",
    "seeds": "s_axis_seeds_",
}  # streams and their ports' prefixes
RESULTS = "m_axis_results_"
AHEAD = 16  # runs whose sums have not all left


def lane_bytes(bits: int) -> int:
    """Bytes of a word in a stream."""
    return -(-bits // 8)


def stream_widths(p: Parameters) -> dict[str, tuple[int, int]]:
    """Streams by the prefix of their ports: words side by side, and the bits of each that count."""
    sums = (p.cols, p.accumulator.bits)
    given = ((p.rows, p.west_link * p.operand.bits), (p.cols, p.weight_bits), sums)
    return {**dict(zip(GIVEN.values(), given, strict=True)), RESULTS: sums}


def axi_signature(p: Parameters) -> wiring.Signature:
    """The ports of `AxiArray`."""
    ports = {"aclk": In(1), "aresetn": In(1), **lite_ports(LITE)}
    for prefix, (count, bits) in stream_widths(p).items():
        there, back = (Out, In) if prefix == RESULTS else (In, Out)
        wide = {"tdata": 8 * lane_bytes(bits) * count, "tvalid": 1, "tlast": 1}
        ports |= {f"{prefix}{name}": there(width) for name, width in wide.items()}
        ports[f"{prefix}tready"] = back(1)
    return wiring.Signature(ports)


class AxiArray(wiring.Component):
    """aclk, aresetn: clock, and a synchronous reset that is low. s_axil: `Registers`. The streams: `stream_widths`."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        super().__init__(axi_signature(parameters))

    def elaborate(self, platform: object) -> Elaboratable:
        m, p = Module(), self.parameters
        m.domains.sync = clocked = ClockDomain()
        m.d.comb += [clocked.clk.eq(self.aclk), clocked.rst.eq(~self.aresetn)]
        m.submodules.registers = self.registers = registers = Registers(p)
        for name, member in lite_ports("").items():
            outside, inside = getattr(self, LITE + name), getattr(registers, name)
            m.d.comb += inside.eq(outside) if member.flow is In else outside.eq(inside)
        run = Signal(run_layout())
        goes, taken = Signal(), Signal()
        given: dict[str, Value] = {"run__valid": goes, "run__payload": run, "abort_all": registers.abort}
        made: dict[str, Value] = {"run__ready": taken, "idle": registers.idle, "counters": Signal(COUNTERS)}
        given["patience"] = registers.patience
        for side, prefix in GIVEN.items():
            self._spread(m, side, prefix, given, made)
        leaves = self._gather(m, given, made)
        # a run that gives more than the memories hold is refused, so its number may be cut
        queue = SyncFIFOBuffered(width=p.results.bit_length(), depth=AHEAD)
        m.submodules.beats = beats = ResetInserter(registers.abort)(queue)
        m.d.comb += [
            run.eq(registers.runs.payload),
            registers.counters.eq(made["counters"]),
            goes.eq(registers.runs.valid & beats.w_rdy),
            registers.runs.ready.eq(goes & taken),
            beats.w_data.eq(_beats(run, p)),
            beats.w_en.eq(goes & taken & (beats.w_data != 0)),
        ]
        self._last(m, leaves, beats)
        as_instance(m, "inner", SparseArray, p, given, made)
        return m

    def _spread(self, m: Module, side: str, prefix: str, given: dict[str, Value], made: dict[str, Value]) -> None:
        """A beat to all rows or columns at once."""
        count, bits = stream_widths(self.parameters)[prefix]
        lane, offered = 8 * lane_bytes(bits), getattr(self, f"{prefix}tdata")
        ready = Signal(count, name=f"{side}_ready")
        all_ready = ready.all()
        m.d.comb += getattr(self, f"{prefix}tready").eq(all_ready)
        for number in range(count):
            given[f"{side}__{number}__valid"] = getattr(self, f"{prefix}tvalid") & all_ready
            given[f"{side}__{number}__payload"] = offered[number * lane : number * lane + bits]
            made[f"{side}__{number}__ready"] = ready[number]

    def _gather(self, m: Module, given: dict[str, Value], made: dict[str, Value]) -> Value:
        """A beat of a sum of every column. Returns whether one leaves."""
        count, bits = stream_widths(self.parameters)[RESULTS]
        lane, shown = 8 * lane_bytes(bits), getattr(self, f"{RESULTS}tdata")
        valid = Signal(count, name="results_valid")
        leaves = Signal()
        m.d.comb += leaves.eq(valid.all() & getattr(self, f"{RESULTS}tready"))
        m.d.comb += getattr(self, f"{RESULTS}tvalid").eq(valid.all())
        for number in range(count):
            given[f"results__{number}__ready"] = leaves
            made[f"results__{number}__valid"] = valid[number]
            made[f"results__{number}__payload"] = shown[number * lane : number * lane + bits]
        return leaves

    def _last(self, m: Module, leaves: Value, beats: SyncFIFOBuffered) -> None:
        """TLAST, by how many sums the run gives whose sums are leaving."""
        gone, last = Signal(beats.width), Signal()
        m.d.comb += [
            last.eq(gone + 1 == beats.r_data),
            beats.r_en.eq(leaves & last),
            getattr(self, f"{RESULTS}tlast").eq(last),
        ]
        with m.If(leaves):
            m.d.sync += gone.eq(Mux(last, 0, gone + 1))
        with m.If(self.registers.abort):
            m.d.sync += gone.eq(0)


def _beats(run: data.View, p: Parameters) -> Value:
    """Sums that a run gives in every column."""
    drained = Mux(run.drain, (run.interleave + 1) * p.rows, 0)
    return Mux(run.stationary_weights, run.positions + 1, drained)
