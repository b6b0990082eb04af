"""How a step takes longer with fewer gates."""

from typing import Annotated

import typer

from simulator import simulate


def study_gates(
    model: Annotated[str, typer.Option("--model", help="A captured model.")] = "resnet9",
    pattern: Annotated[str, typer.Option("--pattern", help="n:m.")] = "2:8",
) -> None:
    """Simulate a step with 32, 64 and 128 gates."""
    for gates in (32, 64, 128):
        result = simulate("turnstile", pattern, model, batch=4, settings={"gates": gates})
        typer.echo(f"{gates} gates: {result.cycles} cycles, {result.speedup:.2f}x")
