"""Where a run can go on from: tensors in safetensors, the rest in JSON, both written aside and renamed.

The JSON names the tensors' file and its digest. It is renamed last, so at every moment it names one that is whole; the
one before is removed afterwards. With masks, gradients and the random state a run goes on as if nothing had happened,
to the bit. What is not what was written is refused before anything of the training has changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import ClassVar, final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from workloads.errors import UserError
from workloads.files.limits import CHECKPOINT_ROOM, CHECKPOINT_TIMES
from workloads.files.reading import check_schema, checked, read_json
from workloads.files.tensors import digest_of
from workloads.files.writing import new_file, not_written, write_text
from workloads.op import CLOSED, Amount
from workloads.pattern import Pattern, parse_pattern
from workloads.training.checkpoint_tensors import check_tensors, restore, slots_of, tensors_of, weights_of
from workloads.training.layers import method_layers
from workloads.training.loop import LossScale, Training
from workloads.training.run_folder import owned

NAME = "checkpoint.json"
TENSORS = "checkpoint-{step:06d}.safetensors"
SCHEMA = 2
WHAT = "a checkpoint"


@final
@dataclass(frozen=True)
class Checkpoint:
    """The JSON: which tensors belong to it, and what is no tensor. `data` and `seconds` are the run's.

    digest: of the tensors' file. absent: tensors that a run of this kind may have and this one has not. seal: the
    digest of all the other fields.
    """

    schema: int
    step: Amount
    tensors: str
    digest: str
    absent: tuple[str, ...]
    loss_scale: LossScale
    patterns: dict[str, str]
    data: str
    seconds: float
    seal: str = ""

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


def save_checkpoint(training: Training, data: str, seconds: float, folder: Path) -> None:
    """Write a checkpoint and remove the one before. Raises UserError where it cannot be written."""
    path = folder / TENSORS.format(step=training.step)
    tensors = tensors_of(training)
    absent = tuple(sorted(slots_of(training).keys() - tensors.keys()))
    patterns = {name: str(layer.pattern) for name, layer in method_layers(training.model)}
    digest = write_tensors(tensors, path)
    made = Checkpoint(SCHEMA, training.step, path.name, digest, absent, training.scale, patterns, data, seconds)
    node = asdict(replace(made, seal=seal_of(asdict(made))))
    write_text(folder / NAME, json.dumps(node, indent=1) + "\n")
    try:
        for other in folder.glob(TENSORS.replace("{step:06d}", "*")):
            if other.name != path.name and owned(other.name):
                other.unlink()
    except OSError as error:
        raise not_written(str(folder), error) from None


def load_checkpoint(training: Training, folder: Path) -> Checkpoint | None:
    """Bring a training to where its checkpoint was made; None where none was.

    Raises UserError, with the training as it was, for one that is not what was written or is of another run.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        made = _read(path)
        patterns = _patterns(training, made, path)
        file = folder / TENSORS.format(step=made.step)
        tensors = _read_tensors(training, made, file)
    except UserError as error:
        raise UserError(f"{error}; without {path} --resume trains from the first step again") from None
    restore(training, tensors)
    for name, layer in method_layers(training.model):
        layer.pattern = patterns[name]
    training.step, training.scale = made.step, made.loss_scale
    return made


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Write a safetensors file, which appears whole or not at all; its digest. Raises UserError where it cannot be."""
    try:
        with new_file(path) as partial:
            save_file(dict(tensors), partial)
            return digest_of(partial, partial.stat().st_size)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be written: {error}") from None


def seal_of(node: Mapping[str, object]) -> str:
    """The digest of a checkpoint's JSON without the seal itself."""
    text = json.dumps({key: value for key, value in node.items() if key != "seal"}, sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _read(path: Path) -> Checkpoint:
    node = check_schema(read_json(path, f"{WHAT} is JSON"), str(path), SCHEMA, WHAT)
    made = checked(Checkpoint, node, str(path), strict=True)
    if made.seal != seal_of(node):
        raise UserError(f"{path}: is not what was written: its seal is that of other values")
    if made.tensors != TENSORS.format(step=made.step):
        raise UserError(f"{path}: tensors: names another file than {TENSORS.format(step=made.step)}")
    scale = made.loss_scale
    if set(node["loss_scale"]) != set(asdict(scale)):
        raise UserError(f"{path}: loss_scale: has the fields {', '.join(asdict(scale))}, no more and no less")
    if not (isfinite(scale.scale) and scale.scale > 0 and 0 <= scale.good_steps < scale.patience):
        raise UserError(f"{path}: loss_scale: is not one that a run can have")
    if not (isfinite(made.seconds) and made.seconds >= 0):
        raise UserError(f"{path}: seconds: must be 0 or more")
    return made


def _patterns(training: Training, made: Checkpoint, path: Path) -> dict[str, Pattern]:
    layers = [name for name, _ in method_layers(training.model)]
    if sorted(layers) != sorted(made.patterns):
        raise UserError(f"{path}: patterns: are those of other layers than this run has")
    try:
        return {name: parse_pattern(text) for name, text in made.patterns.items()}
    except UserError as error:
        raise UserError(f"{path}: patterns: {error}") from None


def _read_tensors(training: Training, made: Checkpoint, file: Path) -> dict[str, Tensor]:
    """The tensors, held against the digest and the run. They lie in the file until they are copied."""
    size = sum(tensor.nbytes for tensor in weights_of(training.model).values())
    if digest_of(file, CHECKPOINT_TIMES * size + CHECKPOINT_ROOM) != made.digest:
        raise UserError(f"{file}: is not the file that was written: its digest is another one")
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{file}: is not a whole file of tensors: {error}") from None
    try:
        check_tensors(slots_of(training), made.absent, tensors)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return tensors
