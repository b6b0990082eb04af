"""Sizes of all values of a graph, found in a process of its own: `python -m workloads.onnx_file.inference`.

The C++ half of `onnx` trusts what it reads: damaged numbers end its process or fill the memory. So a model goes in by
standard input and comes out by standard output, with its functions written out and a size for every value.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

import onnx
import onnx.inliner
import onnx.shape_inference

from workloads.errors import UserError
from workloads.files.limits import ONNX_MEMORY, ONNX_SECONDS
from workloads.onnx_file.constants import ROUNDS, is_open, with_constants

REFUSED = 3  # the exit code for a fault that the library has words for


def inferred(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its functions written out and the sizes of its values.

    Raises UserError where sizes contradict each other, and where they cannot be found.
    """
    command = [sys.executable, "-P", "-m", __name__]
    there = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, input=model.SerializeToString(), env=there, capture_output=True, check=False, timeout=ONNX_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{path}: its sizes were not found within {ONNX_SECONDS} seconds") from None
    if done.returncode == REFUSED:
        said = " ".join(done.stderr.decode(errors="replace").split()).replace("[ShapeInferenceError] ", "")
        raise UserError(f"{path}: its sizes do not fit together: {said[:300]}")
    if done.returncode:
        raise UserError(f"{path}: its sizes cannot be found: the package onnx ends over it, so it may be damaged")
    return onnx.load_model_from_string(done.stdout)


def with_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same, here and now. Raises whatever `onnx` does."""
    whole = onnx.inliner.inline_local_functions(model) if model.functions else model
    found = _with_shapes(whole)
    for _ in range(ROUNDS):
        if not is_open(found) or not with_constants(found):
            break
        found = _with_shapes(found)
    there = {each.name for each in whole.graph.initializer}
    worked_out = [
        onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims)
        for each in found.graph.initializer
        if each.name not in there
    ]
    for field in ("value_info", "output"):
        infos = list(getattr(found.graph, field))
        whole.graph.ClearField(field)
        getattr(whole.graph, field).extend(infos)
    whole.graph.value_info.extend(worked_out)
    return whole


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True)


def main() -> int:
    """Standard input to standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (ONNX_MEMORY, ONNX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        made = with_sizes(onnx.load_model_from_string(sys.stdin.buffer.read())).SerializeToString()
    except Exception as error:  # whatever the C++ half finds wrong
        sys.stderr.write(str(error) or type(error).__name__)
        return REFUSED
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
