"""A checkpoint that is not what was written is refused, whatever is wrong with it, and changes nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.workloads.small import ADAMW, batches, training
from workloads.errors import UserError
from workloads.files.reading import digest_of
from workloads.methods.bimask import BIMASK
from workloads.methods.fields import changed
from workloads.training.checkpoint import load_checkpoint, save_checkpoint
from workloads.training.checkpoint_file import NAME, seal_of
from workloads.training.checkpoint_tensors import tensors_of
from workloads.training.loop import Training

METHOD = changed(BIMASK, candidates=2)
TENSORS = "checkpoint-000002.safetensors"
Node = dict[str, object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with every kind of tensor that a checkpoint can hold."""
    folder, run, data = tmp_path_factory.mktemp("made"), training(METHOD, update=ADAMW, mixed=True), batches()
    for _ in range(2):
        run.run_step(next(data))
    save_checkpoint(run, "digits", 1.5, folder)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def fresh() -> Training:
    """Refused, it stays as it is: one is enough for all cases."""
    return training(METHOD, update=ADAMW, mixed=True)


def refused(run: Training, folder: Path) -> str:
    before = {name: tensor.clone() for name, tensor in tensors_of(run).items()}
    rest = (run.step, run.scale)
    with pytest.raises(UserError, match=r"--resume trains from the first step again") as error:
        load_checkpoint(run, folder)
    after = tensors_of(run)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert rest == (run.step, run.scale)
    assert "\n" not in str(error.value)
    return str(error.value)


def sealed(folder: Path, **changes: object) -> None:
    """Change the JSON as somebody would who knows how it is sealed."""
    node: Node = json.loads((folder / NAME).read_text()) | changes
    (folder / NAME).write_text(json.dumps({**node, "seal": seal_of(node)}))


def resealed(folder: Path) -> None:
    """Let the JSON name the tensors' file as it is now."""
    sealed(folder, size=(folder / TENSORS).stat().st_size, digest=digest_of(folder / TENSORS))


def test_the_whole_checkpoint_is_taken(copied: Path) -> None:
    run = training(METHOD, update=ADAMW, mixed=True)
    found = load_checkpoint(run, copied)
    assert found is not None and (run.step, found.seconds) == (2, 1.5)
    loaded, there = tensors_of(run), load_file(copied / TENSORS)
    assert loaded.keys() == there.keys() and all(torch.equal(loaded[name], there[name]) for name in there)


def test_one_byte_of_any_tensor_is_noticed(copied: Path, fresh: Training) -> None:
    content = (copied / TENSORS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    assert len(head) > 35
    for about in (each for name, each in head.items() if name != "__metadata__"):
        place = 8 + length + about["data_offsets"][0]
        altered = bytearray(content)
        altered[place] ^= 1
        (copied / TENSORS).write_bytes(altered)
        assert "its digest is another one" in refused(fresh, copied)


CHANGES: list[Callable[[Tensor], Tensor | None]] = [
    lambda tensor: None,  # noqa: ARG005  dropped
    lambda tensor: tensor.unsqueeze(0),
    lambda tensor: torch.cat([tensor.reshape(-1), tensor.reshape(-1)]),
    lambda tensor: tensor.to(torch.int16),
]


@pytest.mark.parametrize("change", CHANGES, ids=["drop", "axis", "length", "type"])
@pytest.mark.parametrize("known", [False, True], ids=["plain", "with its digest"])
def test_any_tensor_that_is_missing_or_another_is_noticed(
    copied: Path, fresh: Training, change: Callable[[Tensor], Tensor | None], known: bool
) -> None:
    whole = {name: tensor.clone() for name, tensor in load_file(copied / TENSORS).items()}
    for name, tensor in whole.items():
        other = change(tensor)
        kept = {key: value for key, value in whole.items() if key != name}
        save_file(kept if other is None else {**kept, name: other}, copied / TENSORS)
        if known:
            resealed(copied)
        said = refused(fresh, copied)
        assert name in said or not known


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight/middle.mask_order": torch.zeros(1, 24, dtype=torch.int64)}, "that is no order of channels"),
        ({"random": torch.zeros(5056, dtype=torch.uint8)}, "a state of the random numbers that is none"),
        ({"weight/none": torch.zeros(1)}, "holds the tensor 'weight/none', which this run does not have"),
    ],
)
def test_values_that_no_run_has_are_noticed(
    copied: Path, fresh: Training, changes: dict[str, Tensor], said: str
) -> None:
    whole = {name: tensor.clone() for name, tensor in load_file(copied / TENSORS).items()}
    save_file(whole | changes, copied / TENSORS)
    resealed(copied)
    assert said in refused(fresh, copied)


def edits(node: Node) -> Iterator[Node]:
    """The node without each of its fields, and with each of another type."""
    for key, value in node.items():
        yield {name: each for name, each in node.items() if name != key}
        for other in (None, "x", -1.5, True, 10**30, [], {}, [3], {"a": 3}):
            if type(other) is not type(value) and (type(value), type(other)) != (float, int):
                yield {**node, key: other}
        if isinstance(value, dict):
            yield from ({**node, key: inner} for inner in edits(value))


@pytest.mark.parametrize("known", [False, True], ids=["plain", "with its seal"])
def test_any_field_that_is_missing_or_another_is_noticed(copied: Path, fresh: Training, known: bool) -> None:
    node = json.loads((copied / NAME).read_text())
    seal = node.pop("seal")
    for edited in edits(node):
        (copied / NAME).write_text(json.dumps({**edited, "seal": seal}))
        if known:
            sealed(copied)
        refused(fresh, copied)


def test_any_other_number_is_noticed(copied: Path, fresh: Training) -> None:
    node = json.loads((copied / NAME).read_text())
    for key, value in (("step", 3), ("seconds", 2.5), ("data", "x"), ("digest", "0" * 64), ("absent", ["x"])):
        (copied / NAME).write_text(json.dumps({**node, key: value}))
        assert "its seal is that of other values" in refused(fresh, copied)
    for key, value in (("scale", 3.0), ("patience", 5), ("good_steps", 1)):
        (copied / NAME).write_text(json.dumps({**node, "loss_scale": {**node["loss_scale"], key: value}}))
        assert "its seal is that of other values" in refused(fresh, copied)


def test_what_is_no_file_of_its_own_is_refused(copied: Path, fresh: Training) -> None:
    whole = (copied / TENSORS).read_bytes()
    (copied / TENSORS).unlink()
    assert "cannot be read: No such file" in refused(fresh, copied)
    with (copied / TENSORS).open("wb") as file:
        file.truncate(2**40)
    assert "has 1,099,511,627,776 bytes, and at most" in refused(fresh, copied)
    (copied / TENSORS).write_bytes(whole[:-1])
    resealed(copied)
    assert "is not a whole file of tensors" in refused(fresh, copied)
    sealed(copied, tensors="../other.safetensors")
    assert f"tensors: names another file than {TENSORS}" in refused(fresh, copied)


def test_the_checkpoint_before_is_removed_and_nothing_else(copied: Path) -> None:
    (copied / "checkpoint-best.safetensors").write_text("mine")
    run = training(METHOD, update=ADAMW, mixed=True)
    load_checkpoint(run, copied)
    run.step = 3
    save_checkpoint(run, "digits", 2.0, copied)
    names = ["checkpoint-000003.safetensors", "checkpoint-best.safetensors", NAME]
    assert sorted(path.name for path in copied.iterdir()) == names
