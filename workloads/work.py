"""What is to be done, by name, and the folder that what comes of it goes to unless somebody names one."""

import os
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from os.path import realpath
from pathlib import Path

from workloads.errors import UserError
from workloads.files.limits import LIMITS, SAMPLES_BYTES, Limits
from workloads.files.reading import MIB, read_bytes
from workloads.files.slim import read_slim

TRAINING = "training"
SAMPLES = ".safetensors"
YOUNG = ("onnx",)  # fields that works without them do not tell of: digests that ship have none


@dataclass(frozen=True)
class Work:
    """What is to be done, by name: exactly one of the first six fields is given.

    model: a captured step. workload, topology, onnx: paths of files. gemms: products, "3136x64x576". matrices: one
    sparse matrix to be squared or two to be multiplied, files or "rmat:10:8". batch, sequence: None for those recorded.
    mode: "training" or "inference". optimizer: None for the recorded one. input_gradient: BP for the first layer too.
    content: the text of a workload that lies in no file, `workload` is then what it is called, and `tensors` the file
    with its sampled tensors. digest: of the files, so that a changed one is noticed when the work is done again.
    limits: how large any of it may be; they change nothing of what comes out.
    """

    model: str | None = None
    workload: str | None = None
    topology: str | None = None
    onnx: str | None = None
    gemms: tuple[str, ...] = ()
    matrices: tuple[str, ...] = ()
    batch: int | None = None
    sequence: int | None = None
    mode: str = TRAINING
    optimizer: str | None = None
    input_gradient: bool = False
    content: str = ""
    tensors: str = ""
    digest: str = ""
    limits: Limits = LIMITS

    def told(self) -> dict[str, object]:
        """Its fields as cards and digests have them, limits left out, and fields that are younger than some digests
        where they are given alone."""
        young = {name for name in YOUNG if getattr(self, name) is None}
        return {name: value for name, value in vars(self).items() if name != "limits" and name not in young}

    @property
    def name(self) -> str:
        """A short name: resnet18, or that of a file."""
        matrices = "-".join(Path(each).name for each in self.matrices)
        return self.model or matrices or Path(self.workload or self.topology or self.onnx or "gemm").stem

    def files(self) -> list[Path]:
        """The files it stands on. No name of a file is too odd to be asked for."""
        if self.content:
            return [Path(self.tensors)] if self.tensors else []
        named = [Path(each) for each in (self.workload, self.topology) if each]
        beside = [path.with_suffix(SAMPLES) for path in named if path.name]
        named += [Path(self.onnx)] if self.onnx else []
        return named + [path for path in [*beside, *map(Path, self.matrices)] if os.path.isfile(path)]  # noqa: PTH113

    def pinned(self) -> "Work":
        """The same work with full paths and the digest of its files: what a run card and a journal keep.

        Raises UserError where a file is not what its digest says.
        """
        digest = sha256()
        for path in (files := self.files()):
            if self.onnx and path == Path(self.onnx):
                digest.update(read_slim(path, self.limits))
                continue
            most = SAMPLES_BYTES if path.suffix == SAMPLES else self.limits.file_mib * MIB
            digest.update(read_bytes(path, most))
        found = digest.hexdigest()[:16] if files else ""
        if self.digest and found != self.digest:
            raise UserError(f"{files[0] if files else self.name}: has changed since this was run")
        return replace(
            self,
            workload=self.workload if self.content else _full(self.workload),
            topology=_full(self.topology),
            onnx=_full(self.onnx),
            matrices=tuple(realpath(each) if Path(each) in files else each for each in self.matrices),
            digest=found,
        )


def _full(path: str | None) -> str | None:
    return None if path is None else realpath(path)


def safe_name(*parts: str) -> str:
    """Parts of a folder's name joined by dashes, without letters that would mean something in a path or a shell."""
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in "-".join(parts))


def dated_folder(name: str) -> Path:
    """A folder in `results/` that is not there yet."""
    stamp = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    folder = Path("results") / f"{stamp}-{name}"
    number = 2
    while folder.exists():
        folder = folder.with_name(f"{stamp}-{name}-{number}")
        number += 1
    return folder
