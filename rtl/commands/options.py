"""Options that several sub-commands of this room share."""

from typing import Annotated

import typer

PatternChoice = Annotated[str, typer.Option("--pattern", help="n:m such as 2:8, 'bank n:m', or dense.")]
SoreOption = Annotated[bool, typer.Option("--sore", help="With a lane of SORE beside the array.")]
OptimizerChoice = Annotated[
    str, typer.Option("--optimizer", help="With a lane of WUVE for it: momentum or adamw.", show_default=False)
]
