"""Options that several sub-commands share, with the names that a shell completes."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from workloads.registry import DATAFLOWS, KERNELS, MACHINES, METHODS, MODELS, names


def completed(*groups: str) -> Callable[[str], list[str]]:
    """What a shell offers for the beginning of a registered name. Typer knows the parameter by its name."""
    return lambda incomplete: [name for group in groups for name in names(group) if name.startswith(incomplete)]


ArchOption = Annotated[
    str,
    typer.Option(
        "--arch",
        help="Machine: a name (`simulate list machines`) or a YAML file.",
        autocompletion=completed(MACHINES),
    ),
]
PatternOption = Annotated[
    list[str],
    typer.Option(
        "--pattern", help="n:m such as 2:8, or dense; GLOB=n:m for single layers. Repeatable. [default: as recorded]"
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        help="Training method: which operand is sparse in which phase.",
        autocompletion=completed(METHODS),
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="A captured model (`simulate list models`).", autocompletion=completed(MODELS)),
]
DataflowOption = Annotated[
    str | None,
    typer.Option(
        "--dataflow",
        help="Use this dataflow throughout. [default: the best, by layer]",
        autocompletion=completed(DATAFLOWS),
    ),
]
ObjectiveOption = Annotated[
    str | None,
    typer.Option(
        "--objective",
        help="What the best mapping is: time, energy, or edp, energy times time. [default: time]",
        show_default=False,
    ),
]
KernelNameOption = Annotated[
    str | None,
    typer.Option(
        "--kernel", help="How a fabric multiplies (`simulate list kernels`).", autocompletion=completed(KERNELS)
    ),
]
MatrixOption = Annotated[
    list[str],
    typer.Option(
        "--matrix",
        help="A Matrix Market file, or rmat:SCALE:EDGES, uniform:ROWSxCOLS:DENSITY, banded:ROWS:WIDTH, "
        "block:ROWS:SIDE:DENSITY. One is squared, two are multiplied.",
    ),
]
ChoiceOption = Annotated[
    list[str],
    typer.Option(
        "--option", "--kernel-option", help="A choice of this kind of machine: hash=low-bits, slots=4096. Repeatable."
    ),
]
SetOption = Annotated[
    list[str], typer.Option("--set", help="Change a number of the machine: array.rows=64. Repeatable.")
]
FieldOption = Annotated[
    list[str],
    typer.Option("--set", help="Change a field of the method (`simulate list methods`): period=50. Repeatable."),
]
BatchOption = Annotated[int | None, typer.Option("--batch", help="Images or sequences a step.", show_default=False)]
LimitOption = Annotated[
    list[str],
    typer.Option("--limit", help="Take larger work than usual, as points=200000 or elements=20000000. Repeatable."),
]
GemmOption = Annotated[
    list[str], typer.Option("--gemm", help="A product ROWSxCOLSxINNER as a layer of its own. Repeatable.")
]
TopologyOption = Annotated[
    Path | None, typer.Option("--topology", help="Layers in SCALE-Sim's convolution or GEMM format (CSV).")
]
OnnxOption = Annotated[
    Path | None,
    typer.Option("--onnx", help="An ONNX file: its products, and for training those that follow from them."),
]
WorkloadOption = Annotated[Path | None, typer.Option("--workload", help="A recorded workload file (JSON).")]
SequenceOption = Annotated[int | None, typer.Option("--sequence", help="Sequence length.", show_default=False)]
ModeOption = Annotated[str, typer.Option("--mode", help="training, or inference: the forward pass alone.")]
NoCapacityOption = Annotated[
    bool, typer.Option("--no-capacity", help="Go on where the step does not fit the machine's DRAM.")
]
ProcessesOption = Annotated[int, typer.Option("--jobs", help="Processes. [default: one a core]", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output and nothing else there.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="A row an op as CSV on standard output and nothing else there.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Result folder. [default: a dated one in results/]")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the result folder.")]
