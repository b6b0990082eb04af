"""What `simulate trace` refuses, each in one sentence, and what it leaves as it was."""

from pathlib import Path

import pytest

from tests.command import Run, without
from tests.workloads.users_package import module as module  # a fixture

IN = ("--input", "4x16")
MISTAKES = [
    ((":linears", "--input", "4xx16"), "--input 4xx16: write sizes, such as 1x3x224x224, 8x128:30522 for integers"),
    ((":linears", "--input", "0x16"), "--input 0x16: write sizes"),
    ((":linears", "--input", "4x16:0"), "--input 4x16:0: write sizes"),
    ((":linears",), "--input: say what the module takes, for example --input 1x3x224x224"),
    ((":linear", *IN), "unknown name in users_package"),
    ((":number", *IN), ":number: is a int; wanted is a torch module or a function that builds one"),
    ((":text", *IN), ":text: gives a str; wanted is a torch module"),
    ((":fails", *IN), ":fails: building it stopped: RuntimeError: no weights here\n"),
    ((":needs", *IN), "building it stopped: TypeError: needs() missing 1 required positional argument: 'argument'"),
    (
        (":convs", *IN),
        ":convs: cannot run on --input 4x16: RuntimeError: Expected 3D (unbatched) or 4D (batched) input",
    ),
    ((":linears", "--input", "4x3"), "cannot run on --input 4x3: RuntimeError: mat1 and mat2 shapes cannot be mult"),
    ((":Two", *IN), ":Two: cannot run on --input 4x16: TypeError: "),
    ((":gives_dict", *IN, "--output", "logit"), "unknown part of the output of"),
    ((":gives_tuple", *IN, "--output", "2"), "unknown part of the output of"),
    ((":gives_numbers", *IN), ":gives_numbers: returns torch.int64, which has no gradient"),
    ((":no_number", *IN), ":no_number: the loss is nan, so nothing that is measured would mean anything"),
    ((":gives_nothing", *IN), ":gives_nothing: the loss is nan, so nothing"),
    ((":no_way_back", *IN), ":no_way_back: its backward pass stopped: ValueError: no way back"),
    ((":deep", *IN), ":deep: cannot run on --input 4x16: RecursionError: maximum recursion depth exceeded"),
    ((":leaves", *IN), ":leaves: cannot run on --input 4x16: SystemExit: 0\n"),
    ((":odd", *IN), ":odd: cannot run on --input 4x16: Odd\n"),
    ((":ends", *IN), ":ends: cannot run on --input 4x16: Ends: all\n"),
    ((":untrainable", *IN), ":untrainable: building it stopped: ValueError: never\n"),
    ((":huge", *IN), ":huge: building it stopped: there is not enough memory for that\n"),
    ((":trap", *IN), ":trap: looking it up stopped: ValueError: a trap\n"),
    ((":linears", "--input", "9" * 320), ": write sizes, such as 1x3x224x224"),
    ((":linears", "--input", "1000000x1000000000"), "an input has at most 281,474,976,710,656 numbers along 64 axes"),
    ((":linears", "--input", "100000x10000000"), "--input 100000x10000000 takes at least 3,725.3 GiB of memory, and t"),
    ((":linears", *IN, "--seed", "9" * 320), ": must lie between 0 and 4294967295"),
    ((":compressed", *IN), "layer '2': its weight is a tensor of layout sparse_coo, which hides its values; give it a"),
    ((":detached", *IN), ":detached: its output depends on no parameter"),
    ((":nothing", *IN), ":nothing: "),
    ((":nothing", *IN, "--pattern", "2:8"), ":nothing: has no convolution and no linear layer, so --pattern does not"),
    ((":looks", *IN, "--shapes-only"), "it may need values, which --shapes-only and --scale do without: "),
    ((":built", *IN, "--shapes-only"), ":built: --shapes-only and --scale take a function that builds the module"),
    (
        (":one", *IN, "--pattern", "2:8"),
        "--pattern 2:8: no layer became sparse; the first and the last stay dense unle",
    ),
    ((":linears", *IN, "--pattern", "9:8"), "'9:8' keeps more than a group has"),
    (
        (":linears", *IN, "--pattern", "2:8,x=1:8"),
        "pattern 'x': no layer has such a name; the layers are '0', '2', '4'",
    ),
    ((":linears", *IN, "--method", "bdwp"), "--pattern: method 'bdwp' needs one, for example --pattern 2:8"),
    ((":linears", *IN, "--method", "dense", "--pattern", "2:8"), "--pattern: method 'dense' keeps every weight"),
    ((":linears", *IN, "--method", "bdpw"), "unknown method 'bdpw'; did you mean 'bdwp'?"),
    ((":linears", *IN, "--pattern", "2:8", "--set", "x=1"), "--set: unknown field of method 'bdwp' 'x' (known: decay)"),
    ((":linears", *IN, "--set", "x=1"), "--set: unknown field of method 'dense' 'x' (known: (none))"),
    ((":linears", *IN, "--optimizer", "adan"), "--optimizer: unknown optimizer 'adan'; did you mean 'adam'?"),
    ((":linears", *IN, "--loss", "hinge"), "--loss: unknown loss 'hinge'"),
    (
        (":Two", "--input", "3x8", "--input", "3x4", "--loss", "cross-entropy"),
        "the output 24 has no last axis of class",
    ),
    ((":linears", *IN, "--seed", "-1"), "--seed -1: must lie between 0 and 4294967295"),
    ((":linears", *IN, "--out", "no/where.json"), "--out no/where.json: there is no folder 'no'"),
    ((":linears", *IN, "--out", "."), "--out .: is a folder; name a file"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(each) for each, _ in MISTAKES])
