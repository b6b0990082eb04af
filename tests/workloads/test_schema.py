"""Workload files: what may be said in short, files of schema 1, and what is refused."""

import json
from pathlib import Path

import pytest

from tests.command import Run
from workloads.errors import UserError
from workloads.op import MatrixOp
from workloads.shipped import load_shipped, shipped_path
from workloads.stored import instantiate, read_template
from workloads.workload import Workload

HEAD = {
    "schema_version": 2, "model": "m", "method": "dense", "pattern": "dense", "mode": "training", "batch": 1,
    "sequence": 1, "parameters": 1, "saved_elements": 0, "kept_dense": [],
    "capture": {"source": "by hand", "shapes": "stated by the user"},
}  # fmt: skip


def product(layer: str, rows: object = 4, **more: object) -> dict[str, object]:
    sides = {
        "left": {"tensor": f"{layer}.input", "role": "activation"},
        "right": {"tensor": f"{layer}.weight", "role": "weight"},
    }
    return {"layer": layer, "phase": "FF", "rows": rows, "inner": 8, "cols": 16, **sides, **more}


def read(path: Path, *ops: object) -> Workload:
    path.write_text(json.dumps({**HEAD, "ops": ops}))
    return instantiate(read_template(path), path)


def sizes(workload: Workload) -> list[tuple[str, int, int, int]]:
    return [(op.layer, op.count, op.rows, op.inner) for op in workload.ops if isinstance(op, MatrixOp)]


def test_equal_layers_are_written_once(tmp_path: Path) -> None:
    twice = {"repeat": 3, "ops": [product("layers.{}.q"), product("layers.{}.v")]}
    found = read(tmp_path / "w.json", product("first"), twice)
    assert [each[0] for each in sizes(found)] == ["first", *(f"layers.{at}.{name}" for at in range(3) for name in "qv")]
    assert {op.right.tensor for op in found.ops if isinstance(op, MatrixOp)} >= {"layers.2.v.weight"}


def test_experts_have_rows_of_their_own(tmp_path: Path) -> None:
    found = read(tmp_path / "w.json", product("experts", rows=[16, 16, 13, 20]))
    assert sizes(found) == [("experts", 2, 16, 8), ("experts", 1, 13, 8), ("experts", 1, 20, 8)]
    assert found.macs == (16 + 16 + 13 + 20) * 8 * 16
    assert [each[3] for each in sizes(read(tmp_path / "w.json", product("experts", inner=[5, 7])))] == [5, 7]


def test_files_of_schema_1_are_still_read(tmp_path: Path) -> None:
    old = shipped_path("resnet9").read_text().replace("input_size", "input_hw")
    path = tmp_path / "old.json"
    path.write_text(old.replace('"schema_version": 2', '"schema_version": 1').replace('"samples"', '"samples"'))
    (tmp_path / "old.safetensors").write_bytes(shipped_path("resnet9").with_suffix(".safetensors").read_bytes())
    assert instantiate(read_template(path), path).ops == load_shipped("resnet9").ops


MISTAKES = [
    ({"repeat": 0, "ops": [product("a")]}, 'ops.0: repeat: wanted is {"repeat": TIMES, "ops": [...]}'),
    ({"repeat": True, "ops": [product("a")]}, "ops.0: repeat: wanted is"),
    ({"repeat": 2, "ops": [product("a")], "layer": "a"}, "ops.0: repeat: wanted is"),
    ({"repeat": 2, "ops": [{"repeat": 2, "ops": [product("a")]}]}, "ops.0: repeat: wanted is"),
    ({"repeat": 2, "ops": [3]}, "ops.0: repeat: wanted is {"),
    ({"repeat": 10**9, "ops": [product("a")]}, "the step has 1,000,000,000 ops, and 6,000 are taken"),
    (product("a", rows=[]), "ops.0: rows: a list is of one or more sizes, of a plain product without a count"),
    (product("a", rows=[3, 4], inner=[3, 4]), "ops.0: rows: a list is of one or more sizes"),
    (product("a", rows=[3, 4], count=2), "ops.0: rows: a list is of one or more sizes"),
    (product("a", rows=[3, "x"]), "ops.1.rows: "),
    (product("a", rows=[3] * 3 + list(range(1, 7_000))), "ops, and 6,000 are taken"),
]


@pytest.mark.parametrize(("op", "sentence"), MISTAKES, ids=[sentence for _, sentence in MISTAKES])
def test_mistakes(tmp_path: Path, op: object, sentence: str) -> None:
    with pytest.raises(UserError) as wrong:
        read(tmp_path / "w.json", op)
    assert sentence in str(wrong.value)


@pytest.mark.parametrize("transposed", [False, True])
def test_geometries_of_three_axes(simulate: Run, tmp_path: Path, transposed: bool) -> None:
    """A convolution of 4 to 6 channels over 2 x 5 x 5; transposed, its forward pass spreads what comes in."""
    geometry = {
        "in_channels": 4, "out_channels": 6, "kernel": [2, 3, 3], "stride": [1, 2, 2], "padding": [0, 1, 1],
        "input_size": [2, 5, 5], "dilation": [1, 1, 1], "transposed": transposed,
    }  # fmt: skip
    rows, inner, cols = (50 * 3, 18 * 6, 4) if transposed else (9 * 3, 18 * 4, 6)
    conv = product("conv", rows=rows, inner=inner, cols=cols, images=3, geometry=geometry)
    (op,) = read(tmp_path / "w.json", conv).ops
    assert isinstance(op, MatrixOp)
    # of five positions along an axis three are reached by one tap of a stride of two, and two by two; 2 x 2 in depth
    taps = 4 * (3 * 1 + 2 * 2) ** 2 if transposed else 18 * 9
    assert op.macs == 3 * taps * 4 * 6
    code, out, _ = simulate("--workload", "w.json", "--arch", "dense", "--mode", "inference")
    assert code == 0 and "inference step" in out
    node = {**conv, "geometry": {**geometry, "padding": [1, 1]}}
    with pytest.raises(UserError, match="differ in how many axes they have"):
        read(tmp_path / "w.json", node)
