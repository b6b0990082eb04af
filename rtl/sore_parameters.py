"""Parameters of a SORE lane, shared by hardware and golden model."""

from dataclasses import dataclass

from rtl.formats import FloatFormat, Format
from rtl.parameters import LARGEST_GROUP
from workloads.errors import UserError


@dataclass(frozen=True)
class SoreParameters:
    """A lane that keeps up to `n` of up to `m` values in `form`. Raises UserError for an n:m that it cannot have."""

    form: Format
    n: int
    m: int

    def __post_init__(self) -> None:
        largest = LARGEST_GROUP["float" if isinstance(self.form, FloatFormat) else "integer"]
        if not 1 <= self.n <= self.m:
            raise UserError(f"SORE: {self.n}:{self.m} is no pattern; n must be from 1 to m")
        if self.m > largest:
            raise UserError(
                f"SORE: groups of {self.m} {self.form.name} values are too large; m must be at most {largest}"
            )

    @property
    def index_bits(self) -> int:
        return max(1, (self.m - 1).bit_length())
