"""Registers between the stages of a block, as many as its latency says, where they shorten the longest path most."""

from collections.abc import Sequence
from types import SimpleNamespace

from amaranth import Module, Shape, Signal, Value


def placed(delays: Sequence[float], latency: int) -> tuple[int, ...]:
    """Registers after each stage.

    delays: estimated delay of each stage, in any unit. One register stands after the last stage, the others where the
    longest run of stages without a register is shortest; those not needed for that stand at the end, too.
    """
    if latency == 0:
        return (0,) * len(delays)
    last = len(delays) - 1
    lengths = sorted({sum(delays[start:end]) for start in range(last + 1) for end in range(start + 1, last + 2)})
    limits = (length for length in lengths if length >= max(delays))
    cuts = next(found for limit in limits if len(found := _cuts(delays, limit)) <= latency - 1)
    return (*(int(stage in cuts) for stage in range(last)), latency - len(cuts))


def _cuts(delays: Sequence[float], limit: float) -> set[int]:
    """The stages after which a register is needed so that no run is longer than `limit`."""
    cuts, run = set(), 0.0
    for stage, delay in enumerate(delays):
        if run + delay > limit:
            cuts.add(stage - 1)
            run = 0.0
        run += delay
    return cuts


class Pipeline:
    """Carries a block's signals from one stage to the next, through registers that `enable` lets go on.

    The block calls `after(stage, ...)` at the end of each stage, in order, and reads what comes back.
    """

    def __init__(self, module: Module, enable: Value, delays: dict[str, float], latency: int) -> None:
        self._module = module
        self._enable = enable
        self._registers = dict(zip(delays, placed(list(delays.values()), latency), strict=True))

    def after(self, stage: str, **values: Value) -> SimpleNamespace:
        """The values as the next stage sees them."""
        return SimpleNamespace(**{name: self._carried(f"{stage}_{name}", stage, each) for name, each in values.items()})

    def _carried(self, name: str, stage: str, value: Value) -> Value:
        wire = Signal(Shape.cast(value.shape()), name=name)
        self._module.d.comb += wire.eq(value)
        for number in range(self._registers[stage]):
            register = Signal(wire.shape(), name=f"{name}_r{number}", reset_less=True)
            with self._module.If(self._enable):
                self._module.d.sync += register.eq(wire)
            wire = register
        return wire
