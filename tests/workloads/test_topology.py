"""Topology files as SCALE-Sim ships them: what each mark and column means, and layers against its own arithmetic."""

from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.op import MatrixOp, Phase
from workloads.topology import from_topology

CONV = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"


def layers(folder: Path, *lines: str) -> dict[str, MatrixOp]:
    """The forward products of a file of these lines, by layer."""
    (folder / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    ops = from_topology(folder / "t.csv").ops
    return {op.layer: op for op in ops if isinstance(op, MatrixOp) and op.phase is Phase.FF}


def sizes(op: MatrixOp) -> tuple[int, int, int, int]:
    return op.count, op.rows, op.cols, op.inner


def test_depthwise_layers_have_filters_for_each_channel(tmp_path: Path) -> None:
    """SCALE-Sim makes a layer of one channel for each of eight: 46 x 46 outputs, 8 filters of 9."""
    made = layers(tmp_path, CONV, "Conv_1, 50, 50, 3, 3, 4, 8, 1,", "DP_2, 48, 48, 3, 3, 8, 8, 1,")
    assert sizes(made["DP_2"]) == (8, 46 * 46, 8, 9)
    assert made["DP_2"].mismatch() == ""
    assert made["DP_2"].macs == 8 * 46 * 46 * 8 * 9


@pytest.mark.parametrize(
    ("header", "line", "wanted"),
    [
        (CONV, "a, 9, 9, 3, 3, 4, 8, 2, #dw", (1, 16, 8, 36)),
        (CONV, "a, 9, 9, 3, 3, 4, 8, 2,#dw, with a comma", (1, 16, 8, 36)),
        (CONV, "a, 9, 9, 3, 3, 4, 8, 2, 3,", (1, 4 * 3, 8, 36)),  # two strides
        (CONV.replace("Strides", "Stride Height, Stride Width"), "a, 9, 9, 3, 3, 4, 8, 2, 3,", (1, 4 * 3, 8, 36)),
        (CONV + " Target,", "a, 9, 9, 3, 3, 4, 8, 2, whatever,", (1, 16, 8, 36)),
        (CONV + ",,Eh,Ew,e2", "a, 9, 9, 3, 3, 4, 8, 2,,,4,4,16", (1, 16, 8, 36)),
        (CONV + " Batch Size,", "a, 9, 9, 3, 3, 4, 8, 2, 5,", (1, 5 * 16, 8, 36)),
        (CONV.replace("Height", "Width", 1), "a, 9, 9, 3, 3, 4, 8, 2,", (1, 16, 8, 36)),  # as DeepBench's are
        ("\ufeff" + CONV.lower().replace("filter,", "filters,"), "a, 9, 9, 3, 3, 4, 8, 2,", (1, 16, 8, 36)),
        (CONV.replace(",", "\t"), "a\t9\t9\t3\t3\t4\t8\t2\t", (1, 16, 8, 36)),
        (CONV, "a, 5000, 10000, 1, 10000, 2, 7, 1,", (1, 5000, 7, 20000)),  # a product written as a convolution
        ("L, M, N, K", "a, 4, 5, 6", (1, 4, 5, 6)),
        ("L, M, N, K", "# b, 7, 8, 9\na, 4, 5, 6", (1, 4, 5, 6)),
    ],
)
def test_marks_and_columns(tmp_path: Path, header: str, line: str, wanted: tuple[int, int, int, int]) -> None:
    assert sizes(layers(tmp_path, header, "", line)["a"]) == wanted


def test_a_name_may_hold_the_mark_of_remarks(tmp_path: Path) -> None:
    assert list(layers(tmp_path, "L, M, N, K", "conv#1, 4, 5, 6, #dw")) == ["conv#1"]


def test_sparsity_is_a_column_or_a_last_cell(tmp_path: Path) -> None:
    made = layers(tmp_path, "Layer, M, N, K, Sparsity,", "a, 1, 2, 8, 2:4,", "b, 1, 2, 8,")
    assert [str(made[name].right.pattern) for name in "ab"] == ["2:4", "dense"]
    made = layers(tmp_path, CONV, "a, 9, 9, 3, 3, 4, 8, 2, 1:4")
    assert str(made["a"].right.pattern) == "1:4"


def test_the_same_name_again_gets_a_number(tmp_path: Path) -> None:
    made = layers(tmp_path, "Layer, M, N, K,", "a, 1, 2, 3,", "a, 4, 5, 6,", "a_2, 7, 8, 9,", "a, 1, 1, 1,")
    assert [(name, op.rows) for name, op in made.items()] == [("a", 1), ("a_3", 4), ("a_2", 7), ("a_4", 1)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_outputs_and_multiplies_are_those_of_the_format(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """ofmap = ceil((ifmap - filter + stride) / stride), as its topology reader has it, and so are multiplies."""
    high, wide = (data.draw(st.integers(1, 40)) for _ in range(2))
    filters = data.draw(st.integers(1, high)), data.draw(st.integers(1, wide))
    strides = data.draw(st.integers(1, min(high, wide))), data.draw(st.integers(1, min(high, wide)))
    channels, kernels, depthwise = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)), data.draw(st.booleans())
    cells = (high, wide, *filters, channels, kernels, *strides)
    name = "DP1" if depthwise else "conv1"
    folder = tmp_path_factory.mktemp("topology")
    op = layers(folder, CONV, f"{name}, {', '.join(map(str, cells))},")[name]
    out = [
        ceil((size - kernel + step) / step) for size, kernel, step in zip((high, wide), filters, strides, strict=True)
    ]
    assert op.macs == out[0] * out[1] * filters[0] * filters[1] * channels * kernels
    assert op.rows == out[0] * out[1]
    assert op.mismatch() == ""
