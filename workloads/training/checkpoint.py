"""Where a run can go on from: tensors in safetensors, the rest in JSON, both written aside and renamed.

The JSON names the tensors' file and its digest. It is renamed last, so at every moment it names one that is whole; the
one before is removed afterwards. With masks, gradients and the random state a run goes on as if nothing had happened,
to the bit. What is not what was written is refused before anything of the training has changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workloads.errors import UserError, unknown_name
from workloads.files.reading import digest_of, opened
from workloads.files.writing import new_file, not_written, write_text
from workloads.training.checkpoint_file import NAME, SCHEMA, TENSORS, Checkpoint, advised, read_checkpoint, seal_of
from workloads.training.checkpoint_tensors import check_tensors, restore, slots_of, tensors_of, weights_of
from workloads.training.loop import Training
from workloads.training.run_folder import owned


def save_checkpoint(training: Training, data: str, seconds: float, folder: Path) -> None:
    """Write a checkpoint and remove the one before. Raises UserError where it cannot be written."""
    path = folder / TENSORS.format(step=training.step)
    training.engine.fetch()
    tensors = tensors_of(training)
    absent = tuple(sorted(slots_of(training).keys() - tensors.keys()))
    size, digest = write_tensors(tensors, path)
    made = Checkpoint(SCHEMA, training.step, path.name, size, digest, absent, training.scale, data, seconds)
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
    made = read_checkpoint(folder)
    if made is None:
        return None
    with advised(folder):
        tensors = _read_tensors(training, made, folder / made.tensors)
    restore(training, tensors)
    training.step, training.scale = made.step, made.loss_scale
    if training.beside:
        training.beside.step = made.step
    return made


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> tuple[int, str]:
    """Write a safetensors file, which appears whole or not at all; its size and its digest.

    Raises UserError where it cannot be written.
    """
    try:
        with new_file(path) as partial:
            save_file(dict(tensors), partial)
            size = partial.stat().st_size
            return size, digest_of(partial, size)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be written: {error}") from None


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a file on a model: `weights.safetensors` of a run, the dense ones of its checkpoint, any such.
    Masks in it are left out.

    Raises UserError, with the model as it was, where the file is not whole or has not all that the model has.
    """
    wanted = weights_of(model)
    found = {name.removeprefix("weight/"): tensor for name, tensor in _loaded(path).items()}
    for name, tensor in wanted.items():
        if name not in found:
            near = [each for each in found if each not in wanted and "/" not in each]
            raise unknown_name(f"tensor of {path}, which the model has,", name, near, "--weights")
        if found[name].shape != tensor.shape:
            has, needs = ("x".join(map(str, each.shape)) for each in (found[name], tensor))
            raise UserError(f"--weights: {path}: '{name}' is {has}, and the model has {needs}")
    model.load_state_dict({name: found[name] for name in wanted}, strict=False)  # a tied parameter has other names too


def _loaded(file: Path) -> dict[str, Tensor]:
    with opened(file):  # says so where there is no file, or a folder
        pass
    try:
        tensors: dict[str, Tensor] = load_file(file)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{file}: is not a whole file of tensors (safetensors): {error}") from None
    return tensors


def _read_tensors(training: Training, made: Checkpoint, file: Path) -> dict[str, Tensor]:
    """The tensors, held against the run. They lie in the file until they are copied."""
    tensors = _loaded(file)
    try:
        check_tensors(slots_of(training), made.absent, tensors)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return tensors
