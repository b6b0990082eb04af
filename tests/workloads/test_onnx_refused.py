"""What is refused of ONNX files, each in a sentence; and damaged files, which never end in anything else."""

import random
from pathlib import Path
from typing import Any

import pytest

import workloads
from tests.workloads.onnx_models import by_hand
from workloads.errors import UserError
from workloads.files.limits import LIMITS, parse_limits
from workloads.files.slim import read_slim
from workloads.workload import Mode

onnx = pytest.importorskip("onnx", reason="pip install -e '.[onnx]' brings the package that reads ONNX files")
FLOAT, INT = 1, 7
WEIGHT = {"w": (4, 4)}
CONV = {"w": (4, 3, 3, 3)}
IMAGE = [(1, 3, 8, 8)]
Node = tuple[Any, ...]

REFUSED: dict[str, tuple[list[Node], list[Any], dict[str, Any], str]] = {
    "another domain": (
        [("FusedMatMul", ["x0", "w"], ["y"], {}, "com.microsoft")], [(3, 4)], WEIGHT,
        "node 'my_y' (FusedMatMul) is an operator of the domain 'com.microsoft'; export without graph optimisation",
    ),
    "unknown": ([("Det", ["x0"], ["y"])], [(4, 4)], {}, "node 'my_y' (Det) is not known; export the model with"),
    "quantised": (
        [("DequantizeLinear", ["x0", "w"], ["y"])], [(4, 4)], {"w": (1,)}, "(DequantizeLinear) is of a quantised model"
    ),
    "a loop": ([("Loop", ["x0", "x0"], ["y"])], [(4, 4)], {}, "(Loop) is control flow: what runs is known only when"),
    "a scan": ([("Scan", ["x0"], ["y"])], [(4, 4)], {}, "(Scan) is control flow"),
    "an open size": (
        [("MatMul", ["x0", "w"], ["y"])], [(3, "tokens", 4)], WEIGHT,
        "axis 1 of its input 'x0' ('tokens') is open, and --batch sets first axes alone; export it with that size",
    ),
    "an open size without a name": (
        [("MatMul", ["x0", "w"], ["y"])], [(3, None, 4)], WEIGHT, "axis 1 of its input 'x0' is open"
    ),
    "no sizes": ([("MatMul", ["x0", "w"], ["y"])], [None], WEIGHT, "its input 'x0' has no sizes"),
    "a size of zero": ([("MatMul", ["x0", "w"], ["y"])], [(0, 4)], WEIGHT, "axis 0 of its input 'x0' has size 0"),
    "sizes that do not fit": (
        [("MatMul", ["x0", "w"], ["y"])], [(3, 5)], WEIGHT, "its sizes do not fit together: "
    ),
    "sizes that only values tell": (
        [("NonZero", ["x0"], ["n"]), ("Cast", ["n"], ["f"], {"to": FLOAT}), ("MatMul", ["f", "w"], ["y"])], [(4, 4)],
        WEIGHT, "node 'my_n' (NonZero): how large 'n' is is known only when it runs",
    ),
    "no product": ([("Relu", ["x0"], ["y"])], [(3, 4)], {}, "multiplies nothing, so there is nothing to simulate"),
    "nothing to train": (
        [("MatMul", ["x0", "w"], ["a"]), ("ArgMax", ["a"], ["y"])], [(3, 4)], WEIGHT,
        "no output depends on a weight by floating-point numbers, so there is nothing to train; --mode inference",
    ),
    "padding of one end": (
        [("Conv", ["x0", "w"], ["y"], {"pads": [2, 0, 0, 0]})], IMAGE, CONV,
        "pads the two ends of axis 0 differently, by 2 in front; put the padding in a Pad node before it",
    ),
    "a convolution of four dimensions": (
        [("Conv", ["x0", "w"], ["y"])], [(1, 2, 3, 3, 3, 3)], {"w": (2, 2, 1, 1, 1, 1)}, "has 4 dimensions;"
    ),
    "a kernel of too many positions": (
        [("Conv", ["x0", "w"], ["y"])], [(1, 1, 80, 80)], {"w": (1, 1, 70, 70)}, "kernel 70x70 has 4,900 positions"
    ),
    "an Einsum of three": (
        [("Einsum", ["x0", "w", "w"], ["y"], {"equation": "ij,jk,kl->il"})], [(3, 4)], WEIGHT, "has 3 factors; two are"
    ),
    "an Einsum that sums one factor": (
        [("Einsum", ["x0", "w"], ["y"], {"equation": "ij,kl->kl"})], [(3, 4)], WEIGHT, "sums over 'i', an axis of one"
    ),
    "an Einsum along a diagonal": (
        [("Einsum", ["x0", "w"], ["y"], {"equation": "ij,jj->ij"})], [(3, 4)], WEIGHT, "takes a diagonal: 'ij,jj->ij'"
    ),
    "heads that do not divide": (
        [("Attention", ["x0", "x0", "x0"], ["y"], {"q_num_heads": 3, "kv_num_heads": 2})], [(2, 5, 12)], {},
        "has 3 heads of queries by 2 of keys",
    ),
    "gates that are not there": (
        [("LSTM", ["x0", "w", "r"], ["y"], {"hidden_size": 6})], [(2, 3, 5)], {"w": (1, 18, 5), "r": (1, 24, 6)},
        "has 18 gate outputs where 4 gates have 6 each",
    ),
    "too many steps": (
        [("RNN", ["x0", "w", "r"], ["y"], {"hidden_size": 6})], [(2**30, 3, 5)], {"w": (1, 6, 5), "r": (1, 6, 6)},
        "the step has 6,001 ops, and 6,000 are taken; --limit ops=N raises that",
    ),
    "what nothing makes": (
        [("MatMul", ["x0", "w"], ["y"]), ("Relu", ["a"], ["z"])], [(3, 4)], WEIGHT, "Relu"
    ),
    "a name of two lines": ([("MatMul", ["x0", "w"], ["a\nb"])], [(3, 4)], WEIGHT, "holds a line break, or what is no"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    nodes, sizes, weights, said = REFUSED[case]
    kind = INT if case == "nothing to train" else FLOAT
    opset = 23 if nodes[0][0] == "Attention" else 20
    path = by_hand(tmp_path / "m.onnx", nodes, sizes, weights, opset, result=kind)
    with pytest.raises(UserError) as raised:
        workloads.from_onnx(path)
    assert said in str(raised.value) and str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


def test_inference_of_a_file_that_cannot_be_trained(tmp_path: Path) -> None:
    nodes, sizes, weights, _ = REFUSED["nothing to train"]
    read = workloads.from_onnx(by_hand(tmp_path / "m.onnx", nodes, sizes, weights, result=INT), mode=Mode.INFERENCE)
    assert [op.phase.value for op in read.ops] == ["FF", "FF"]


def linear(path: Path) -> Any:
    return onnx.load(str(by_hand(path, [("MatMul", ["x0", "w"], ["y"])], [(3, 4)], WEIGHT)))


def refusal(model: Any, path: Path, **more: Any) -> str:
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UserError) as raised:
        workloads.from_onnx(path, **more)
    return str(raised.value).removeprefix(f"{path}: ")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = linear(path)
    model.opset_import[0].version = 99
    assert refusal(model, path).startswith("is of opset 99, and the package onnx ")
    del model.opset_import[:]
    assert refusal(model, path).startswith("is of opset 0, ")
    assert refusal(onnx.ModelProto(ir_version=8), path) == "holds no graph; an ONNX file has one, with nodes"
    assert refusal(onnx.ModelProto(), path) == "is empty; an ONNX file holds a graph"
    model = linear(path)
    model.graph.sparse_initializer.add(dims=[4, 4])
    assert refusal(model, path).startswith("has sparse initializers, which are not read")
    model = linear(path)
    model.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    assert refusal(model, path) == "node 'my_y' (MatMul) has a graph of its own, which is not read"
    assert refusal(linear(path), path, batch=5).startswith("--batch 5: was exported at batch 3, and holds no other")


def test_functions_without_end_are_refused(tmp_path: Path) -> None:
    path, make = tmp_path / "m.onnx", onnx.helper.make_node
    model = onnx.load(str(by_hand(path, [("f0", ["x0"], ["y"], {}, "mine")], [(3, 4)], {})))
    opsets = [onnx.helper.make_opsetid("mine", 1)]
    for number in range(40):  # each calls the next twice: 2^40 nodes
        calls = [make(f"f{number + 1}", ["a"], [name], domain="mine") for name in "bc"]
        model.functions.append(onnx.helper.make_function("mine", f"f{number}", ["a"], ["b"], calls, opsets))
    model.functions.append(
        onnx.helper.make_function("mine", "f40", ["a"], ["b"], [make("Relu", ["a"], ["b"])], model.opset_import)
    )
    assert "the graph has 1.1e+12 ops, and 6,000 are taken" in refusal(model, path)
    model.functions[-1].node[0].CopyFrom(make("f0", ["a"], ["b"], domain="mine"))
    assert "its functions call each other more than 64 deep, or in a circle" in refusal(model, path)


def test_what_ends_the_library_is_a_sentence(tmp_path: Path) -> None:
    nodes = [("Slice", ["w", "i", "i"], ["a"]), ("MatMul", ["x0", "a"], ["y"])]
    path = tmp_path / "m.onnx"
    model = onnx.load(str(by_hand(path, nodes, [(3, 4)], {"w": (4,)})))
    model.graph.initializer.append(onnx.helper.make_tensor("i", INT, (1,), [1]))
    for size, said in (
        (-1, "its sizes cannot be found: the package onnx ends over it"),
        (2**40, "its sizes do not fit"),
    ):
        model.graph.initializer[0].dims[0] = size
        assert refusal(model, path).startswith(said)


def test_a_file_is_read_within_limits_and_without_its_weights(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "m.onnx", [("MatMul", ["x0", "w"], ["y"])], [(3, 2048)], {"w": (2048, 1024)})
    assert path.stat().st_size > 8 * 2**20 and len(read_slim(path)) < 300
    assert workloads.from_onnx(path, limits=parse_limits(["file_mib=1"])).parameters == 2**21
    model = onnx.load(str(path))
    model.doc_string = "x" * 2**21
    said = refusal(model, path, limits=parse_limits(["file_mib=1"]))
    assert said.startswith("has more than 1 MiB beside its weights, which is the most that is read; --limit file_mib=N")
    model.doc_string = ""
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.node.extend([model.graph.node[0]] * LIMITS.ops)
    assert refusal(model, path).startswith("the graph has 6,001 ops, and 6,000 are taken")


def test_damaged_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    """Cut, and with bytes that are others: read, or refused in one sentence, and nothing else."""
    nodes = [
        ("Conv", ["x0", "w"], ["c"], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ("Relu", ["c"], ["r"]),
        ("ConvTranspose", ["r", "v"], ["y"], {"strides": [2, 2], "group": 2}),
    ]
    weights = {"w": (4, 3, 3, 3), "v": (4, 1, 2, 2)}
    whole = by_hand(tmp_path / "whole.onnx", nodes, [("batch", 3, 8, 8)], weights).read_bytes()
    path, drawn, kinds = tmp_path / "m.onnx", random.Random(1), {"read": 0, "refused": 0}
    for number in range(32):
        spoiled = bytearray(whole)
        if number % 4 == 0:
            del spoiled[drawn.randrange(len(whole)) :]
        for _ in range(number % 4):
            spoiled[drawn.randrange(len(whole))] = drawn.randrange(256)
        path.write_bytes(spoiled)
        try:
            workloads.from_onnx(path, 2)
            kinds["read"] += 1
        except UserError as error:
            kinds["refused"] += 1
            assert "\n" not in str(error)
    assert min(kinds.values()) > 3
