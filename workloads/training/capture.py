"""Make the captured workloads: `python -m workloads.training.capture resnet18`, or `--all`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from workloads.errors import UserError
from workloads.models.spec import ModelSpec
from workloads.registry import MODELS, load_entry, names
from workloads.shipped import FOLDER
from workloads.training.shapes import fitted_shapes
from workloads.training.versions import versions
from workloads.workload import SCHEMA, Capture, Mode, Template, write_template

SHAPES = "fake-tensor captures at several batch sizes and sequence lengths, fitted and checked on one more"


def capture(spec: ModelSpec, folder: Path) -> Path:
    """Capture one model into `folder`. Raises UserError when its shapes cannot be fitted."""
    node, parameters = fitted_shapes(spec)
    template = Template(
        schema_version=SCHEMA,
        model=spec.name,
        method="dense",
        pattern="dense",
        mode=Mode.TRAINING,
        batch=spec.batch,
        sequence=spec.sequence,
        parameters=parameters,
        saved_elements=node["saved_elements"],
        kept_dense=spec.kept_dense,
        capture=Capture(source="recorded step", shapes=SHAPES, versions=versions()),
        ops=node["ops"],
    )
    path = folder / f"{spec.name}.json"
    write_template(template, path)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 2 after a user's mistake, printed as one sentence."""
    parser = argparse.ArgumentParser(prog="python -m workloads.training.capture", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(names(MODELS))}")
    parser.add_argument("--all", action="store_true", help="every registered model")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: the shipped captures)")
    given = parser.parse_args(arguments)
    try:
        for name in names(MODELS) if given.all else given.models:
            start = time.perf_counter()
            path = capture(load_entry(MODELS, "model", name), given.out)
            print(f"{path} in {time.perf_counter() - start:.0f} s")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
