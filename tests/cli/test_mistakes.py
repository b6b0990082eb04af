"""A user's mistake: one sentence that says what, where, what is allowed; exit code 2; nothing left behind."""

from pathlib import Path

import pytest

from tests.command import Run
from workloads.shipped import shipped_path

RESNET = ("--model", "resnet18")
HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"

MISTAKES = [
    (("--model", "resnet81"), "unknown model 'resnet81'; did you mean 'resnet18'? (known: bert-base, "),
    (
        (*RESNET, "--pattern", "9:8"),
        "--pattern: '9:8' keeps more than a group has; n must be at most m, for example 8:9",
    ),
    ((*RESNET, "--pattern", "2:0"), "--pattern: '2:0' has empty groups; m must be at least 1, for example 2:8"),
    ((*RESNET, "--pattern", "0:8"), "--pattern: '0:8' keeps nothing; n must be at least 1"),
    ((*RESNET, "--pattern", "2/8"), "'2/8' is not a pattern; allowed are 'dense', 'n:m'"),
    ((*RESNET, "--pattern", "2:8,2:4"), "both '2:8' and '2:4' are meant for all layers"),
    ((*RESNET, "--pattern", "layer9.*=2:8"), "--pattern: unknown layer 'layer9.*'"),
    ((*RESNET, "--pattern", "fan-in 3"), "pattern 'fan-in 3' has no groups; this machine takes dense or n:m"),
    ((*RESNET, "--pattern", "16:32"), "pattern 16:32: array.group_max is 8, n may not be more"),
    ((*RESNET, "--pattern", "1:128"), "pattern 1:128: array.window_max is 64, m may not be more"),
    ((*RESNET, "list"), "--model stands before the sub-command 'list', where it would do nothing"),
    (("--pattern", "2:8", "list"), "--pattern stands before the sub-command 'list'"),
    (("resnet18",), "No such command 'resnet18'. 'resnet18' is given as --model resnet18."),
    (("lits",), "No such command 'lits'. Did you mean 'list'?"),
    ((*RESNET, "--set", "rows=64"), "unknown field 'rows'; did you mean 'array.rows' or 'rtl.rows'?"),
    ((*RESNET, "--arch", "SAT"), "unknown machine 'SAT'; did you mean 'sat'?"),
    ((*RESNET, "--option", "dataflow"), "--option dataflow: write NAME=VALUE"),
    ((*RESNET, "--option", "check_capacity=maybe"), "check_capacity: 'maybe' is neither true nor false"),
    ((*RESNET, "--no-capacity", "--option", "check_capacity=true"), "check_capacity is given already, as False"),
    (
        ("--matrix", "rmat:4:4", "--arch", "piuma", "--kernel", "outer", "--option", "kernel=inner"),
        "kernel is given already",
    ),
    (
        ("--arch", "piuma", "--gemm", "1x300000000x300000000", "--set", "vector.instructions_per_element=100"),
        "the step is too large: its amounts of instruction float do not fit 64 bits; take a smaller one",
    ),
    (
        ("--arch", "piuma", "--gemm", "1000000x1000000x380000", "--set", "pipeline.float_cycles=1000000"),
        "the step is too large: its cycles do not fit 64 bits; take a smaller one",
    ),
    (
        (*RESNET, "--kernel", "outer"),
        "kernel: a machine of kind systolic has no such choice (it has check_capacity, dataflow, objective",
    ),
    (("show", "stat"), "unknown name 'stat'; did you mean 'sat'?"),
    (("list", "modles"), "unknown list 'modles'; did you mean 'models'?"),
    (("--modle", "resnet18"), "No such option: --modle"),
    ((), "give exactly one of --model, --gemm, --topology, --workload, --onnx: none is given"),
    ((*RESNET, "--gemm", "3x4x5"), "--model and --gemm given"),
    ((*RESNET, "--batch", "0"), "--batch 0: must be at least 1"),
    ((*RESNET, "--batch", "many"), "'--batch'"),
    ((*RESNET, "--sequence", "4"), "model 'resnet18' has no sequence length"),
    ((*RESNET, "--mode", "infrence"), "unknown mode 'infrence'; did you mean 'inference'?"),
    ((*RESNET, "--mode", "inference", "--input-gradient"), "inference has no gradients"),
    ((*RESNET, "--optimizer", "adan"), "unknown optimizer 'adan'; did you mean 'adam'?"),
    ((*RESNET, "--dataflow", "row-stationary"), "unknown dataflow 'row-stationary'"),
    ((*RESNET, "--method", "bdpw"), "unknown method 'bdpw'; did you mean 'bdwp'?"),
    (
        (*RESNET, "--pattern", "2:8", "--method", "dense"),
        "--method dense keeps every weight: it takes no --pattern 2:8",
    ),
    ((*RESNET, "--mode", "inference", "--optimizer", "adam"), "--optimizer: inference has no gradients and no update"),
    (("--gemm", "3x4x5", "--input-gradient"), "every product of 3x4x5 has its BP already"),
    (("--gemm", "3x4x5", "--force"), "--force: overwrites the folder that --out names"),
    (("--gemm", "2147483647x2147483647x2147483647"), "the step is too large: 3.0e+28 multiply-accumulates"),
    (("--gemm", "1587401x1587401x158740"), "the step is too large"),
    ((*RESNET, "--set", "array.rows=64", "--set", "array.cols=true"), "array.cols: True is not allowed"),
    ((*RESNET, "--set", "clock_mhz=1e30"), "clock_mhz: 1e+30 is not allowed"),
    ((*RESNET, "--set", "memory.output_kib=1e-6"), "mapping fits the on-chip memories"),
    ((*RESNET, "--set", "array.rows= "), "write FIELD=VALUE"),
    ((*RESNET, "--pattern", "2:8", "--method", "bdpw"), "unknown method 'bdpw'; did you mean 'bdwp'?"),
    ((*RESNET, "--arch", "satt"), "unknown machine 'satt'; did you mean 'sat'? (known: "),
    ((*RESNET, "--arch", "./none.yaml"), "none.yaml: cannot be read: No such file"),
    ((*RESNET, "--set", "array.rwos=64"), "unknown field 'array.rwos'; did you mean 'array.rows'?"),
    ((*RESNET, "--set", "array=64"), "'array' is a group of fields: rows, cols"),
    ((*RESNET, "--set", "array.rows=[1"), "array.rows: '[1' is not allowed"),
    ((*RESNET, "--set", "array.rows=[1, 2]"), "'[1, 2]' is not a single value"),
    ((*RESNET, "--set", "array.rows=0"), "array.rows: 0 is not allowed: input should be greater than or equal to 1"),
    ((*RESNET, "--set", "array.rows"), "write FIELD=VALUE, for example array.rows=64"),
    ((*RESNET, "--set", "memory.west_kib=0.01"), "mapping fits the on-chip memories of this machine"),
    ((*RESNET, "--out", "/proc/nowhere/x"), "--out /proc/nowhere/x: cannot be written"),
    (("--gemm", "3x4"), "--gemm 3x4: write ROWSxCOLSxINNER with whole numbers above 0"),
    (("--gemm", "3x0x4"), "--gemm 3x0x4: write ROWSxCOLSxINNER"),
    (("--gemm", "3x4x5", "--batch", "2"), "--batch: a product given with --gemm has no batch"),
    (("--topology", "none.csv"), "none.csv: cannot be read: No such file"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(each) or "nothing" for each, _ in MISTAKES])
