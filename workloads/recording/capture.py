"""Make the captured workloads: `python -m workloads.recording.capture resnet18`, or `--all`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from workloads.errors import UserError
from workloads.models.loss import CrossEntropy
from workloads.models.spec import DataKind, ModelSpec
from workloads.recording.fitting import (
    IMAGE_CHECK,
    IMAGE_POINTS,
    TEXT_CHECK,
    TEXT_POINTS,
    Point,
    Shapes,
    Step,
    Unfit,
    fitted,
)
from workloads.recording.record import record_pass, versions
from workloads.registry import MODELS, load_part, names
from workloads.samples import write_samples
from workloads.schema import SCHEMA
from workloads.shipped import FOLDER
from workloads.stored import Template, write_template
from workloads.training.sampling import put_zeros, sampled_run
from workloads.workload import Capture, Mode

SHAPES = "fake-tensor captures at several batch sizes and sequence lengths, fitted, checked on one more"
CHECKS = {DataKind.IMAGES: IMAGE_CHECK, DataKind.BYTES: TEXT_CHECK}


def example(
    spec: ModelSpec, batch: int, sequence: int | None = None, image: int | None = None
) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the right shapes and types, filled with random values: enough to record shapes."""
    if spec.data is DataKind.IMAGES:
        side = image or spec.sizes.image
        return torch.randn(batch, 3, side, side), torch.randint(0, spec.sizes.classes, (batch,))
    shape = (batch, sequence or spec.sequence)
    return torch.randint(0, 256, shape), torch.randint(0, 256, shape)


def shapes_at(spec: ModelSpec, point: Point) -> Step:
    """One step of the model at (batch, sequence), without values: nothing is computed."""
    with FakeTensorMode():
        model, loss = spec.build(), CrossEntropy()
        inputs, targets = example(spec, *point)
        found = record_pass(model, loss, lambda: loss(model(inputs), targets).backward(), spec.optimizer)
    return Step(found.ops, found.saved_elements, found.parameters)


def fitted_shapes(spec: ModelSpec) -> Shapes:
    """The model's step by batch and sequence length: recorded on fake tensors at several points and fitted.

    Raises UserError when sizes have no such form or miss the point they were not fitted on.
    """
    points = IMAGE_POINTS if spec.data is DataKind.IMAGES else TEXT_POINTS
    try:
        return fitted(lambda point: shapes_at(spec, point), points, CHECKS[spec.data])
    except Unfit as error:
        raise UserError(f"model '{spec.name}': {error}") from None


def captured_template(spec: ModelSpec) -> Template:
    """A model's step for any batch and sequence length, from its shapes alone: no zeros, no sampled tensors.

    Raises UserError when no shapes fit.
    """
    source = "shapes recorded when asked for"
    return _template(spec, fitted_shapes(spec), Capture(source=source, shapes=SHAPES, versions=versions()))


def capture(spec: ModelSpec, folder: Path) -> Path:
    """Capture one model into `folder`: NAME.json and NAME.safetensors. Raises UserError when no shapes fit."""
    shapes = fitted_shapes(spec)
    run = sampled_run(spec)
    put_zeros(shapes.ops, run.zeros)
    told = Capture(
        source=f"recorded steps of two runs; {run.source}",
        shapes=SHAPES,
        dataset=run.dataset,
        step=run.step,
        loss=round(run.loss, 6),
        loss_scale=run.loss_scale,
        seed=run.seed,
        versions=versions(),
    )
    path = folder / f"{spec.name}.json"
    digest = write_samples(run.samples, run.settings, path.with_suffix(".safetensors"))
    write_template(_template(spec, shapes, told, digest), path)
    return path


def _template(spec: ModelSpec, shapes: Shapes, told: Capture, samples: str = "") -> Template:
    return Template(
        schema_version=SCHEMA,
        model=spec.name,
        method="dense",
        pattern="dense",
        mode=Mode.TRAINING,
        batch=spec.batch,
        sequence=spec.sequence,
        parameters=shapes.parameters,
        saved_elements=shapes.saved_elements,
        kept_dense=spec.kept_dense,
        training_only=spec.training_only,
        capture=told,
        ops=shapes.ops,
        samples=samples,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 2 after a user's mistake, printed as one sentence."""
    parser = argparse.ArgumentParser(prog="python -m workloads.recording.capture", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(names(MODELS))}")
    parser.add_argument("--all", action="store_true", help="every registered model")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: the shipped captures)")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)  # one thread gives the same bits
    try:
        for name in _chosen(given.models, given.all, given.out):
            start = time.perf_counter()
            path = capture(load_part(MODELS, "model", name, ModelSpec), given.out)
            print(f"{path} in {time.perf_counter() - start:.0f} s", flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _chosen(models: Sequence[str], every: bool, folder: Path) -> Sequence[str]:
    if bool(models) == every:
        raise UserError("name the models to capture, or give --all and no names")
    if not folder.is_dir():
        raise UserError(f"--out: '{folder}' is not a folder")
    return names(MODELS) if every else models


if __name__ == "__main__":
    sys.exit(main())
