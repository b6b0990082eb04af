"""Training from the command line: what is refused, in one sentence."""

import fcntl
import json
from pathlib import Path

import pytest

from tests.command import Run, without
from tests.workloads.test_command_train import SHORT, SPARSE, result, train
from tests.workloads.test_datasets import write_fashion

MODEL = ("--model", "resnet9")
MISTAKES = [
    ((), "--model: say which, for example --model resnet9"),
    (("--model", "resnet10", "--pattern", "2:8"), "unknown model 'resnet10'; did you mean 'resnet50'?"),
    (MODEL, "--pattern: method 'bdwp' needs one, for example --pattern 2:8"),
    ((*MODEL, "--pattern", "9:8"), "'9:8' keeps more than a group has"),
    ((*MODEL, "--pattern", "2:8", "--pattern", "layr=1:8"), "pattern 'layr': no layer has such a name"),
    ((*MODEL, "--method", "bdpw", "--pattern", "2:8"), "unknown method 'bdpw'; did you mean 'bdwp'?"),
    ((*MODEL, "--method", "dense", "--pattern", "2:8"), "--pattern: method 'dense' keeps every weight"),
    ((*MODEL, "--method", "dense", "--decay", "0.1"), "--decay 0.1: method 'dense' has no dropped weights that"),
    ((*MODEL, "--pattern", "2:8,*=dense", "--decay", "0.1"), "--decay 0.1: no weight is masked"),
    ((*SPARSE, "--accumulate", "3"), "--accumulate 3: a batch of 8 cannot be cut into so many equal parts"),
    ((*SPARSE, "--set", "perod=2"), "--set: unknown field of method 'bdwp' 'perod'"),
    ((*SPARSE, "--set", "decay=1", "--decay", "1"), "--decay and --set decay: give one of them"),
    ((*SPARSE, "--method", "bimask", "--set", "period=0"), "method 'bimask': period and candidates must be at least 1"),
    ((*SPARSE, "--dataset", "mnist"), "--dataset: unknown data set 'mnist'"),
    ((*SPARSE, "--dataset", "text"), "--dataset text: resnet9 reads images; use digits"),
    (("--model", "bert-base", "--pattern", "2:8", "--dataset", "digits"), "bert-base reads bytes; use text"),
    (("--model", "bert-base", "--pattern", "2:8", "--limit", "9"), "--limit: counts images; a text has none"),
    (("--model", "bert-base", "--pattern", "2:8", "--image", "9"), "--image: bert-base reads text"),
    (("--model", "bert-base", "--pattern", "2:8", "--sequence", "999"), "--sequence 999: bert-base takes at most 512"),
    ((*SPARSE, "--sequence", "9"), "--sequence: resnet9 reads images"),
    ((*SPARSE, "--dataset", "cifar10"), "--dataset cifar10: say where it is with --data-folder"),
    ((*SPARSE, "--dataset", "imagenet"), "--dataset imagenet: say where it is with --data-folder"),
    ((*SPARSE, "--dataset", "fashion-mnist", "--data-folder", "/proc"), "/proc: holds no train-images-idx3-ubyte.gz"),
    ((*SPARSE, "--dataset", "fashion-mnist", "--data-folder", "x"), "--data-folder: '"),
    ((*SPARSE, "--data-folder", "."), "--data-folder: digits comes with the installation"),
    ((*SPARSE, "--limit", "4"), "--batch 8: there are only 4 examples to train on"),
    ((*SPARSE, "--limit", "9999"), "--limit 9999: digits has only 1437 images to train on"),
    ((*SPARSE, "--image", "4"), "--image 4: resnet9 cannot take images of this side: "),
    ((*SPARSE, "--epochs", "1", "--steps", "2"), "--epochs and --steps: give one of them"),
    ((*SPARSE, "--steps", "3", "--capture-at", "4"), "--capture-at 4: the run has the steps 1 to 3"),
    ((*SPARSE, "--capture-at", "0"), "--capture-at 0: the run has the steps 1 to 3"),
    ((*SPARSE, "--optimizer", "adan"), "--optimizer: unknown optimizer 'adan'; did you mean 'adam'?"),
    ((*SPARSE, "--optimizer", "sgd"), "optimizer 'sgd' cannot train; allowed are momentum and adamw"),
    ((*SPARSE, "--schedule", "cosin"), "--schedule: unknown schedule 'cosin'; did you mean 'cosine'?"),
    ((*SPARSE, "--seed", "-1"), "--seed -1: must lie between 0 and 4294967295"),
    ((*SPARSE, "--width", "0"), "--width 0: must be above 0"),
    ((*SPARSE, "--lr", "-1"), "--lr -1: must be 0 or more"),
    ((*SPARSE, "--lr", "nan"), "--lr nan: must be 0 or more"),
    ((*SPARSE, "--decay", "-1"), "--decay -1: must be 0 or more"),
    ((*SPARSE, "--weight-decay", "inf"), "--weight-decay inf: must be 0 or more"),
    ((*SPARSE, "--out", "/proc/nowhere/x"), "--out /proc/nowhere/x: cannot be written"),
    (("--resume", "nowhere"), "--resume nowhere: holds no training run: nowhere/run.json: No such file"),
    (("--resume", "nowhere", "--lr", "1"), "--lr: --resume takes every setting from nowhere; leave it out"),
    (("--resume", "nowhere", "--force"), "--force: --resume takes every setting from nowhere; leave it out"),
    *(
        ((*SPARSE, f"--{name}", "0"), f"--{name} 0: must be at least 1")
        for name in (
            "limit",
            "image",
            "sequence",
            "epochs",
            "steps",
            "batch",
            "accumulate",
            "threads",
            "checkpoint-every",
        )
    ),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(each) or "nothing" for each, _ in MISTAKES])
