"""Timelines and DRAM traces: what is in the files, that they are bounded, and what they say of it."""

import json
from pathlib import Path

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from simulator import load_result
from tests.command import Run, without

GEMM = ("--gemm", "3000x400x640", "--pattern", "2:8", "--out", "r")


def trace_of(path: Path) -> Trace:
    trace = Trace()
    trace.ParseFromString(path.read_bytes())
    return trace


def test_a_timeline_holds_every_engine_and_ends_with_the_step(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate(*GEMM, "--timeline", "t.pftrace")
    assert code == 0 and "timeline: t.pftrace" in out and "sampled" in out
    trace = trace_of(tmp_path / "t.pftrace")
    names = {packet.track_descriptor.uuid: packet.track_descriptor.name for packet in trace.packet}
    assert {"ops", "phases", "dram", "array", "wuve", "west memory (bytes held)"} <= set(names.values())
    open_slices: dict[int, int] = {}
    last, counters = 0, dict[int, int]()
    for packet in trace.packet:
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        if event.type == TrackEvent.TYPE_COUNTER:
            counters[event.track_uuid] = event.counter_value
            assert event.counter_value >= 0
            continue
        change = 1 if event.type == TrackEvent.TYPE_SLICE_BEGIN else -1
        open_slices[event.track_uuid] = open_slices.get(event.track_uuid, 0) + change
        assert open_slices[event.track_uuid] in (0, 1), names[event.track_uuid]
        last = max(last, packet.timestamp)
    assert set(open_slices.values()) == {0} and set(counters.values()) == {0}
    assert last == load_result(tmp_path / "r").cycles * 5  # 5 ns a cycle at 200 MHz


def test_a_timeline_is_bounded_by_sampling_and_says_so(simulate: Run, tmp_path: Path) -> None:
    sizes = []
    for batch in ("16", "1024"):
        path = f"{batch}.pftrace"
        assert simulate("--model", "resnet9", "--batch", batch, "--pattern", "2:8", "--timeline", path)[0] == 0
        sizes.append((tmp_path / path).stat().st_size)
    assert sizes[1] < 2 * sizes[0] < 10_000_000
    said = {packet.track_event.name for packet in trace_of(tmp_path / "1024.pftrace").packet}
    assert any("rounds like those before" in name for name in said)


def test_the_timeline_of_a_fabric_shows_its_threads(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "a.mtx").write_text("%%MatrixMarket matrix coordinate real general\n3 3 3\n1 1 2\n2 2 3\n3 1 1\n")
    code, out, _ = simulate("--arch", "piuma", "--matrix", "a.mtx", "--out", "r", "--timeline", "t")
    assert code == 0 and "averages over equal parts" in out
    trace = trace_of(tmp_path / "t")
    names = {packet.track_descriptor.name for packet in trace.packet}
    assert {"ops", "core 0: threads at work (%)", "instructions a cycle", "memory (bytes a cycle)"} <= names
    values = [packet.track_event.double_counter_value for packet in trace.packet if packet.HasField("track_event")]
    assert max(values) > 0 and min(values) >= 0
    result = load_result(tmp_path / "r")
    assert max(packet.timestamp for packet in trace.packet) == round(result.cycles * 1000 / result.card.clock_mhz)


def test_dram_traces_in_both_formats(simulate: Run, tmp_path: Path) -> None:
    code, out, _ = simulate(*GEMM, "--dram-trace", "d", "--dram-op", "gemm0/FF")
    assert code == 0 and "DRAM trace of gemm0/FF" in out and "sampled" in out
    about = json.loads((tmp_path / "d" / "trace.json").read_text())
    ramulator = [line.split() for line in (tmp_path / "d" / "ramulator2.trace").read_text().splitlines()]
    dramsim = [line.split() for line in (tmp_path / "d" / "dramsim3.trace").read_text().splitlines()]
    assert len(ramulator) == len(dramsim) == about["requests_written"] <= about["requests_of_the_op"]
    assert {kind for kind, _ in ramulator} == {"LD", "ST"}
    assert {kind for _, kind, _ in dramsim} == {"READ", "WRITE"}
    assert [address for _, address in ramulator] == [address for address, _, _ in dramsim]
    assert all(int(address, 16) % 64 == 0 for _, address in ramulator)
    cycles = [int(cycle) for _, _, cycle in dramsim]
    assert cycles == sorted(cycles)
    assert about["memory_clock_mhz"] == 1200 and about["efficiency_to_check"]["value"] == 0.8
    result = load_result(tmp_path / "r")
    actions = result.actions[(result.actions["op"] == 0) & result.actions["kind"].isin(["dram.read", "dram.write"])]
    assert about["requests_of_the_op"] == actions["amount"].sum() // 64
    assert max(cycles) <= result.ops["cycles"][0] * 1200 / 200


def test_without_a_name_the_op_that_moves_most_is_traced(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--gemm", "64x64x64", "--gemm", "512x512x512", "--dram-trace", "d")[0] == 0
    assert json.loads((tmp_path / "d" / "trace.json").read_text())["op"].startswith("gemm1/")


MISTAKES = [
    (("--dram-op", "gemm0/FF"), "--dram-op: says whose addresses --dram-trace writes"),
    (("--dram-trace", "d", "--dram-op", "gemm0/FX"), "--dram-op: unknown op 'gemm0/FX'; did you mean 'gemm0/FF'?"),
    (("--timeline", "x/t"), "--timeline x/t: there is no folder 'x'"),
    (("--timeline", "."), "--timeline .: is a folder; name a file"),
    (("--arch", "dense", "--dram-trace", "d"), "--dram-trace d: dense has no DRAM channel whose addresses are known"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_mistakes(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate("--gemm", "64x64x64", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


def test_without_perfetto_the_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    done = without("perfetto", tmp_path, "--gemm", "64x64x64", "--timeline", "t")
    assert done.returncode == 2
    assert "needs the package 'perfetto', which is missing: pip install" in done.stderr
    assert list(tmp_path.iterdir()) == []
