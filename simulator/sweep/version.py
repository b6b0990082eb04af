"""The version of the models: a digest of their sources, so that no result outlives the model that gave it."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

# by name: a dataflow is found here as an outsider's would be
ROOMS = ("dataflows", "rtl", "simulator", "workloads")
# no part of what a run gives
LEFT_OUT = {"command", "commands", "sweep", "sensitivity", "training", "models", "__pycache__"}
ENDINGS = {".py", ".yaml", ".json"}


@cache
def model_version() -> str:
    """Sixteen hexadecimal digits over the sources and files the models are made of."""
    digest = sha256()
    for room in ROOMS:
        spec = find_spec(room)
        for folder in sorted(spec.submodule_search_locations or []) if spec else []:
            for path in _files(Path(folder)):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Sequence[Path]:
    found = (path for path in folder.rglob("*") if path.suffix in ENDINGS)
    return sorted(path for path in found if not LEFT_OUT & set(path.relative_to(folder).parts))
