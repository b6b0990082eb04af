"""ONNX files on the command line and in the library: cards, what is said of them, and other works beside them."""

import json
from pathlib import Path

import pytest
import torch

import workloads
from simulator import load_result
from simulator import simulate as run
from simulator.job import Job, Source
from tests.command import Run, without
from tests.workloads.onnx_models import by_hand, example, export
from workloads.errors import UserError
from workloads.work import Work
from workloads.workload import Mode

pytest.importorskip("onnx", reason="pip install -e '.[onnx]' brings the package that reads ONNX files")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch's older exporter
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of torch.export itself
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
LINEAR = [("MatMul", ["x0", "w"], ["y"])]


def test_what_is_not_in_a_derived_step_is_said(tmp_path: Path, simulate: Run) -> None:
    module, inputs = example("depthwise")
    export(module, inputs, tmp_path / "m.onnx")
    code, out, _ = simulate("--arch", "a100", "--onnx", "m.onnx", "--pattern", "2:4", "--out", "r")
    said = "derived from the forward pass of an ONNX file; vector work of the backward pass and the loss are not in it"
    assert code == 0 and said in out and "may have folded" not in out
    code, out, _ = simulate("--arch", "a100", "--onnx", "m.onnx", "--mode", "inference", "--json", "--out", "i")
    assert code == 0 and {op["phase"] for op in json.loads(out)["ops"]} == {"FF"}
    result = load_result(Path("r"))
    assert result.card.job.work.onnx == str((tmp_path / "m.onnx").resolve())
    assert " ".join(result.card.job.command_line()).endswith(f"--onnx {result.card.job.work.onnx}")
    again = Job.from_json(json.loads(json.dumps(result.card.job.to_json())))
    assert again == result.card.job
    export(example("unet")[0], example("unet")[1], tmp_path / "m.onnx", training=False)
    with pytest.raises(UserError, match="has changed since this was run"):
        again.work.pinned()
    folded = workloads.from_onnx(tmp_path / "m.onnx")
    assert "has no layer that normalises, which an export for inference may have folded" in folded.capture.shapes
    assert "derived" not in workloads.from_onnx(tmp_path / "m.onnx", mode=Mode.INFERENCE).capture.shapes


def test_the_library_takes_a_file_by_its_name_and_digests_of_other_works_stay(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "m.onnx", LINEAR, [("batch", 64)], {"w": (64, 32)})
    result = run("a100", "2:4", path, batch=16)
    assert (result.card.batch, result.card.model, set(result.ops["layer"])) == (16, "m", {"my_y"})
    assert "onnx" not in Work(model="resnet18").told() and "onnx" in Work(onnx="m.onnx").told()
    assert "onnx" not in Job(Source("sat"), Work(model="resnet18")).to_json()["work"]  # type: ignore[operator]


def test_the_library_takes_an_exported_program() -> None:
    module, inputs = example("encoder")
    found = run("a100", "2:4", torch.export.export(module, (inputs,)), inputs=inputs)
    assert {"qkv", "head"} <= set(found.ops["layer"])


def test_a_missing_package_is_one_sentence_with_its_extra(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    done = without("onnx", tmp_path, "--onnx", "m.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("simulate: this needs the package 'onnx', which is missing: pip install ")


MISTAKES = [
    (("--onnx", "m.onnx", "--model", "resnet9"), "--model and --onnx given"),
    (("--onnx", "m.onnx", "--gemm", "8x8x8"), "--gemm, --topology"),
    (("--onnx", "m.onnx", "--matrix", "rmat:3:2"), "give --matrix or --onnx, not both"),
    (("--onnx", "none.onnx"), "none.onnx: cannot be read: No such file"),
    (("--onnx", "."), ".: is a folder"),
    (("--onnx", "/dev/zero"), "/dev/zero: is not a regular file"),
    (("--onnx", "m.onnx", "--sequence", "4"), "--sequence: only a captured workload has a sequence length"),
    (
        ("--onnx", "m.onnx"),
        "m.onnx: the first axis of its input 'x0' ('batch') is open; --batch N says how large it is",
    ),
    (("--onnx", "m.onnx", "--batch", "0"), "--batch 0: must be at least 1"),
    (("--onnx", "m.onnx", "--batch", "9999999999"), "--batch 9999999999: must be below 2147483648"),
    (("--onnx", "m.onnx", "--batch", "2", "--limit", "ops=2"), "m.onnx: the step has 3 ops, and 2 are taken; --limit"),
    (
        ("--onnx", "m.onnx", "--batch", "2", "--mode", "inference", "--optimizer", "sgd"),
        "--optimizer: inference has no",
    ),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(each) for each, _ in MISTAKES])
def test_mistakes_are_one_sentence(arguments: tuple[str, ...], said: str, simulate: Run, tmp_path: Path) -> None:
    by_hand(tmp_path / "m.onnx", LINEAR, [("batch", 64)], {"w": (64, 32)})
    code, out, err = simulate(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err