def test_one_sentence_and_exit_code_2(simulate: Run, arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    code, out, err = simulate(*arguments)
    assert sentence in err
    assert err.count("\n") == 1
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])


FILES = [
    ("a.csv", "--topology", HEADER + "conv1,224,224,7,7,3,64\n", "a.csv:2: 7 fields where a layer has 8"),
    ("a.csv", "--topology", HEADER + "conv1,224,224,7,7,x,64,2\n", "a.csv:2: Channels: 'x' is not a whole"),
    ("a.csv", "--topology", HEADER + "conv1,2,2,7,7,3,64,2\n", "a.csv:2: the filter 7x7 is larger than the input 2x2"),
    ("a.csv", "--topology", HEADER + "c,9,9,3,3,3,64,2,9:8\n", "a.csv:2: Sparsity: '9:8' keeps more than a group has"),
    ("a.csv", "--topology", HEADER, "a.csv: holds no layers"),
    ("a.csv", "--topology", "Layer, M, N, K,\nfc,1,-2,3\n", "a.csv:2: N: '-2' is not a whole number above 0"),
    ("a.json", "--workload", "{", "a.json:1: not a whole workload"),
    ("a.json", "--workload", '{"model": "x"}', "a.json: schema_version: is missing"),
    ("a.yaml", "--arch", "extends: sat\ndram:\n  bandwith: null\n", "a.yaml:3: dram.bandwith: unknown field"),
    ("a.yaml", "--arch", "extends: sat\narray:\n  rwos: 5\n", "a.yaml:3: array.rwos: unknown field; did you mean"),
    ("a.yaml", "--arch", "extends: sat\narray:\n  rows: 5\n", "a.yaml:3: array.rows: a number needs its provenance"),
    ("a.yaml", "--arch", "extends: sta\n", "a.yaml: extends: unknown machine file 'sta'; did you mean 'sat'?"),
    ("a.yaml", "--arch", "extends: sat\narray: {rows\n", "a.yaml:3: not YAML"),
    ("a.csv", "--topology", "conv1,9,9,3,3,3,8,1\nconv2,7,7,3,3,8,8,1\n", "a.csv:1: not a header"),
    ("a.csv", "--topology", "Layer, M, N, K, Depth\nfc,1,2,3,4\n", "a.csv:1: column 5 is 'Depth'; behind the sizes"),
    ("a.csv", "--topology", HEADER + "c,9,9,3,3,3,8,1,2,5\n", "a.csv:2: cell 10 is '5', behind the last column"),
    ("a.csv", "--topology", "Layer, M, N, K,\nfc,1,2,3,4\n", "a.csv:2: cell 5 is '4', behind the last column"),
    ("a.csv", "--topology", HEADER + "Part one,\n", "a.csv:2: 1 field where a layer has 8"),
    ("a.csv", "--topology", "Layer, M, N, K,\n,1,2,3\n", "a.csv:2: a layer needs a name"),
    ("a.csv", "--topology", HEADER + "c,16,16,3,3,3,8,300\n", "a.csv:2: Strides: 300 is more than the input 16x16"),
    ("a.yaml", "--arch", "extends: ./a.yaml\n", "a.yaml:1: extends: a.yaml -> a.yaml never ends"),
    ("a.yaml", "--arch", "extends: [sat]\n", "a.yaml:1: extends: give the name or the path"),
    ("a.yaml", "--arch", "extends: sat\narray.rows: null\n", "nest the fields of a group, without dots"),
    ("a.yaml", "--arch", "extends: sat\narray:\n  drains: true\n", "a.yaml:3: array.drains: a switch needs"),
    ("a.yaml", "--arch", "- 1\n", "a.yaml: a machine file is a mapping of fields"),
    ("a.yaml", "--arch", "machine: systlic\n", "unknown kind of machine 'systlic'; did you mean 'systolic'?"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "option", "text", "sentence"), FILES)
