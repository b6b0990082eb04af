"""What the command line says of a step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.machine import is_file_name
from workloads.errors import UserError


@dataclass(frozen=True)
class Choices:
    """What the command line says. Without `patterns` a workload keeps those it has."""

    arch: str
    patterns: tuple[str, ...]
    method: str
    model: str | None = None
    gemms: tuple[str, ...] = ()
    topology: Path | None = None
    workload: Path | None = None
    batch: int | None = None
    sequence: int | None = None
    optimizer: str | None = None
    mode: str = "training"
    dataflow: str | None = None
    settings: tuple[str, ...] = ()
    input_gradient: bool = False
    exact: bool = False
    check_capacity: bool = True
    kernel: str | None = None
    kernel_options: tuple[str, ...] = ()
    matrices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for the result folder."""
        files = self.workload or self.topology or Path("gemm")
        work = self.model or "-".join(Path(each).name for each in self.matrices) or files.stem
        text = "-".join([Path(self.arch).stem, work, *self.patterns])
        return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in text)

    def on_card(self) -> dict[str, Any]:
        """The choices as a result keeps them, so that it can be run again; files by their full path."""
        kept = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in vars(self).items()}
        return {**kept, "arch": str(Path(self.arch).resolve()) if is_file_name(self.arch) else self.arch}


def refuse_fabric_options(choices: Choices) -> None:
    """Raises UserError for options that only a fabric takes."""
    for option, given in (
        ("--matrix", choices.matrices),
        ("--kernel", choices.kernel),
        ("--kernel-option", choices.kernel_options),
    ):
        if given:
            raise UserError(
                f"{option}: machine '{choices.arch}' multiplies the layers of a step by dataflows; sparse matrices and "
                f"kernels are for fabrics, such as --arch piuma"
            )
