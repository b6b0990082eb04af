"""How much memory a training step takes at least, known before any is taken; and a sentence for when there is none."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from workloads.errors import UserError
from workloads.files.reading import read_bytes
from workloads.recording.tensor_names import storage_of

GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container; "max" where there is none
GIB = 2**30
REFUSALS = (  # of torch, in part
    *("not enough memory", "can't allocate memory", "cannot allocate memory"),
    *("storage size calculation overflowed", "integer multiplication overflow"),
)


def memory_there() -> int:
    """Bytes of memory that this process may use: the machine's, its container's, or what `ulimit -v` leaves."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append(soft)
    with suppress(UserError, ValueError):
        found.append(int(read_bytes(GROUP_LIMIT)))
    return min(found)


def check_memory(size: int, what: str) -> None:
    """Raises UserError where `what` ("this step") takes more bytes than there are."""
    there = memory_there()
    if size > there:
        raise UserError(f"{what} takes at least {size / GIB:,.1f} GiB of memory, and there are {there / GIB:,.1f} GiB")


def least_of_step(build: Callable[[], nn.Module], inputs: Callable[[], Tensor], states: int) -> int:
    """Bytes that a step takes at least, by a forward pass that computes nothing.

    states: values that the optimizer keeps for each weight; beside them stand the weight and its gradient. 0 for a
    model that cannot be built or run without values.
    """
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.detach())
        return tensor

    try:
        with torch.device("meta"), saved_tensors_hooks(keep, lambda tensor: tensor):
            model = build()
            model(inputs())
    except UserError:
        raise
    except Exception:  # whatever a model does with values that are not there; it is run with some next
        return 0
    sizes = {storage_of(tensor): tensor.untyped_storage().nbytes() for tensor in kept}
    weights = {storage_of(parameter): parameter.untyped_storage().nbytes() for parameter in model.parameters()}
    return (2 + states) * sum(weights.values()) + sum(sizes[key] for key in sizes.keys() - weights.keys())


@contextmanager
def memory_said(what: str) -> Iterator[None]:
    """Where memory ends inside the block, that is one sentence. what: what could be smaller, "a smaller --batch"."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory(error):
            raise
        raise UserError(f"there is not enough memory; {what} takes less") from None


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory has ended, or that a size is beyond what can be counted."""
    if type(error) is not RuntimeError:
        return isinstance(error, MemoryError)
    return any(refusal in str(error).lower() for refusal in REFUSALS)