def test_one_sentence_and_exit_code_2(simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate("train", *arguments)
    assert sentence in err
    assert err.count("\n") == 1
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])


def test_runs_are_never_overwritten_unasked(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *SHORT, "--out", "r")
    before = (tmp_path / "r/weights.safetensors").read_bytes()
    code, _, err = simulate("train", *SHORT, "--seed", "3", "--out", "r")
    assert code == 2 and "--out r: is there already; choose another folder, add --force, or use --resume" in err
    code, _, err = simulate("train", "--resume", "r")
    assert code == 2 and "this run came to its end; its result is in r/result.json" in err
    assert (tmp_path / "r/weights.safetensors").read_bytes() == before
    train(simulate, *SHORT, "--seed", "3", "--out", "r", "--force")
    assert (tmp_path / "r/weights.safetensors").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    code, _, err = simulate("train", *SHORT, "--out", "mine", "--force")
    assert code == 2 and "holds something that is not a training run; it is left alone" in err
    code, _, err = simulate("train", *SHORT, "--out", "mine/thesis.tex", "--force")
    assert code == 2 and "is a file; a run is a folder" in err


def test_two_processes_do_not_train_in_one_folder(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *SHORT, "--out", "r")
    (tmp_path / "r/result.json").unlink()
    with (tmp_path / "r/run.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for command in (("--resume", "r"), (*SHORT, "--out", "r", "--force")):
            code, _, err = simulate("train", *command)
            assert (code, err) == (2, "simulate: r: another process is training there\n")
    train(simulate, "--resume", "r")


def test_a_named_folder_of_data_is_trained_on(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_fashion(tmp_path / "data")
    short = ("--model", "resnet9", "--width", "0.1", "--image", "8", "--batch", "4", "--pattern", "2:8")
    train(simulate, *short, "--dataset", "fashion-mnist", "--data-folder", "data", "--out", "r")
    found = result(tmp_path / "r")
    assert (found["steps"], found["data"]) == (3, "Fashion-MNIST, 12 of 12 images of 28x28, at 8x8")
    assert found["settings"]["data_folder"] == str(tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("run.json", "{", "r/run.json is not the description of a training run"),
        ("run.json", '{"settings": {"model": 3}}', "r/run.json is not the description of a training run"),
        ("checkpoint.json", "{", "r/checkpoint.json: is not a whole checkpoint of this run: JSONDecodeError"),
        ("checkpoint-000003.safetensors", "", "r/checkpoint.json: is not a whole checkpoint of this run: Safetensor"),
        ("log.csv", "step\n", "r/log.csv: has 0 lines where the checkpoint says 3 steps"),
    ],
)
def test_a_broken_folder_is_not_resumed(simulate: Run, tmp_path: Path, name: str, content: str, sentence: str) -> None:
    train(simulate, *SHORT, "--out", "r")
    (tmp_path / "r/result.json").unlink()
    (tmp_path / "r" / name).write_text(content)
    code, _, err = simulate("train", "--resume", "r")
    assert code == 2 and sentence in err and err.count("\n") == 1


def test_other_data_is_not_resumed(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *SHORT, "--out", "r")
    (tmp_path / "r/result.json").unlink()
    node = json.loads((tmp_path / "r/checkpoint.json").read_text())
    (tmp_path / "r/checkpoint.json").write_text(json.dumps({**node, "data": "other digits"}))
    code, _, err = simulate("train", "--resume", "r")
    assert code == 2 and "--resume r: trained on 'other digits', and now there is 'digits of scikit-learn" in err


@pytest.mark.parametrize("package", ["torch", "sklearn"])
def test_without_a_package_it_says_how_to_get_it(tmp_path: Path, package: str) -> None:
    done = without(package, tmp_path, "train", *SHORT)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert done.stderr.startswith(f"simulate: this needs the package '{package}', which is missing: pip install ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model", "resnet10", "--pattern", "2:8"), "unknown model 'resnet10'"),
        ((*SPARSE, "--method", "bdpw"), "unknown method 'bdpw'"),
        ((*MODEL, "--pattern", "9:8"), "'9:8' keeps more than a group has"),
        ((*SPARSE, "--set", "perod=2"), "--set: unknown field of method 'bdwp' 'perod'"),
        ((*SPARSE, "--dataset", "mnist"), "--dataset: unknown data set 'mnist'"),
        ((*SPARSE, "--optimizer", "adan"), "--optimizer: unknown optimizer 'adan'"),
        ((*SPARSE, "--out", "."), "--out .: is there already"),
        (("--resume", "nowhere"), "--resume nowhere: holds no training run"),
    ],
)
def test_a_mistake_is_named_before_torch_is_needed(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = without("torch", tmp_path, "train", *arguments)
    assert done.returncode == 2 and sentence in done.stderr