def test_one_sentence_and_exit_code_2(
    simulate: Run, tmp_path: Path, module: str, arguments: tuple[str, ...], sentence: str
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = simulate("trace", module + arguments[0], *arguments[1:])
    assert sentence in err
    assert err.count("\n") == 1
    assert (code, out, sorted(path.name for path in tmp_path.iterdir())) == (2, "", before)


def test_an_interrupt_is_no_fault_of_the_module(simulate: Run, module: str) -> None:
    assert simulate("trace", f"{module}:interrupted", *IN)[0] == 130


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("models", "'PACKAGE.models': write MODULE:NAME, for example mypkg.mymodule:build_model"),
        ("modles:linears", "there is no module 'PACKAGE.modles'; looked for 'PACKAGE.modles' in the current folder"),
        ("broken:linears", "PACKAGE.broken: importing it stopped: ValueError: not today"),
        ("lacking:linears", "PACKAGE.lacking: importing it needs the package 'package_of_nobody', which is missing"),
    ],
)
def test_a_module_that_cannot_be_imported(simulate: Run, module: str, target: str, sentence: str) -> None:
    package = module.partition(".")[0]
    code, out, err = simulate("trace", f"{package}.{target}", *IN)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence.replace("PACKAGE", package) in err


def test_a_workload_file_is_not_overwritten_unasked(simulate: Run, tmp_path: Path, module: str) -> None:
    assert simulate("trace", f"{module}:linears", *IN)[0] == 0
    before = (tmp_path / "linears.json").read_text()
    code, _, err = simulate("trace", f"{module}:linears", *IN, "--seed", "4")
    assert code == 2 and "--out linears.json: is there already; choose another name or add --force" in err
    assert (tmp_path / "linears.json").read_text() == before
    assert simulate("trace", f"{module}:linears", *IN, "--seed", "4", "--force")[0] == 0
    assert (tmp_path / "linears.json").read_text() != before


def test_without_torch_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = without("torch", tmp_path, "trace", "a:b", *IN)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("simulate: this needs the package 'torch', which is missing: pip install ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ab", *IN), "'ab': write MODULE:NAME"),
        (("a:b",), "--input: say what the module takes"),
        (("a:b", *IN, "--pattern", "9:8"), "'9:8' keeps more than a group has"),
        (("a:b", *IN, "--method", "bdpw", "--pattern", "2:8"), "unknown method 'bdpw'"),
        (("a:b", *IN, "--loss", "hinge"), "--loss: unknown loss 'hinge'"),
    ],
)
def test_a_mistake_is_named_before_torch_is_needed(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = without("torch", tmp_path, "trace", *arguments)
    assert done.returncode == 2 and sentence in done.stderr
