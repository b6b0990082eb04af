"""A user's own module from the command line: recorded, simulated, or refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import Run
from tests.workloads.users_package import module as module  # a fixture


def trace(simulate: Run, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    code, out, err = simulate("trace", *arguments, "--out", "w.json", "--force")
    assert (code, err) == (0, "")
    assert "recorded: simulate --workload w.json" in out
    node: dict[str, Any] = json.loads((tmp_path / "w.json").read_text())
    return {**node, "said": out}


def products(node: dict[str, Any]) -> list[tuple[str, str]]:
    return [(op["layer"], op["phase"]) for op in node["ops"] if "left" in op]


def test_a_traced_module_is_simulated(simulate: Run, tmp_path: Path, module: str) -> None:
    code, out, err = simulate("trace", f"{module}:convs", "--input", "2x3x16x16", "--pattern", "2:8")
    assert (code, err) == (0, "")
    assert f"{module}:convs: 11 products, " in out
    assert "loss: cross-entropy on random targets, with the output 2x10 as logits" in out
    assert "dense unless --pattern LAYER=n:m names them: 0, 6" in out
    node = json.loads((tmp_path / "convs.json").read_text())
    assert (node["method"], node["pattern"], node["batch"], node["capture"]["masks"]) == ("bdwp", "2:8", 2, "measured")
    assert node["capture"]["loss"] > 0 and node["capture"]["dataset"] == "random inputs 2x3x16x16"
    code, out, err = simulate("--workload", "convs.json", "--json", "--out", "r")
    assert (code, err) == (0, "")
    sparse = {(op["layer"], op["phase"]) for op in json.loads(out)["ops"] if op["pattern"] == "2:8"}
    assert sparse == {("2", "FF"), ("2", "BP"), ("4", "FF"), ("4", "BP")}
    code, _, err = simulate("--workload", "convs.json", "--batch", "4")
    assert code == 2 and "convs.json: --batch 4: is a step recorded at batch 2, and holds no other" in err


def test_tokens_tied_weights_and_attention(simulate: Run, tmp_path: Path, module: str) -> None:
    shapes = trace(simulate, tmp_path, f"{module}:Tokens", "--input", "2x6:50", "--shapes-only")
    node = trace(simulate, tmp_path, f"{module}:Tokens", "--input", "2x6:50", "--optimizer", "adamw")
    assert products(shapes) == products(node)
    assert (node["batch"], node["sequence"]) == (2, 6)
    assert "with the output 2x6x50 as logits" in node["said"]
    names = {op["right"]["tensor"] for op in node["ops"] if op["layer"] == "head" and "left" in op}
    assert "embedding.weight" in names
    attention = [op for op in node["ops"] if op.get("count", 1) == 4 and "left" in op]
    assert [op["phase"] for op in attention] == ["FF"] * 2 + ["BP"] * 4
    assert {op["optimizer"] for op in node["ops"] if op.get("optimizer")} == {"adamw"}


def test_two_inputs_and_a_sum_of_squares(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:Two", "--input", "3x8", "--input", "3x4")
    assert "loss: the sum of squares of the output 24" in node["said"]
    assert products(node) == [("a", "FF"), ("b", "FF"), ("b", "WU"), ("a", "WU")]


def test_a_module_itself_and_a_single_layer(simulate: Run, tmp_path: Path, module: str) -> None:
    assert len(products(trace(simulate, tmp_path, f"{module}:built", "--input", "4x16"))) == 8
    assert products(trace(simulate, tmp_path, f"{module}:one", "--input", "4x16")) == [("model", "FF"), ("model", "WU")]
    node = trace(simulate, tmp_path, f"{module}:one", "--input", "4x16", "--pattern", "model=2:8")
    assert node["ops"][0]["right"]["pattern"] == {"kind": "n:m", "n": 2, "m": 8}


PLAIN = [("0", "FF"), ("2", "FF"), ("4", "FF"), ("4", "BP"), ("4", "WU"), ("2", "BP"), ("2", "WU"), ("0", "WU")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler
@pytest.mark.parametrize("name", ["linears", "compiled", "compiled_inside", "pruned", "pruned_by_ao"])
@pytest.mark.parametrize("shapes", [(), ("--shapes-only",)])
def test_products_do_not_depend_on_how_a_module_is_wrapped(
    simulate: Run, tmp_path: Path, module: str, name: str, shapes: tuple[str, ...]
) -> None:
    node = trace(simulate, tmp_path, f"{module}:{name}", "--input", "4x16", *shapes)
    assert products(node) == PLAIN
    zeros = {
        op["right"].get("zeros") for op in node["ops"] if op["layer"] == "2" and op["phase"] == "FF" and "left" in op
    }
    assert zeros == {None if shapes else {"pruned": 0.75, "pruned_by_ao": 0.5}.get(name, 0.0)}


def test_casts_and_checkpoints(simulate: Run, tmp_path: Path, module: str) -> None:
    inner = [(f"inner.{layer}", phase) for layer, phase in PLAIN]
    assert products(trace(simulate, tmp_path, f"{module}:cast", "--input", "4x16")) == inner
    again = products(trace(simulate, tmp_path, f"{module}:again", "--input", "4x16"))
    assert again[:3] + again[5:] == inner and again[3:5] == [("inner.0", "FF"), ("inner.2", "FF")]
    sparse = trace(simulate, tmp_path, f"{module}:again", "--input", "4x16", "--pattern", "2:8")
    assert len(products(sparse)) >= len(again)
    patterns = [op["right"].get("pattern") for op in sparse["ops"] if op["layer"] == "inner.2" and "left" in op]
    assert patterns.count({"kind": "n:m", "n": 2, "m": 8}) == len(patterns) - 1  # all but WU


def test_without_values_torch_takes_an_lstm_apart(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:lstm", "--input", "3x4x16", "--shapes-only")
    forward = [(op["rows"], op["inner"], op["cols"]) for op in node["ops"] if op["phase"] == "FF" and "left" in op]
    assert sorted(forward) == [(4, 4, 16)] * 3 + [(4, 16, 16)] * 3  # state and input of each step


def test_layers_that_wait_for_their_first_input(simulate: Run, tmp_path: Path, module: str) -> None:
    for shapes in ((), ("--shapes-only",)):
        node = trace(simulate, tmp_path, f"{module}:lazy", "--input", "4x16", "--pattern", "2:4", *shapes)
        assert [op["inner"] for op in node["ops"] if op["phase"] == "FF" and "left" in op] == [16, 16, 8]


def test_a_shared_module_is_recorded_as_it_is(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:shared", "--input", "4x16")
    assert [layer for layer, phase in products(node) if phase == "FF"] == ["0", "0", "3"]


@pytest.mark.parametrize(
    ("name", "layer", "pattern"),
    [("shared", "0", "0=2:8"), ("pruned", "2", "2:8"), ("pruned_by_ao", "2", "2:8"), ("own", "1", "2:8")],
)
def test_modules_of_every_kind_take_a_method(
    simulate: Run, tmp_path: Path, module: str, name: str, layer: str, pattern: str
) -> None:
    """A module used twice, one that a tool pruned, and one with a forward pass of its own."""
    node = trace(simulate, tmp_path, f"{module}:{name}", "--input", "4x16", "--pattern", pattern)
    found = [op for op in node["ops"] if op["layer"] == layer and op["phase"] in ("FF", "BP") and "left" in op]
    assert len(found) == 3 if name == "shared" else 2
    assert all(op["right"]["pattern"] == {"kind": "n:m", "n": 2, "m": 8} for op in found)
    assert all(op["right"]["zeros"] >= 0.75 for op in found)


def test_a_weight_that_its_parent_reads_takes_a_method(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:reader", "--input", "4x16", "--pattern", "read=2:8")
    found = [op for op in node["ops"] if "left" in op and op["right"]["tensor"] == "read.weight"]
    assert [(op["phase"], op["right"]["zeros"]) for op in found] == [("FF", 0.75), ("BP", 0.75)]
    code, _, err = simulate("trace", f"{module}:reader", "--input", "4x16", "--pattern", "2:8", "--method", "sdgp")
    assert code == 2 and "no layer became sparse" in err  # the reader is the first layer and the last


def test_tied_layers_take_a_method(simulate: Run, tmp_path: Path, module: str) -> None:
    node = trace(simulate, tmp_path, f"{module}:tied", "--input", "4x16", "--pattern", "2:4")
    zeros = {op["layer"]: op["right"]["zeros"] for op in node["ops"] if op["phase"] == "FF" and "left" in op}
    assert zeros == {"0": 0.0, "1": 0.5, "2": 0.5, "3": 0.0}


@pytest.mark.parametrize(
    "change",
    [
        ("--input", "8x16"),
        ("--method", "sdgp", "--pattern", "2:4"),
        ("--pattern", "1:4"),
        ("--method", "bimask", "--set", "seed=4", "--pattern", "2:4"),
        ("--optimizer", "adam"),
        ("--loss", "squares"),
        ("--shapes-only",),
        ("--seed", "3"),
    ],
)
def test_an_option_changes_the_workload(simulate: Run, tmp_path: Path, module: str, change: tuple[str, ...]) -> None:
    plain = ["--input", "4x16", "--pattern", "2:4"]
    changed = [*([] if change[0] == "--input" else plain[:2]), *([] if "--pattern" in change else plain[2:]), *change]
    nodes = [trace(simulate, tmp_path, f"{module}:linears", *arguments) for arguments in (plain, changed)]
    for node in nodes:
        del node["said"]
        node["capture"]["dataset"] = ""
    assert nodes[0] != nodes[1]
    assert trace(simulate, tmp_path, f"{module}:linears", *plain)["ops"] == nodes[0]["ops"]
