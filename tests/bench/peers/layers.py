"""The forward products of ResNet-18 at 224 x 224, batch 1, for the peers: `python -m tests.bench.peers.layers FILE`."""

import csv
import sys
from pathlib import Path

from workloads.op import MatrixOp, Phase
from workloads.shipped import load_shipped


def forward_products() -> list[MatrixOp]:
    ops = load_shipped("resnet18", batch=1).ops
    return [op for op in ops if isinstance(op, MatrixOp) and op.phase is Phase.FF]


def main() -> None:
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "rows", "cols", "inner"])
        writer.writerows([op.layer.replace(".", "_"), op.rows, op.cols, op.inner] for op in forward_products())


if __name__ == "__main__":
    main()
