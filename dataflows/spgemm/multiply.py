"""A product multiplied by a kernel on a fabric: the program made and run."""

from dataclasses import dataclass

from dataflows.spgemm.kernel import Kernel, Sink, Tally, Task, stored_bytes, too_large
from dataflows.spgemm.options import KernelOptions
from simulator.arch.piuma import FabricArch
from simulator.fabric.outcome import FabricTiming
from simulator.fabric.run import FabricRun
from workloads.sparse.matrix import SparseProduct


@dataclass(frozen=True)
class Multiplied:
    """What a run took, and what the kernel did with the data."""

    timing: FabricTiming
    tally: Tally


def multiply(
    product: SparseProduct, arch: FabricArch, kernel: Kernel, options: KernelOptions, sink: Sink, trace: bool = False
) -> Multiplied:
    """Multiply and time. Finished rows go to `sink`.

    Raises UserError where operands and result do not fit the fabric's memory, or a table not its scratchpad.
    """
    need = stored_bytes(arch, product.left, product.right)
    if need > arch.memory_bytes:
        raise too_large(arch, product.name, "the operands take", need)
    tally = Tally()
    run = FabricRun(arch, trace)
    timing = run.run(kernel.stages(Task(product, arch, options, tally, sink)))
    return Multiplied(timing, tally)