def test_wrong_files(simulate: Run, tmp_path: Path, name: str, option: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    work = RESNET if option == "--arch" else ()
    code, out, err = simulate(*work, option, f"./{name}")
    assert sentence in err
    assert err.count("\n") == 1
    assert (code, out, [path.name for path in tmp_path.iterdir()]) == (2, "", [name])


def test_a_section_may_be_taken_away(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: sat\ndram: null\nvector: null\n")
    assert simulate("--arch", "./a.yaml", "--gemm", "64x64x64", "--pattern", "2:8", "--out", "r")[0] == 0


def test_force_takes_nothing_that_is_not_a_result(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--gemm", "8x8x8", "--out", "r")[0] == 0
    (tmp_path / "r" / "thesis.tex").write_text("")
    code, _, err = simulate("--gemm", "8x8x8", "--out", "r", "--force")
    assert code == 2 and "'thesis.tex', which this program did not write" in err
    assert (tmp_path / "r" / "thesis.tex").exists()


def test_markup_in_names_is_shown_as_it_is(simulate: Run) -> None:
    code, out, _ = simulate("--gemm", "8x8x8", "--set", "title=[/red] x", "--out", "r[b]")
    assert code == 0
    assert "[/red] x" in out and "r[b]" in out


EDITS = [
    ('"rows": {"B": 3136}', '"rows": {"B": -3136}', "ops.4"),
    ('"rows": {"B": 3136}', '"rows": {"Q": 3136}', "unknown monomial 'Q'"),
    ('"rows": {"B": 3136}', '"rows": {"B": 3137}', "layer1.0.conv1 FF: rows is"),
    ('"schema_version": 2', '"schema_version": 3', "schema_version"),
    ('"method": "dense"', '"method": "bdwp"', "says method 'bdwp' and pattern 'dense'"),
    ('"kind": "normalisation"', '"kind": "normalization"', "ops.1"),
    ('"inner": 147', '"inner": 0', "ops.0"),
    ('"inner": 147', '"inner": 147, "colour": 3', "ops.0"),
    ('"batch": 128', '"batch": -1', "batch"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), EDITS, ids=[new for _, new, _ in EDITS])
def test_edited_workloads(simulate: Run, tmp_path: Path, old: str, new: str, sentence: str) -> None:
    whole = shipped_path("resnet18").read_text()
    assert old in whole
    (tmp_path / "w.json").write_text(whole.replace(old, new, 1))
    code, _, err = simulate("--workload", "w.json")
    assert code == 2
    assert sentence in err and err.count("\n") == 1


def test_a_truncated_workload_names_its_line(simulate: Run, tmp_path: Path) -> None:
    whole = shipped_path("resnet18").read_text()
    (tmp_path / "cut.json").write_text(whole[: len(whole) // 2])
    code, _, err = simulate("--workload", "cut.json")
    assert code == 2
    assert "cut.json:" in err and "not a whole workload" in err


def test_results_are_never_overwritten_unasked(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--gemm", "8x8x8", "--out", "r")[0] == 0
    before = (tmp_path / "r" / "card.json").read_text()
    code, _, err = simulate("--gemm", "9x9x9", "--out", "r")
    assert code == 2 and "is there already; choose another folder or add --force" in err
    assert (tmp_path / "r" / "card.json").read_text() == before
    assert simulate("--gemm", "9x9x9", "--out", "r", "--force")[0] == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    code, _, err = simulate("--gemm", "9x9x9", "--out", "mine", "--force")
    assert code == 2 and "holds 'thesis.tex', which this program did not write; it is left alone" in err
    (tmp_path / "file").write_text("")
    code, _, err = simulate("--gemm", "9x9x9", "--out", "file", "--force")
    assert code == 2 and "is a file; name a folder" in err


def test_a_batch_that_does_not_fit_says_how_much_is_missing(simulate: Run) -> None:
    code, _, err = simulate(*RESNET, "--batch", "16384")
    assert code == 2
    assert "GiB more than the card's 64.0 GiB (dram.capacity_gib)" in err
    assert simulate(*RESNET, "--batch", "16384", "--no-capacity", "--out", "r")[0] == 0
