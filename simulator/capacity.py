"""Whether a step fits a machine's DRAM."""

from workloads.errors import UserError
from workloads.op import VectorOp
from workloads.workload import Mode, Workload


def needed_bytes(workload: Workload, operand_bytes: int, master_bytes: int) -> int:
    """Bytes a step keeps in DRAM at once.

    Training: masters, optimizer states, gradients and operand-precision copies of all weights, and the activations
    saved for the backward pass. Inference: operand-precision weights alone. Working space is not counted: a floor.
    """
    weights = workload.parameters * operand_bytes
    if workload.mode is Mode.INFERENCE:
        return weights
    states = max(
        (op.optimizer.states for op in workload.ops if isinstance(op, VectorOp) and op.optimizer is not None),
        default=0,
    )
    masters = workload.parameters * master_bytes * (2 + states)
    return weights + masters + workload.saved_elements * operand_bytes


def refuse_overflow(workload: Workload, needed: int, capacity_gib: float) -> None:
    """Raises UserError where a step needs more bytes than there are, and says how many are missing."""
    there = int(capacity_gib * 2**30)
    if needed > there:
        raise UserError(
            f"--batch {workload.batch}: {workload.model} needs at least {needed / 2**30:.1f} GiB of DRAM, "
            f"{(needed - there) / 2**30:.1f} GiB more than the card's {there / 2**30:.1f} GiB (dram.capacity_gib); "
            f"take a smaller batch, or --no-capacity to go on"
        )
