"""Our forward pass beside the peers' figures: `python -m tests.bench.peers.compare FOLDER` prints the ratios."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from dataflows.planner import Planner
from dataflows.weight_stationary import WeightStationary
from simulator.kernel.maxplus import load_kernel
from simulator.machine import load_arch
from simulator.result import execute
from simulator.schedule import Runs
from tests.bench.peers.layers import forward_products
from workloads.shipped import load_shipped


def ours() -> tuple[float, list[int]]:
    """CPU seconds of planning and running on the `dense` machine, weight stationary, and cycles by layer."""
    workload = replace(load_shipped("resnet18", batch=1), ops=tuple(forward_products()))
    arch = load_arch("dense").spec
    load_kernel()
    began = time.process_time()
    runs = Runs()
    result = execute(Planner(arch, [WeightStationary()], runs).plan(workload), {}, runs)
    return time.process_time() - began, result.ops["cycles"].tolist()


def main() -> None:
    seconds, cycles = ours()
    print(f"ours: {seconds:.4f} CPU s, {sum(cycles):,} cycles")
    for peer in ("scalesim", "zigzag"):
        found = json.loads((Path(sys.argv[1]) / f"{peer}.json").read_text(encoding="utf-8"))
        same = " the same in every layer" if found["cycles"] == cycles else ""
        print(
            f"{peer}: {found['cpu_seconds']:.1f} CPU s, {found['peak_mib']:,.0f} MiB, {sum(found['cycles']):,} cycles"
            f"{same}; {found['cpu_seconds'] / seconds:,.0f} times our CPU seconds"
        )


if __name__ == "__main__":
    main()
