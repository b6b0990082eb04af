"""One operator that torch ran: its name, what went in and what came out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import final

from torch import Tensor
from torch._ops import OpOverload


@final
@dataclass(frozen=True)
class Call:
    """One operator that ran. `result` is None until it did."""

    func: OpOverload
    args: Sequence[object]
    result: object = None
    more: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        return functional_name(self.func)

    @cached_property
    def inputs(self) -> list[Tensor]:
        return tensors_in((*self.args, *self.more.values()))

    @cached_property
    def outputs(self) -> list[Tensor]:
        return tensors_in([self.result])


@cache
def functional_name(func: OpOverload) -> str:
    """An operator's name without namespace and overload, and without the mark of one that works in place."""
    name = str(func.overloadpacket.__name__)
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def tensors_in(values: Iterable[object]) -> list[Tensor]:
    """The tensors among values, those in lists and mappings included."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(tensors_in(value))
        elif isinstance(value, dict):
            found.extend(tensors_in(value.values()))
    return found
