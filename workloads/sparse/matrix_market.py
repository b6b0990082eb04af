"""Matrices a user names, and the product of them: Matrix Market files, with file and line in every error.

The format is that of NIST, math.nist.gov/MatrixMarket/formats.html.
"""

import os
import re
import zlib
from bz2 import BZ2File
from collections.abc import Sequence
from gzip import GzipFile
from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import mminfo, mmread

from workloads.errors import UserError
from workloads.files.limits import LIMITS, Limits
from workloads.files.reading import MIB, read_bytes, read_most
from workloads.sparse.generate import generate
from workloads.sparse.matrix import Matrix, SparseProduct, from_scipy
from workloads.workload import Capture, Mode, Workload

BROKEN = (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error)


def read_matrix(text: str, limits: Limits = LIMITS) -> Matrix:
    """The matrix `--matrix` names: a Matrix Market file (.mtx, .mtx.gz), or one to be made such as rmat:10:8."""
    path = Path(text)
    if path.suffix not in (".mtx", ".gz") and not os.path.exists(text):  # noqa: PTH110  Path's fails for odd names
        if ":" in text:  # one to be made
            return generate(text, limits)
        raise UserError(
            f"--matrix {text}: there is no such file; name a Matrix Market file, or a matrix such as rmat:10:8"
        )
    return read_matrix_market(path, limits)


def read_matrix_market(path: Path, limits: Limits = LIMITS) -> Matrix:
    """Duplicates are added up, stored zeros kept, symmetric storage unfolded; patterns get ones.

    Raises UserError for a file that is none, is cut, holds complex or infinite values, or is above the limits.
    """
    content = _unpacked(path, limits)
    rows, cols, entries, field, symmetry = _head(path, content)
    if field == "complex":
        raise UserError(f"{path}:1: holds complex values; this program multiplies real ones")
    limits.check("side", max(rows, cols), f"{path}: the matrix")
    limits.check("elements", entries * (1 if symmetry == "general" else 2), f"{path}: the matrix")
    if not rows or not cols:
        raise UserError(f"{path}: has no {'rows' if not rows else 'columns'}; a product needs at least one of each")
    if entries > len(content):  # room is made for those that the head claims
        raise UserError(f"{path}: not a whole Matrix Market file: {entries} entries do not fit {len(content)} bytes")
    try:
        matrix = mmread(BytesIO(_readable(content)))
    except BROKEN as error:
        raise _wrong(path, error) from None
    found = from_scipy(path.name, matrix)
    if not np.isfinite(found.values).all():
        raise UserError(f"{path}: holds values that are not finite numbers, the first as element {_first_bad(found)}")
    return found


def _unpacked(path: Path, limits: Limits) -> bytes:
    """The text of a file, which may be packed. Raises UserError where either is larger than the limit."""
    most = limits.file_mib * MIB
    content = read_bytes(path, most, "file_mib")
    if path.suffix not in (".gz", ".bz2"):
        return content
    packed = BytesIO(content)
    try:
        with GzipFile(fileobj=packed) if path.suffix == ".gz" else BZ2File(packed) as file:
            content = read_most(file, most)
    except BROKEN as error:
        raise _wrong(path, error) from None
    limits.check("file_mib", -(-len(content) // MIB), f"{path}: unpacked, the file")
    return content


def _readable(content: bytes) -> bytes:
    """The text as scipy's reader takes it safely.

    Behind the last number it looks for the end of the line, and ends the process where there is none. In a file of
    integers it reads 2.5 as 2; values are 64-bit floats here, so that such a file is read as one of real numbers.
    """
    head, _, body = content.partition(b"\n")
    return re.sub(rb"(?i)\binteger\b", b"real", head) + b"\n" + body + b"\n"


def _head(path: Path, content: bytes) -> tuple[int, int, int, str, str]:
    try:
        rows, cols, entries, _, field, symmetry = mminfo(BytesIO(content))
    except BROKEN as error:
        raise _wrong(path, error) from None
    return rows, cols, entries, field, symmetry


def _wrong(path: Path, error: Exception) -> UserError:
    """The reader's words, with the file and the line it names in front."""
    text = str(error).rstrip(".") or type(error).__name__
    if found := re.match(r"Line ([0-9]+): (.*)", text, re.S):
        return UserError(f"{path}:{found[1]}: not a whole Matrix Market file: {_lower(found[2])}")
    return UserError(f"{path}: not a whole Matrix Market file: {_lower(text)}")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _first_bad(matrix: Matrix) -> str:
    place = int(np.argmax(~np.isfinite(matrix.values)))
    row = int(np.searchsorted(matrix.starts, place, side="right")) - 1
    return f"({row + 1}, {int(matrix.indices[place]) + 1})"


def from_matrices(texts: Sequence[str], limits: Limits = LIMITS) -> Workload:
    """The product of one matrix with itself, or of two. Raises UserError for more, and for sizes that do not fit."""
    if len(texts) > 2:
        raise UserError(f"--matrix: {len(texts)} are given; give one to be squared, or two")
    matrices = [read_matrix(text, limits) for text in texts]
    return workload_of(SparseProduct(matrices[0], matrices[-1]))


def workload_of(product: SparseProduct) -> Workload:
    """A product that is part of no step."""
    capture = Capture(source="--matrix", shapes="of the matrices")
    return Workload(product.name, "none", "as stored", 1, 1, Mode.INFERENCE, (), 0, 0, (), capture, products=(product,))
