"""Training from the command line: what is refused, in one sentence."""

import fcntl
import json
import resource
import shutil
from pathlib import Path

import pytest

from tests.command import Run, without
from tests.workloads.test_command_train import SHORT, SPARSE, result, train
from tests.workloads.test_datasets import write_fashion
from workloads.training.checkpoint_file import seal_of
from workloads.training.run import start_run
from workloads.training.settings import Settings

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
    (("--resume", "nowhere"), "--resume nowhere: holds no training run: there is no file nowhere/run.json"),
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three steps."""
    folder = tmp_path_factory.mktemp("trained") / "r"
    settings = Settings("resnet9", "bdwp", ("2:8",), width=0.1, image=8, batch=8, limit=24, steps=3)
    start_run(settings, folder, lambda *_: None)
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path) -> Path:
    """A copy of it, as if it had not come to its end."""
    shutil.copytree(trained, tmp_path / "r")
    (tmp_path / "r/result.json").unlink()
    return tmp_path / "r"


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
    (tmp_path / "r/thesis.tex").write_text("mine")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    code, _, err = simulate("train", *SHORT, "--out", "r", "--force")
    assert code == 2 and "--out r: holds 'thesis.tex', which this program did not write; it is left alone" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == whole
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    code, _, err = simulate("train", *SHORT, "--out", "mine", "--force")
    assert code == 2 and "holds something that is not a training run; it is left alone" in err
    code, _, err = simulate("train", *SHORT, "--out", "mine/thesis.tex", "--force")
    assert code == 2 and "is a file; name a folder" in err


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
        ("run.json", "{", "r/run.json:1: the description of a training run is JSON"),
        ("run.json", '{"schema": 1, "settings": {"model": 3}}', "r/run.json: settings.method: is missing"),
        ("run.json", '{"schema": 9}', "r/run.json: schema: this has version 9, and this program reads 1"),
        ("checkpoint.json", "{", "r/checkpoint.json:1: a checkpoint is JSON"),
        ("checkpoint.json", '{"schema": 1}', "this has version 1, and this program reads 3; without r/checkpoint.json"),
        (
            "checkpoint-000003.safetensors",
            "",
            "checkpoint-000003.safetensors: is not the file that was written: its di",
        ),
        (
            "log.csv",
            "step\n",
            "r/log.csv:1: this line does not name the columns of a log, and the checkpoint says that",
        ),
    ],
)
def test_a_broken_folder_is_not_resumed(simulate: Run, finished: Path, name: str, content: str, sentence: str) -> None:
    (finished / name).write_text(content)
    code, _, err = simulate("train", "--resume", "r")
    assert code == 2 and sentence in err and err.count("\n") == 1
    assert (finished / name).read_text() == content and not (finished / "result.json").exists()


@pytest.mark.parametrize("damage", ["", "x", "3,1,nan,0.1,0.1,1.0,0,0", "2,1,0.1,0.1,0.1,1.0,0,0", "3,1,1,1,1,1,0,1.5"])
def test_a_damaged_line_of_the_log_is_named(simulate: Run, finished: Path, damage: str) -> None:
    lines = (finished / "log.csv").read_text().splitlines()
    (finished / "log.csv").write_text("\n".join([*lines[:3], damage]) + "\n")
    code, _, err = simulate("train", "--resume", "r")
    assert code == 2 and "r/log.csv:4: this line is not that of step 3" in err and err.count("\n") == 1


def test_without_its_checkpoint_a_run_begins_again(simulate: Run, finished: Path) -> None:
    before = (finished / "weights.safetensors").read_bytes()
    (finished / "checkpoint.json").write_text('{"schema": 1}')
    assert simulate("train", "--resume", "r")[0] == 2
    (finished / "checkpoint.json").unlink()
    train(simulate, "--resume", "r")
    assert (finished / "weights.safetensors").read_bytes() == before


def test_other_data_is_not_resumed(simulate: Run, finished: Path) -> None:
    node = json.loads((finished / "checkpoint.json").read_text()) | {"data": "other digits"}
    (finished / "checkpoint.json").write_text(json.dumps({**node, "seal": seal_of(node)}))
    code, _, err = simulate("train", "--resume", "r")
    assert code == 2 and "--resume r: trained on 'other digits', and now there is 'digits of scikit-learn" in err


@pytest.mark.parametrize("number", ["9" * 320, "1000000000000"])
@pytest.mark.parametrize(
    "option", ["batch", "steps", "epochs", "seed", "image", "limit", "threads", "accumulate", "checkpoint-every"]
)
def test_a_number_beyond_all_reason_is_named(simulate: Run, tmp_path: Path, option: str, number: str) -> None:
    code, out, err = simulate("train", *SPARSE, f"--{option}", number, "--out", "r")
    assert (code, out, err.count("\n"), list(tmp_path.iterdir())) == (2, "", 1, [])
    assert err.startswith(f"simulate: --{option} 9") or err.startswith(f"simulate: --{option} 1")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--width", "1e308"), "--width 1e+308: must be above 0, and at most 1000"),
        (("--width", "nan"), "--width nan: must be above 0"),
        (("--width", "900"), "a step of resnet9 at batch 8 and width 900 takes at least "),
        (("--image", "16000", "--limit", "8"), "a step of resnet9 at batch 8 and width 0.1 takes at least "),
        (("--capture-at", "9" * 320), ": the run has the steps 1 to 3"),
        (("--limit", "4", "--steps", "2"), "--batch 8: there are only 4 examples to train on"),
    ],
)
def test_what_no_memory_holds_is_refused_before_it_is_made(
    simulate: Run, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    code, out, err = simulate("train", *SHORT, *arguments, "--out", "r")
    assert (code, out, err.count("\n"), list(tmp_path.iterdir())) == (2, "", 1, [])
    assert sentence in err


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: 9 bytes")])
def test_where_memory_ends_a_run_that_is_one_sentence(
    simulate: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def ended(*_: object) -> float:
        raise error

    monkeypatch.setattr("workloads.training.loop.Training.run_step", ended)
    code, _, err = simulate("train", *SHORT, "--out", "r")
    assert (code, err) == (
        2,
        "simulate: there is not enough memory; a smaller --batch, --image, --sequence or --width takes less\n",
    )


def test_where_the_disk_is_full_a_run_stops_in_a_sentence_and_goes_on_later(simulate: Run, tmp_path: Path) -> None:
    train(simulate, *SHORT, "--out", "whole")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        code, _, err = simulate("train", *SHORT, "--out", "r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2 and "r/checkpoint-000003.safetensors: cannot be written: " in err and err.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["log.csv", "run.json"]
    train(simulate, "--resume", "r")
    assert (tmp_path / "r/weights.safetensors").read_bytes() == (tmp_path / "whole/weights.safetensors").read_bytes()


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
        ((*SPARSE, "--out", "."), "--out .: is a folder by its place alone; name it"),
        (("--resume", "nowhere"), "--resume nowhere: holds no training run"),
    ],
)
def test_a_mistake_is_named_before_torch_is_needed(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = without("torch", tmp_path, "train", *arguments)
    assert done.returncode == 2 and sentence in done.stderr
