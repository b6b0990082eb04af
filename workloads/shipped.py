"""Workloads that ship with the package: captured steps of ten models, for any batch and sequence length."""

from pathlib import Path

from workloads.errors import UserError, unknown_name
from workloads.workload import Workload, instantiate, read_template

FOLDER = Path(__file__).parent / "captures"


def shipped_models() -> list[str]:
    """The names of the captured models."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def shipped_path(name: str) -> Path:
    """The file of a captured model. Raises UserError for an unknown name, with the list and the nearest match."""
    if name not in shipped_models():
        raise unknown_name("model", name, shipped_models())
    return FOLDER / f"{name}.json"


def load_shipped(name: str, batch: int | None = None, sequence: int | None = None) -> Workload:
    """A captured model's dense training step at a batch and sequence length (those of the capture by default).

    Raises UserError for an unknown name, for sizes below 1, and for a sequence length where the model has none.
    """
    path = shipped_path(name)
    template = read_template(path)
    for what, size in (("batch", batch), ("sequence length", sequence)):
        if size is not None and size < 1:
            raise UserError(f"model '{name}': the {what} must be at least 1, not {size}")
    if sequence not in (None, template.sequence) and not template.follows_sequence:
        raise UserError(f"model '{name}' has no sequence length; only the batch can be changed")
    return instantiate(template, path, batch, sequence)
