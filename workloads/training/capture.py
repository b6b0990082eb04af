"""Make the captured workloads: `python -m workloads.training.capture resnet18`, or `--all`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from workloads.errors import UserError
from workloads.models.spec import ModelSpec
from workloads.registry import MODELS, load_part, names
from workloads.samples import write_samples
from workloads.shipped import FOLDER
from workloads.stored import SCHEMA, Template, write_template
from workloads.training.record import versions
from workloads.training.sampling import put_zeros, sampled_run
from workloads.training.shapes import Shapes, fitted_shapes
from workloads.workload import Capture, Mode

SHAPES = "fake-tensor captures at several batch sizes and sequence lengths, fitted, checked on one more"


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
    write_samples(run.samples, run.settings, path.with_suffix(".safetensors"))
    write_template(_template(spec, shapes, told), path)
    return path


def _template(spec: ModelSpec, shapes: Shapes, told: Capture) -> Template:
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
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 2 after a user's mistake, printed as one sentence."""
    parser = argparse.ArgumentParser(prog="python -m workloads.training.capture", description=__doc__)
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
