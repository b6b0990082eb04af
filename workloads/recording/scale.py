"""A recorded step with batch and sequence length left open: recorded by shapes alone at several sizes, fitted, checked
on one more."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from workloads.errors import UserError, unknown_name
from workloads.recording.fitting import (
    IMAGE_CHECK,
    IMAGE_POINTS,
    TEXT_CHECK,
    TEXT_POINTS,
    Point,
    Step,
    Unfit,
    fitted,
)
from workloads.recording.trace_module import trace_module
from workloads.recording.trace_request import Input, Request
from workloads.shape_fit import MONOMIALS, resolve
from workloads.stored import Template

SIZES = ("batch", "sequence")


def parse_scale(text: str, request: Request) -> tuple[str, ...]:
    """The sizes to be left open: of "batch,sequence" both. Raises UserError for others, and where there is none."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in SIZES:
            raise unknown_name("size", name, SIZES, f"--scale {text}")
    if "sequence" in names and request.sequence == 1:
        raise UserError(f"--scale {text}: the first input holds no tokens, so there is no sequence length")
    return names


def scaled_template(request: Request, names: Sequence[str], template: Template) -> Template:
    """The template of a recorded step with some sizes as functions of batch and sequence length.

    The batch is the first axis of every input that has as much there as the first input; the sequence length is every
    other axis that is as long as that of the tokens. Raises UserError where sizes follow no such function.
    """
    longer = "sequence" in names
    points, check = (TEXT_POINTS, TEXT_CHECK) if longer else (IMAGE_POINTS, IMAGE_CHECK)

    def at(point: Point) -> Step:
        batch, sequence = (point[0] if "batch" in names else request.batch), (point[1] if longer else request.sequence)
        inputs = tuple(_at(each, request, batch, sequence) for each in request.inputs)
        workload = trace_module(replace(request, inputs=inputs, shapes_only=True, plain=True)).workload
        return Step(workload.ops, workload.saved_elements, workload.parameters)

    try:
        shapes = fitted(at, points, check)
    except Unfit as error:
        raise UserError(f"{request.target}: --scale {','.join(names)}: {error}") from None
    ops = [cast(dict[str, object], _merged(size, there)) for size, there in zip(shapes.ops, template.ops, strict=False)]
    if len(shapes.ops) != len(template.ops) or resolve(ops, request.batch, request.sequence) != template.ops:
        raise UserError(
            f"{request.target}: --scale {','.join(names)}: sizes depend on values; with --shapes-only they do not"
        )
    told = replace(template.capture, shapes=f"{template.capture.shapes}; {','.join(names)} open, fitted and checked")
    return replace(template, ops=ops, saved_elements=shapes.saved_elements, capture=told)


def _at(given: Input, request: Request, batch: int, sequence: int) -> Input:
    first = batch if given.shape[0] == request.batch else given.shape[0]
    rest = (sequence if size == request.sequence and request.sequence > 1 else size for size in given.shape[1:])
    return replace(given, shape=(first, *rest))


def _merged(sizes: object, there: object) -> object:
    """What was measured at one size, with the sizes as functions."""
    if isinstance(sizes, dict) and sizes and all(key in MONOMIALS for key in sizes):
        return sizes
    if isinstance(sizes, dict) and isinstance(there, dict):
        return {key: _merged(sizes[key], value) if key in sizes else value for key, value in there.items()}
    if isinstance(sizes, list) and isinstance(there, list) and len(sizes) == len(there):
        return [_merged(one, other) for one, other in zip(sizes, there, strict=True)]
    return there
