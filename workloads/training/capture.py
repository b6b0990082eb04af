"""Make the captured workloads: `python -m workloads.training.capture resnet18`, or `--all`."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from workloads.errors import UserError
from workloads.models.loss import CrossEntropy
from workloads.models.spec import DataKind, ModelSpec
from workloads.registry import MODELS, load_part, names
from workloads.samples import write_samples
from workloads.shape_fit import Size, evaluate, fit, resolve
from workloads.shipped import FOLDER
from workloads.stored import SCHEMA, Template, op_node, write_template
from workloads.training.record import Recorded, record_pass, versions
from workloads.training.sampling import put_zeros, sampled_run
from workloads.workload import Capture, Mode

SHAPES = "fake-tensor captures at several batch sizes and sequence lengths, fitted, checked on one more"
Point = tuple[int, int]
Nodes = list[dict[str, object]]  # ops as JSON
IMAGE_POINTS: tuple[Point, ...] = ((2, 1), (3, 1), (5, 1))
TEXT_POINTS: tuple[Point, ...] = ((2, 16), (3, 16), (2, 24), (5, 24), (3, 40), (7, 32), (4, 56), (6, 48))
CHECKS = {DataKind.IMAGES: (7, 1), DataKind.BYTES: (9, 72)}


@final
class Unfit(ValueError):
    """A size that is no function of batch and sequence length of the known form."""


@final
@dataclass(frozen=True)
class Shapes:
    """Ops as JSON and the elements kept for the backward pass, with sizes as functions of B and S; parameters."""

    ops: Nodes
    saved_elements: Size
    parameters: int


def example(
    spec: ModelSpec, batch: int, sequence: int | None = None, image: int | None = None
) -> tuple[Tensor, Tensor]:
    """Inputs and targets of the right shapes and types, filled with random values: enough to record shapes."""
    if spec.data is DataKind.IMAGES:
        side = image or spec.sizes.image
        return torch.randn(batch, 3, side, side), torch.randint(0, spec.sizes.classes, (batch,))
    shape = (batch, sequence or spec.sequence)
    return torch.randint(0, 256, shape), torch.randint(0, 256, shape)


def shapes_at(spec: ModelSpec, point: Point) -> Recorded:
    """One step of the model at (batch, sequence), without values: nothing is computed."""
    with FakeTensorMode():
        model, loss = spec.build(), CrossEntropy()
        inputs, targets = example(spec, *point)
        return record_pass(model, loss, lambda: loss(model(inputs), targets).backward(), spec.optimizer)


def fitted_shapes(spec: ModelSpec) -> Shapes:
    """The model's step by batch and sequence length: recorded on fake tensors at several points and fitted.

    Raises UserError when sizes have no such form or miss the point they were not fitted on.
    """
    points = IMAGE_POINTS if spec.data is DataKind.IMAGES else TEXT_POINTS
    recorded = [shapes_at(spec, point) for point in points]
    try:
        steps = [_nodes(each) for each in recorded]
        if len({len(nodes) for nodes in steps}) > 1:
            raise Unfit("the number of ops changes with the batch or the sequence length")
        ops = [_fit_fields(nodes, points) for nodes in zip(*steps, strict=True)]
        saved = _fit_size(tuple(each.saved_elements for each in recorded), points)
    except Unfit as error:
        raise UserError(f"model '{spec.name}': {error}") from None
    check = CHECKS[spec.data]
    there = shapes_at(spec, check)
    if resolve(ops, *check) != _nodes(there) or evaluate(saved, *check) != there.saved_elements:
        raise UserError(f"model '{spec.name}': the fitted shapes miss batch {check[0]}, sequence {check[1]}")
    return Shapes(ops, saved, recorded[0].parameters)


def _nodes(recorded: Recorded) -> Nodes:
    return [op_node(op) for op in recorded.ops]


def _fit_fields(nodes: Sequence[Mapping[str, object]], points: tuple[Point, ...]) -> dict[str, object]:
    first = nodes[0]
    if any(node.keys() != first.keys() for node in nodes):
        raise Unfit(f"the fields of an op change with the batch or the sequence length: {sorted(first)}")
    return {key: _fit([node[key] for node in nodes], points) for key in first}


def _fit(values: Sequence[object], points: tuple[Point, ...]) -> object:
    """One value of an op: fields, a list, a size, or what is the same at all points."""
    first = values[0]
    if len({type(value) for value in values}) > 1:
        raise Unfit(f"'{first}' is something else at another batch or sequence length")
    if isinstance(first, dict):
        return _fit_fields([value for value in values if isinstance(value, dict)], points)
    if isinstance(first, list):
        lists = [value for value in values if isinstance(value, list)]
        if len({len(value) for value in lists}) > 1:
            raise Unfit("a list in an op changes its length with the batch or the sequence length")
        return [_fit(inner, points) for inner in zip(*lists, strict=True)]
    if isinstance(first, int) and not isinstance(first, bool):
        return _fit_size(tuple(value for value in values if isinstance(value, int)), points)
    if any(value != first for value in values):
        raise Unfit(f"'{first}' changes with the batch or the sequence length")
    return first


@lru_cache(maxsize=4096)
def _fit_size(values: tuple[int, ...], points: tuple[Point, ...]) -> Size:
    try:
        return fit(points, values)
    except ValueError as error:
        raise Unfit(str(error)) from None


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
