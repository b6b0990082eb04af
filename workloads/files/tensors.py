"""Tensors on disk, in safetensors: bounded, held against a digest where there is one, read without torch."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from workloads.errors import UserError
from workloads.files.limits import SAMPLES_BYTES
from workloads.files.reading import parse_json, read_bytes
from workloads.files.writing import new_file

Array = NDArray[np.generic]


def read_tensors(path: Path, most: int = SAMPLES_BYTES, digest: str = "") -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors of a file by name, and its metadata.

    digest: as `reading.digest_of` gives it, empty where none is known. Raises UserError for a file that is cut, altered
    or too large, and for a type of number that numpy does not have (bfloat16, float8).
    """
    content = read_bytes(path, most)
    if digest and sha256(content).hexdigest() != digest:
        raise UserError(f"{path}: is not the file that was written: its digest is another one")
    metadata = _metadata(content, path)
    try:
        return dict(load(content)), metadata
    except (SafetensorError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a whole file of tensors: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: a tensor has the type {error}, which is not read; use F16, F32 or F64") from None


def _metadata(content: bytes, path: Path) -> dict[str, str]:
    """What the head of a file says beside its tensors."""
    length = int.from_bytes(content[:8], "little")
    node = _checked_head(content[8 : 8 + length], path)
    found = node.get("__metadata__", {})
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _checked_head(head: bytes, path: Path) -> dict[str, object]:
    """The head of a safetensors file. Raises UserError where it is none."""
    try:
        node = parse_json(head.decode("utf-8"), str(path), "not a whole file of tensors")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a whole file of tensors: its head is no text") from None
    if not isinstance(node, dict):
        raise UserError(f"{path}: not a whole file of tensors: its head is no mapping")
    return node


def write_tensors(tensors: Mapping[str, Array], metadata: Mapping[str, str], path: Path) -> None:
    """Write a file of tensors, which appears whole or not at all. Raises UserError where it cannot be written."""
    try:
        with new_file(path) as partial:
            save_file({name: np.ascontiguousarray(each) for name, each in tensors.items()}, partial, dict(metadata))
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be written: {error}") from None
