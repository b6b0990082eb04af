"""A training step on the core: every byte of DRAM that of the golden step, cycles and waits the simulator's.

A session checks its DRAM after every op and raises UserError for the first word that is wrong.
"""

import numpy as np
import pytest

from simulator.hil.core_dram import StepDram
from simulator.hil.core_session import CoreBackend, CoreSession
from tests.hil.core_steps import SMALL, beginning, drive, session_of, training_step
from tests.hil.test_golden_session import Sizes
from workloads.errors import UserError
from workloads.op import Optimizer

MLP = {"hidden": Sizes(64, 128, 32, "2:8", None), "fc": Sizes(128, 10, 32)}
LOOSE = {"hidden.bias": 128, "fc.bias": 10}
ODD = {  # tails in both directions, several kernel positions, one copy or both
    "conv": Sizes(12, 20, 2 * 4 * 5, "2:8", "2:8", (3, 2)),
    "tails": Sizes(30, 18, 9, "2:4", "1:4"),
    "back": Sizes(10, 11, 5, "dense", "2:8"),
    "front": Sizes(3, 8, 7, "dense", None),
}


def carried_out(sizes: dict[str, Sizes], loose: dict[str, int], steps: int = 1) -> CoreSession:
    work, rng = training_step(sizes, Optimizer.MOMENTUM, loose), np.random.default_rng(5)
    session = session_of(work, loose, rng, SMALL)
    for number in range(1, steps + 1):
        drive(session, work, loose, rng, number)
    return session


@pytest.mark.parametrize(("sizes", "loose", "ops"), [(MLP, LOOSE, 9), (ODD, {"model": 3}, 16)], ids=["mlp", "odd"])
def test_a_step_is_the_golden_one_in_the_simulators_cycles(
    sizes: dict[str, Sizes], loose: dict[str, int], ops: int
) -> None:
    found = carried_out(sizes, loose, 2).figures()
    rows = found["ops"]
    assert isinstance(rows, list) and len(rows) == ops
    assert (found["ops_with_other_cycles"], found["other_waits"]) == (0, 0)
    assert found["cycles"] == found["simulated_cycles"] == sum(row["cycles"] for row in rows)
    assert all(row["calls"] == 2 and row["cycles"] for row in rows)
    assert any(row["waits"] for row in rows)
    assert found["words_held_against_golden"] > 50 * len(rows)


def test_a_word_that_differs_is_noticed() -> None:
    dram = StepDram(8)
    dram.put(np.arange(8), np.arange(8, dtype=np.uint64))
    dram.expect(np.array([3]), np.array([7], np.uint64), np.array([3], np.uint64))  # of which two bits are read
    dram.check("an op")
    dram.hardware[5] ^= np.uint64(1) << np.uint64(63)
    with pytest.raises(UserError, match=r"after an op 1 words of DRAM differ .* the first, at 0x28"):
        dram.check("an op")


def test_what_the_core_cannot_do_is_refused() -> None:
    work, rng = training_step(MLP, Optimizer.MOMENTUM, {}), np.random.default_rng(1)
    for sizes, said in (({"array.cols": 2}, "columns in fours"), ({"core.format": "bf16"}, "fp16 operands")):
        settings = (*SMALL, *(f"{name}={value}" for name, value in sizes.items()))
        with pytest.raises(UserError, match=said):
            session_of(work, {}, rng, settings)
    with pytest.raises(UserError, match="this machine is no core"):
        CoreBackend().on("sat").begin(beginning(work, {}, rng))
    with pytest.raises(UserError, match="parameter 'loose' has no update in the recorded step"):
        session_of(work, {"loose": 3}, rng, SMALL)
