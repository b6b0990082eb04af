"""Steps of ONNX files: the same products as those that are recorded of the module, and what a file alone can say."""

import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import torch

import workloads
from tests.workloads.onnx_models import MODELS, by_hand, example, export
from workloads.op import MatrixOp, Op, Phase, Role, VectorKind, VectorOp
from workloads.work import Work
from workloads.workload import Mode, Workload

onnx = pytest.importorskip("onnx", reason="pip install -e '.[onnx]' brings the package that reads ONNX files")
from workloads.onnx_file import graph  # noqa: E402 - needs onnx
from workloads.onnx_file.convolutions import equal_padding  # noqa: E402
from workloads.onnx_file.inference import with_sizes  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch's older exporter
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
Sizes = tuple[str, int, int, int, int]
LINEAR = [("MatMul", ["x0", "w"], ["y"])]


def products(workload: Workload) -> list[MatrixOp]:
    return [op for op in workload.ops if isinstance(op, MatrixOp)]


def sizes(ops: list[MatrixOp]) -> list[Sizes]:
    return [(op.phase.value, op.rows, op.inner, op.cols, op.count) for op in ops]


def vector(ops: tuple[Op, ...], phase: Phase = Phase.FF) -> list[tuple[str, int, int, int]]:
    found = (op for op in ops if isinstance(op, VectorOp) and op.phase is phase)
    return [(op.kind.value, op.elements, op.reads, op.writes) for op in found]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes are found here, which saves half a second for a file that is sound."""
    monkeypatch.setattr(graph, "inferred", lambda _, model: with_sizes(model))


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("is_open", [False, True], ids=["folded", "open batch"])
@pytest.mark.parametrize("name", MODELS)
def test_a_file_gives_the_products_that_are_recorded_of_its_module(name: str, is_open: bool, tmp_path: Path) -> None:
    module, inputs = example(name)
    recorded = workloads.record_module(module, inputs)
    path = export(module, inputs, tmp_path / "m.onnx", is_open)
    read = workloads.from_onnx(path, 2 if is_open else None)
    assert Counter(sizes(products(read))) == Counter(sizes(products(recorded)))
    forward = [each for each in sizes(products(read)) if each[0] == "FF"]
    assert forward == [each for each in sizes(products(recorded)) if each[0] == "FF"]
    assert {op.geometry for op in products(read)} == {op.geometry for op in products(recorded)}
    assert (read.batch, read.parameters) == (2, sum(each.numel() for each in module.parameters()))
    updated = sum(op.elements for op in read.ops if isinstance(op, VectorOp) and op.kind is VectorKind.UPDATE)
    assert updated == read.parameters
    assert 0.5 < read.saved_elements / recorded.saved_elements < 1.5 or name in ("gru", "signal", "factors")


def test_layers_are_called_as_their_modules(tmp_path: Path) -> None:
    module, inputs = example("residual")
    read = workloads.from_onnx(export(module, inputs, tmp_path / "m.onnx"))
    names = ["stem", *(f"blocks.{each}.{conv}" for each in "01" for conv in ("conv1", "conv2", "down")), "head"]
    assert [op.layer for op in products(read) if op.phase is Phase.FF] == names
    assert read.kept_dense == ("stem", "head")
    assert all(op.right.role is Role.WEIGHT for op in products(read) if op.phase is not Phase.WU)
    order = [(op.layer, op.phase.value) for op in products(read) if op.phase is not Phase.FF]
    assert order[:2] == [("head", "BP"), ("head", "WU")] and order[-1] == ("stem", "WU")
    assert read.ops[-1].phase is Phase.UP


def test_a_module_noted_beside_a_node_is_its_layer_and_a_second_name_gets_a_number(tmp_path: Path) -> None:
    nodes = [("MatMul", ["x0", "w"], ["y"]), ("MatMul", ["y", "v"], ["z"]), ("MatMul", ["z", "w"], ["u"])]
    path = by_hand(tmp_path / "m.onnx", nodes, [(3, 4)], {"w": (4, 4), "v": (4, 4)})
    model = onnx.load(str(path))
    for node, noted in zip(
        model.graph.node, ["['', 'a', 'a.b', 'linear']", "['', 'linear']", "not a list"], strict=True
    ):
        node.name = "" if "a.b" not in noted else "node_linear"
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=noted)
    onnx.save(model, str(path))
    read = workloads.from_onnx(path)
    assert [op.layer for op in products(read) if op.phase is Phase.FF] == ["a.b", "MatMul", "MatMul_2"]
    updates = [(op.layer, op.elements) for op in read.ops if op.phase is Phase.UP and isinstance(op, VectorOp)]
    assert updates == [("a.b", 16), ("MatMul", 16)]  # the third layer has the first one's weight


def test_vector_work_is_counted_as_the_recorder_counts_it(tmp_path: Path) -> None:
    nodes = [
        ("Conv", ["x0", "w", "b"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["c", "s", "t", "mean", "mean"], ["n"]),
        ("Relu", ["n"], ["r"]),
        ("Add", ["r", "c"], ["a"]),
        ("Reshape", ["a", "shape"], ["flat"]),
        ("Softmax", ["flat"], ["z"]),
    ]
    path = by_hand(
        tmp_path / "m.onnx", nodes, [(2, 3, 4, 4)], {"w": (8, 3, 3, 3), "b": (8,), "s": (8,), "t": (8,), "mean": (8,)}
    )
    model = onnx.load(str(path))
    model.graph.initializer.append(onnx.numpy_helper.from_array(torch.tensor([2, -1]).numpy(), "shape"))
    onnx.save(model, str(path))
    read = workloads.from_onnx(path)
    assert vector(read.ops) == [
        ("elementwise", 256, 256, 256),  # the bias
        ("normalisation", 256, 512, 256),
        ("activation", 256, 256, 256),
        ("elementwise", 256, 512, 256),
        ("softmax", 256, 512, 256),
    ]
    assert vector(read.ops, Phase.UP) == [("update", 216, 648, 432), ("update", 8, 24, 16), ("update", 16, 48, 32)]
    assert read.parameters == 216 + 8 + 16  # the statistics of a batch norm are none


CONVS = {  # attributes, sizes of the input, (kernel), padding that is taken
    "SAME_UPPER at stride 2": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 3, 8, 8), (1, 1)),
    "SAME_LOWER at stride 2": ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 3, 8, 8), (1, 1)),
    "SAME_UPPER at stride 1": ({"auto_pad": "SAME_UPPER"}, (1, 3, 8, 8), (1, 1)),
    "VALID": ({"auto_pad": "VALID"}, (1, 3, 8, 8), (0, 0)),
    "never read": ({"pads": [0, 0, 1, 1], "strides": [4, 4]}, (1, 3, 9, 9), (0, 0)),
}


@pytest.mark.parametrize("case", CONVS)
def test_padding_that_comes_to_the_same_is_taken(case: str, tmp_path: Path) -> None:
    attributes, inputs, padding = CONVS[case]
    path = by_hand(tmp_path / "m.onnx", [("Conv", ["x0", "w"], ["y"], attributes)], [inputs], {"w": (4, 3, 3, 3)})
    forward, _ = products(workloads.from_onnx(path))
    assert forward.geometry is not None and forward.geometry.padding == padding
    assert not forward.mismatch()


def test_equal_padding_reads_the_same_pixels() -> None:
    """Where one padding is taken for two, every position of the kernel reads as many pixels, from either side."""

    def inside(front: int, outputs: int) -> list[int]:
        starts = range(-front, -front + outputs * stride, stride)
        return [sum(0 <= start + tap < size for tap in range(kernel)) for start in starts]

    taken = 0
    for size, kernel, stride, front, behind in product(range(3, 9), (1, 2, 3, 5), (1, 2, 3), range(3), range(4)):
        outputs = (size + front + behind - kernel) // stride + 1
        padding = equal_padding(size, outputs, front, stride, kernel)
        if outputs > 0 and padding is not None:
            taken += 1
            assert inside(front, outputs) in (inside(padding, outputs), inside(padding, outputs)[::-1])
    assert taken > 300


def test_attention_in_one_node_with_shared_keys(tmp_path: Path) -> None:
    nodes = [
        ("MatMul", ["x0", "q"], ["queries"]),
        ("MatMul", ["x0", "k"], ["keys"]),
        ("Attention", ["queries", "keys", "keys"], ["y"], {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1}),
    ]
    path = by_hand(tmp_path / "m.onnx", nodes, [(2, 5, 8)], {"q": (8, 16), "k": (8, 8)}, opset=23)
    read = workloads.from_onnx(path)
    ones = [each for each in sizes(products(read)) if each[4] == 4]
    assert ones == [
        ("FF", 10, 4, 5, 4),  # two heads of 5 queries by 5 keys; batch 2 by 2 heads of keys
        ("FF", 10, 5, 4, 4),
        ("BP", 10, 4, 5, 4),
        ("BP", 4, 10, 5, 4),
        ("BP", 10, 5, 4, 4),
        ("BP", 5, 10, 4, 4),
    ]
    assert ("softmax", 200, 400, 200) in vector(read.ops)


def test_a_gru_that_resets_before_it_multiplies_is_two_products_a_step(tmp_path: Path) -> None:
    nodes = [("GRU", ["x0", "w", "r"], ["y"], {"hidden_size": 6})]
    path = by_hand(tmp_path / "m.onnx", nodes, [(2, 3, 5)], {"w": (1, 18, 5), "r": (1, 18, 6)})
    forward = [each for each in sizes(products(workloads.from_onnx(path))) if each[0] == "FF"]
    assert forward == [("FF", 6, 5, 18, 1), *[("FF", 3, 6, 12, 1), ("FF", 3, 6, 6, 1)] * 2]


def test_a_matrix_shared_over_a_batch_is_multiplied_once_and_constants_are_no_weights(tmp_path: Path) -> None:
    nodes = [
        ("MatMul", ["x0", "heads"], ["a"]),  # a weight a head, for every image: its rows are those of all images
        ("Constant", [], ["c"], {"value": onnx.helper.make_tensor("c", 1, (5, 2), [1.0] * 10)}),
        ("MatMul", ["a", "c"], ["b"]),
        ("Einsum", ["b", "b"], ["e"], {"equation": "...ij,...ij->...ij"}),  # nothing is summed
        ("Einsum", ["e", "e"], ["y"], {"equation": "bhij, bhkj"}),
    ]
    path = by_hand(tmp_path / "m.onnx", nodes, [(2, 3, 7, 4)], {"heads": (3, 4, 5)})
    read = workloads.from_onnx(path)
    assert [each for each in sizes(products(read)) if each[0] == "FF"] == [
        ("FF", 14, 4, 5, 3),
        ("FF", 42, 5, 2, 1),
        ("FF", 7, 12, 7, 1),  # without an arrow what both have is summed over
    ]
    assert [op.right.role for op in products(read)][:2] == [Role.WEIGHT, Role.ACTIVATION]
    backward = [(op.layer, op.phase.value, op.rows, op.inner, op.cols) for op in products(read)][3:]
    assert backward == [
        ("my_y", "BP", 7, 7, 12),
        ("my_y", "BP", 7, 7, 12),
        ("my_b", "BP", 42, 2, 5),  # and no WU: nobody trains the constant
        ("my_a", "WU", 4, 14, 5),
    ]


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "m.onnx", [("Twice", ["x0", "w"], ["y"], {}, "mine")], [(3, 4)], {"w": (4, 4)})
    model, make = onnx.load(str(path)), onnx.helper.make_node
    inner = [make("MatMul", ["a", "b"], ["c"], name="one"), make("MatMul", ["c", "b"], ["d"], name="two")]
    opset = [onnx.helper.make_opsetid("", 20)]
    model.functions.append(onnx.helper.make_function("mine", "Twice", ["a", "b"], ["d"], inner, opset))
    onnx.save(model, str(path))
    assert [each[1:4] for each in sizes(products(workloads.from_onnx(path, mode=Mode.INFERENCE)))] == [(3, 4, 4)] * 2


def test_weights_are_not_read_wherever_they_lie(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "m.onnx", LINEAR, [("batch", 64)], {"w": (64, 512)})
    outside = tmp_path / "outside.onnx"
    onnx.save(onnx.load(str(path)), str(outside), save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "weights").unlink()
    inside, there = workloads.from_onnx(path, 8), workloads.from_onnx(outside, 8)
    assert inside.ops == there.ops and sizes(products(inside))[0] == ("FF", 8, 64, 512, 1)
    work, before = Work(onnx=str(path), batch=8), path.read_bytes()
    model = onnx.load(str(path))
    model.graph.initializer[0].raw_data = b"\x01" + model.graph.initializer[0].raw_data[1:]
    onnx.save(model, str(path))
    assert path.read_bytes() != before and work.pinned() == replaced(work, before, path)


def replaced(work: Work, content: bytes, path: Path) -> Work:
    path.write_bytes(content)
    return work.pinned()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch.export itself
@pytest.mark.parametrize("name", ["residual", "encoder"])
def test_an_exported_program_is_recorded_with_the_names_of_its_modules(name: str) -> None:
    module, inputs = example(name)
    recorded = workloads.record_module(module, inputs)
    program = torch.export.export(module, (inputs,))
    before = {key: value.clone() for key, value in program.state_dict.items()}
    found = workloads.record_module(program, inputs)
    assert [(op.layer, *size) for op, size in zip(products(found), sizes(products(found)), strict=True)] == [
        (op.layer, *size) for op, size in zip(products(recorded), sizes(products(recorded)), strict=True)
    ]
    assert found.kept_dense == recorded.kept_dense and found.parameters == recorded.parameters
    assert all(torch.equal(value, before[key]) for key, value in program.state_dict.items())


def test_onnx_is_imported_for_a_file_alone() -> None:
    code = (
        "import sys, workloads.named, workloads.files.slim, workloads.onnx_file; from workloads.work import Work; "
        "workloads.named.load_workload(Work(gemms=('8x8x8',))); print('onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_torch_is_not_imported_for_a_file(tmp_path: Path) -> None:
    by_hand(tmp_path / "m.onnx", LINEAR, [(8, 64)], {"w": (64, 32)})
    code = (
        "import sys, pathlib, workloads; workloads.from_onnx(pathlib.Path(sys.argv[1])); "
        "print({'torch', 'ml_dtypes', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "m.onnx")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("set()", "{'ml_dtypes'}")  # which onnx itself may import
