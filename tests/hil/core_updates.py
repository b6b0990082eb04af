"""Updates of millions of weights on the core: `python -m tests.hil.core_updates FILE` writes a row a layer.

The committed table is reports/results/hil/core-updates.csv. A session checks weights, states, packed copies and indices
after every update, bit by bit, and ends at the first that differs.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.random import Generator

from simulator.hil.core_session import CoreSession
from simulator.hil.golden_session import bits_of
from tests.hil.core_steps import RULES, session_of, training_step
from tests.hil.test_golden_session import SCALE, Sizes
from workloads.op import Optimizer, Phase
from workloads.training.backend import layers_of
from workloads.training.elsewhere import constants

CORE = ("array.rows=4", "array.cols=4")
WEIGHTS = 4_000_000  # of each optimizer
PATTERNS = ("2:8", "2:8", "2:4", "1:4", "4:8", "1:8")
SEED = 23
COLUMNS = ("optimizer", "taps", "inputs", "outputs", "forward", "backward", "weights", "cycles", "simulated_cycles")
Row = dict[str, object]


def drawn_layer(rng: Generator) -> Sizes:
    """A layer of some ten thousand weights, with tails as likely as not, and a pattern in each direction."""
    kernel = (3, 3) if rng.random() < 0.4 else (1, 1)
    inputs, outputs = (int(each) for each in rng.integers(24, 120 if kernel == (3, 3) else 320, 2))
    if rng.random() < 0.5:
        inputs, outputs = inputs // 8 * 8, outputs // 8 * 8
    rows = 24 if kernel == (3, 3) else 4  # the positions of an image of 3 x 4, twice, as the step has it
    return Sizes(inputs, outputs, rows, str(rng.choice(PATTERNS)), str(rng.choice(PATTERNS)), kernel)


def updated(session: CoreSession, optimizer: Optimizer, rng: Generator) -> None:
    """One update with gradients of many magnitudes, which no product has made."""
    for layer in session.layers.values():
        shape = (layer.taps * layer.inputs, layer.outputs)
        found = rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 3, shape)
        given = bits_of(found.astype(np.float32))  # where WU would have left it, in both steps
        results = session._ops[layer.name, Phase.WU].results
        session._golden._gradients[layer.parameter] = given
        session._dram.put(results.at, results.of(given))
        session.update(layer.parameter, None, constants(RULES[optimizer.value], SCALE, int(rng.integers(1, 1000))))


def rows(optimizer: Optimizer, weights: int) -> Iterator[Row]:
    """Layers, one after the other, until so many weights were updated."""
    rng, done = np.random.default_rng([SEED, len(optimizer.value)]), 0
    while done < weights:
        size = drawn_layer(rng)
        work = training_step({"layer": size}, optimizer, {})
        session = session_of(work, {}, rng, CORE)
        updated(session, optimizer, rng)
        (layer,) = layers_of(work).values()
        (counted,) = (row for row in session.figures()["ops"] if row["phase"] == Phase.UP)  # type: ignore[attr-defined]
        assert session.figures()["other_waits"] == 0
        count = layer.taps * layer.inputs * layer.outputs
        done += count
        yield {
            "optimizer": optimizer.value,
            "taps": layer.taps,
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "forward": size.forward,
            "backward": size.backward,
            "weights": count,
            "cycles": counted["cycles"],
            "simulated_cycles": counted["simulated"],
        }


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("file", type=Path)
    reader.add_argument("--weights", type=int, default=WEIGHTS)
    asked = reader.parse_args()
    with asked.file.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for optimizer in (Optimizer.MOMENTUM, Optimizer.ADAMW):
            done = 0
            for row in rows(optimizer, asked.weights):
                writer.writerow(row)
                file.flush()
                done += int(str(row["weights"]))
                sys.stderr.write(f"{optimizer.value}: {done:,} weights\n")


if __name__ == "__main__":
    main()
