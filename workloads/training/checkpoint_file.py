"""The JSON of a checkpoint, and the file that it names: whole, and what was written. Needs no torch."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import ClassVar, final

from workloads.errors import UserError
from workloads.files.reading import check_schema, checked, digest_of, read_json
from workloads.op import CLOSED, Amount
from workloads.training.loss_scale import LossScale

NAME = "checkpoint.json"
TENSORS = "checkpoint-{step:06d}.safetensors"
SCHEMA = 3
WHAT = "a checkpoint"


@final
@dataclass(frozen=True)
class Checkpoint:
    """The JSON: which tensors belong to it, and what is no tensor. `data` and `seconds` are the run's.

    size, digest: of the tensors' file. absent: tensors that a run of this kind may have and this one has not. seal: the
    digest of all the other fields.
    """

    schema: int
    step: Amount
    tensors: str
    size: Amount
    digest: str
    absent: tuple[str, ...]
    loss_scale: LossScale
    data: str
    seconds: float
    seal: str = ""

    __pydantic_config__: ClassVar[dict[str, str]] = CLOSED


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in a run's folder, with its tensors' file read through; None where none was made.

    Raises UserError, with what can be done, for one that is not what was written.
    """
    path = folder / NAME
    if not path.exists():
        return None
    with advised(folder):
        made = _read(path)
        file = folder / made.tensors
        if digest_of(file, made.size) != made.digest:
            raise UserError(f"{file}: is not the file that was written: its digest is another one")
        return made


@contextmanager
def advised(folder: Path) -> Iterator[None]:
    """A sentence on a checkpoint says what can be done."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}; without {folder / NAME} --resume trains from the first step again") from None


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
