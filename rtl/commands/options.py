"""Options that several sub-commands of this room share."""

from typing import Annotated

import typer

PatternChoice = Annotated[str, typer.Option("--pattern", help="n:m such as 2:8, 'bank n:m', or dense.")]
SoreOption = Annotated[bool, typer.Option("--sore", help="With a lane of SORE beside the array.")]
OptimizerChoice = Annotated[
    str, typer.Option("--optimizer", help="With lanes of WUVE for it: momentum or adamw.", show_default=False)
]
CoreOption = Annotated[
    bool, typer.Option("--core", help="The core instead: DMA, SORE, transposer and the array between memories.")
]


def _of_core(name: str, what: str, usual: float) -> typer.models.OptionInfo:
    said: typer.models.OptionInfo = typer.Option(name, help=f"With --core: {what}. [default: {usual:g}]")
    return said


WestKib = Annotated[float | None, _of_core("--west-kib", "memory of the rows' operands", 4)]
NorthKib = Annotated[float | None, _of_core("--north-kib", "memory of the columns' weights", 2)]
OutputKib = Annotated[float | None, _of_core("--output-kib", "memory of sums", 2)]
RawKib = Annotated[float | None, _of_core("--raw-kib", "memory before SORE and transposer", 2)]
WuveKib = Annotated[float | None, _of_core("--wuve-kib", "memory of the update engine", 8)]
DramKib = Annotated[int | None, _of_core("--dram-kib", "block memory in place of DRAM", 128)]
QueueDepth = Annotated[int | None, _of_core("--queue-depth", "words that a queue holds", 64)]
