"""Work of odd or enormous sizes: each is a sentence, said before the work is spent."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.command import Run
from workloads.errors import UserError
from workloads.files.limits import Limits
from workloads.named import load_workload
from workloads.pattern import parse_patterns
from workloads.samples import read_samples
from workloads.shipped import shipped_path
from workloads.stored import instantiate, read_template, text_of
from workloads.work import Work

CONV = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"
GEMM = "Layer, M, N, K,\n"
TOPOLOGIES = [
    (CONV + "a,2000000000,1,1999999999,1,1,1,1,\n", "t.csv:2: the kernel 1999999999x1 has 1,999,999,999 positions"),
    (
        CONV + "".join(f"{name},20000,20000,60,60,8,8,5000,\n" for name in "ab"),
        "the step of t has 3,602 distinct products, and 300 are taken",
    ),
    (CONV + "a,2000000000,2000000000,1,1,1,1,1000000000,\n", "elements of its tensors do not fit 64 bits"),
    (GEMM + "," * 1_000_000 + "1\n", "t.csv:2: a layer needs a name"),
    (
        GEMM + "a,1,1,1\n" * 1_000_000,
        "t.csv: a step of so many layers has 4,000,000 ops, and 6,000 are taken; --limit ops",
    ),
    (GEMM + "".join(f"a{n},{n},2,3\n" for n in range(1, 102)), "the step of t has 302 distinct products"),
    (GEMM + "a" * 501 + ",1,1,1\n", "t.csv:2: a name has 501 letters, and 500 are taken"),
    (GEMM + "a\0b,1,1,1\n", "t.csv:2: the name 'a\\x00b' holds a line break, or what is no letter"),
    (GEMM + '"a\nb",1,1,1\n', "t.csv:3: the name 'a\\nb' holds a line break"),
    (GEMM + f"a,{'9' * 200_000},1,1\n", "t.csv:2: field larger than field limit (131072)"),
]


@pytest.mark.parametrize(("text", "said"), TOPOLOGIES, ids=[said[:40] for _, said in TOPOLOGIES])
def test_an_odd_topology_is_refused_in_a_sentence(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        load_workload(Work(topology=str(tmp_path / "t.csv")))
    assert said in str(caught.value)
    assert time.process_time() - began < 3


def test_a_topology_may_have_the_line_ends_and_the_marks_of_other_systems(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + (GEMM + "a,1,2,3\nb,4,5,6\n").replace("\n", "\r\n").encode())
    assert len(load_workload(Work(topology=str(tmp_path / "t.csv"))).ops) == 7
    (tmp_path / "t.csv").write_bytes(GEMM.encode("utf-16"))
    with pytest.raises(UserError, match="is not a text file; a topology is CSV"):
        load_workload(Work(topology=str(tmp_path / "t.csv")))


@pytest.mark.parametrize(
    "work", [Work(topology="/dev/zero"), Work(workload="/dev/zero"), Work(matrices=("/dev/zero",))]
)
def test_a_device_is_no_file(work: Work) -> None:
    with pytest.raises(UserError, match="/dev/zero: is not a regular file"):
        load_workload(work)


def test_numbers_of_the_command_line_have_sizes_that_can_be(simulate: Run) -> None:
    for option in ("--batch", "--sequence"):
        code, _, err = simulate("--model", "gpt2-small", option, "9" * 320)
        assert code == 2 and "more does not fit 64 bits" in err and err.count("\n") == 1
    assert load_workload(Work(model="gpt2-small", limits=Limits(distinct_products=20))).distinct_products == 20


def resnet() -> dict[str, Any]:
    node: dict[str, Any] = json.loads(shipped_path("resnet9").read_text())
    del node["samples"]
    return node


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(node: Any) -> None:
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


GEOMETRY = ("ops", 0, "geometry")
EDITS = [
    (put("schema_version", value=3), "schema_version: this has version 3, and this program reads 2"),
    (put("ops", 0, "rows", value={"B": 10**39}), "ops.0.rows: input should be less than or equal to"),
    (put("ops", 0, "rows", value={"B": "x"}), "the coefficient of 'B' is no whole number"),
    (put("ops", 0, "layer", value="a\nb"), "ops: the name 'a\\nb' holds a line break"),
    (put("ops", 0, "layer", value=""), "ops: a name is empty"),
    (put("ops", 0, "left", "tensor", value="x" * 501), "a name has 501 letters"),
    (put(*GEOMETRY, "padding", value=[0, 0]), "rows is 524288, not 460800 as its geometry says"),
    (put(*GEOMETRY, "kernel", value=[99, 3]), "the kernel, 99x3 wide, does not fit the padded input"),
    (put(*GEOMETRY, "dilation", value=[10**15, 1]), "does not fit the padded input"),
    (put(*GEOMETRY, "groups", value=2), "2 groups do not divide 3 and"),
    (put(*GEOMETRY, "kernel", value=[5000, 5000]), "has 25,000,000 positions; 4,096 are taken"),
    (put("ops", 0, "right", "pattern", value={"kind": "n:m", "n": 2, "m": 0}), "'2:0' has empty groups"),
    (put("ops", 0, "right", "pattern", value={"kind": "density", "density": 7}), "the density must be above 0"),
    (put("orders", value={"x": [[0, 0]]}), "orders: x: is no order"),
    (put("capture", "loss", value=float("nan")), "capture.loss: input should be"),
    (put("training_only", value=["*"] * 1001), "training_only: "),
    (put("samples", value="00"), "samples: belongs to"),
    (put("ops", value=[{}] * 6001), "the step has 6,001 ops, and 6,000 are taken; --limit ops=N raises that"),
]


@pytest.mark.parametrize(("change", "said"), EDITS, ids=[said[:40] for _, said in EDITS])
def test_an_odd_workload_is_refused_in_a_sentence(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    node, path = resnet(), tmp_path / "w.json"
    change(node)
    path.write_text(json.dumps(node))
    with pytest.raises(UserError) as caught:
        instantiate(read_template(path), path)
    assert said in str(caught.value)


def test_an_order_of_channels_has_the_length_of_its_layer(tmp_path: Path) -> None:
    node, path = resnet(), tmp_path / "w.json"
    backward = next(op for op in node["ops"] if op["phase"] == "BP" and op.get("right", {}).get("role") == "weight")
    backward["right"]["permutation"] = "x"
    node["orders"] = {"x": [[1, 0]]}
    path.write_text(json.dumps(node))
    with pytest.raises(UserError, match="permutation: 'x' does not order 1 x"):
        instantiate(read_template(path), path)


def test_a_workload_that_was_read_is_written_as_it_was() -> None:
    path = shipped_path("resnet18")
    template = read_template(path)
    assert f'"samples": "{template.samples}",\n "ops"' in path.read_text()
    assert read_template(path) == template and template.samples in text_of(template)


def altered(change: Callable[[dict[str, np.ndarray]], None], folder: Path, settings: str | None = None) -> Path:
    """A capture in a folder, its samples changed."""
    path = shutil.copy(shipped_path("resnet9"), folder / "w.json").with_suffix(".safetensors")
    tensors = load_file(shipped_path("resnet9").with_suffix(".safetensors"))
    change(tensors)
    given = '{"step": 25, "learning_rate": 0.01, "weight_decay": 0.0001, "momentum": 0.9}'
    save_file(tensors, path, {} if settings == "" else {"settings": settings or given})
    return path


def first(name: str, tensors: dict[str, np.ndarray]) -> str:
    return next(key for key in tensors if key.endswith(f"/{name}"))


def without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda tensors: tensors.pop(first(name, tensors)) is None


def changed(name: str, to: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda tensors: tensors.update({(key := first(name, tensors)): to(tensors[key])})


SAMPLES = [
    (without("weight"), None, "/weight: is missing"),
    (without("state.momentum"), None, "/state.momentum: is missing"),
    (changed("weight_after", lambda each: each[:-1].copy()), None, "/weight_after: has the shape"),
    (changed("input", lambda each: each.astype(np.float32)), None, "/input: holds float32; float16 is wanted"),
    (changed("grad_output", lambda each: each[:, :-1].copy()), None, "channels, which do not fit a weight of"),
    (dict.copy, "", "settings: is missing"),
    (dict.copy, '{"step": 1, "learning_rate": NaN, "weight_decay": 0}', "settings: learning_rate: "),
    (dict.copy, '{"step": 0, "learning_rate": 1, "weight_decay": 0}', "settings: step: "),
]


@pytest.mark.parametrize(("change", "settings", "said"), SAMPLES)
def test_samples_that_are_not_what_they_should_be_are_refused(
    change: Callable[[dict[str, np.ndarray]], None], settings: str | None, said: str, tmp_path: Path
) -> None:
    path = altered(change, tmp_path, settings)
    with pytest.raises(UserError) as caught:
        read_samples(path)
    assert said in str(caught.value) and str(path) in str(caught.value)
    workload = path.with_suffix(".json")
    with pytest.raises(UserError, match=r"is not the file of samples that .* was written with"):
        instantiate(read_template(workload), workload)
    path.unlink()
    with pytest.raises(UserError, match=r"samples: belongs to .* which is not there"):
        instantiate(read_template(workload), workload)


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_samples_of_a_type_that_numpy_has_not_are_refused(kind: str, tmp_path: Path) -> None:
    path = altered(lambda _: None, tmp_path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    name = next(name for name, each in head.items() if name != "__metadata__" and each["dtype"] == "F16")
    head[name]["dtype"] = kind
    if kind != "BF16":
        head[name]["shape"][-1] *= 2  # of half as many bytes each
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(UserError, match=f"a tensor has the type '{kind}', which is not read; use F16, F32 or F64"):
        read_samples(path)


def test_samples_of_the_first_update_start_from_zeros(tmp_path: Path) -> None:
    path = altered(
        lambda tensors: [tensors.pop(key) for key in list(tensors) if "state" in key] and None,
        tmp_path,
        '{"step": 1, "learning_rate": 0.01, "weight_decay": 0.0001, "momentum": 0.9}',
    )
    assert all(not sample.state["momentum"].any() for sample in read_samples(path).layers.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("density " + "1" * 100_000 + "x", "is not a pattern"),
        ("9" * 5000 + ":8", "is not a pattern"),
        (",".join(f"a{n}=2:8" for n in range(1001)), "1,001 patterns are given, and 1,000 are taken"),
        ("*a" * 1000 + "=2:8", "a glob has 2,000 letters"),
    ],
)
def test_an_odd_pattern_is_refused_in_a_sentence(text: str, said: str) -> None:
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        parse_patterns([text])
    assert said in str(caught.value)
    assert time.process_time() - began < 1
