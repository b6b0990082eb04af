"""Captured steps of registered models, for any batch and sequence length.

Ours ship with the package. A model that another distribution registers has its shapes recorded when it is asked for.
"""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import workloads
from workloads.errors import UserError
from workloads.models.spec import ModelSpec
from workloads.registry import MODELS, entry_of, load_part, names
from workloads.workload import Workload

if TYPE_CHECKING:
    from workloads.stored import Template

FOLDER = Path(__file__).parent / "captures"


def shipped_models() -> list[str]:
    """The names of the models."""
    return names(MODELS)


def shipped_path(name: str) -> Path:
    """The file of a captured model, which need not be there for a model of another distribution.

    Raises UserError for an unknown name, with the list and the nearest match.
    """
    entry_of(MODELS, "model", name)
    return FOLDER / f"{name}.json"


def load_shipped(name: str, batch: int | None = None, sequence: int | None = None) -> Workload:
    """A captured model's dense training step at a batch and sequence length (those of the capture by default).

    Raises UserError for an unknown name, for sizes below 1, and for a sequence length where the model has none.
    """
    path = shipped_path(name)
    template = _captured(path) if path.exists() else workloads.captured_template(_spec(name))
    for what, size in (("batch", batch), ("sequence length", sequence)):
        if size is not None and size < 1:
            raise UserError(f"model '{name}': the {what} must be at least 1, not {size}")
    if sequence not in (None, template.sequence) and not template.follows_sequence:
        raise UserError(f"model '{name}' has no sequence length; only the batch can be changed")
    return workloads.instantiate(template, path, batch, sequence)


@lru_cache(maxsize=4)
def _captured(path: Path) -> "Template":
    """A capture that ships with the package, which nobody changes: read once for several runs of a model."""
    return workloads.read_template(path)


def _spec(name: str) -> ModelSpec:
    return load_part(MODELS, "model", name, ModelSpec)
