"""The update engine does what the golden update does, in the cycles that it is said to take."""

from dataclasses import replace

import numpy as np
import pytest

from rtl.core.updating import Updater, UpdateShape, Updating
from rtl.core.walk import WalkShape
from rtl.formats import FP32
from rtl.golden.units import updated
from rtl.lanes import UpdateParameters, constants
from rtl.verilate import Compiled, compiled
from tests.rtl.lanes import mixed
from workloads.errors import UserError

ROWS = 64
SETTINGS = {"learning_rate": 0.05, "weight_decay": 1e-3, "momentum": 0.9}
ADAMW = {"learning_rate": 0.01, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "step": 3}


def shape_of(optimizer: str) -> UpdateShape:
    return UpdateShape(UpdateParameters(optimizer), ROWS, WalkShape(), 8)


class Driven:
    """Inputs by cycle of one run of the engine."""

    def __init__(self, cycles: int) -> None:
        self.cycles = cycles
        self.ports: dict[str, list[int]] = {}

    def put(self, port: str, cycle: int, value: int) -> None:
        self.ports.setdefault(port, [0] * self.cycles)[cycle] = value

    def run(self, block: Compiled) -> dict[str, np.ndarray]:
        given = {}
        for port in block.inputs:
            values = self.ports.get(port.name, [0] * self.cycles)
            words = [[value >> 64 * part & (1 << 64) - 1 for value in values] for part in range(port.words)]
            columns = np.array(words, np.uint64)
            given[port.name] = columns[0] if port.words == 1 else columns.T.copy()
        block.reset()
        return block.run(**given)


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "settings"), [("momentum", SETTINGS), ("adamw", ADAMW)])
def test_rows_are_updated_and_go_where_they_belong(optimizer: str, settings: dict[str, float]) -> None:
    shape = shape_of(optimizer)
    block = compiled(Updater(shape), "updater")
    fields = {name: mixed(FP32, 4 * ROWS, 3 + at).reshape(ROWS, 4) for at, name in enumerate(shape.taken)}
    told = constants(optimizer, settings)
    commands = [  # one right behind the other
        Updating(0, 32, 0, rows=5, blocks=2, columns=3, fresh=True),
        Updating(10, 2, 100, rows=1, blocks=1),
        Updating(11, 3, 32, rows=8, blocks=1, columns=2),
    ]
    halves, banks = {name: field.view(np.uint64) for name, field in fields.items()}, 2 * len(shape.taken)
    begin = ROWS * banks + 1
    drive = Driven(begin + 200 + ROWS * 6)
    for row in range(ROWS):
        for field, name in enumerate(shape.taken):
            for half in range(2):
                bank, data = 2 * field + half, int(halves[name][row, half])
                write = {"enable": 1, "address": row, "bank": bank, "data": data}
                drive.put("write", row * banks + bank, int(shape.write.const(write).as_bits()))
    at, ends, filled = begin, [], []
    for command in commands:
        drive.put("go", at, 1)
        drive.put("command", at, command.bits(shape))
        drive.put("constants__payload", at, int(shape.constants.const(told).as_bits()))
        at += command.ticks
        ends.append(at - 1)
        filled.append(at - 1 + shape.latency)
    kept_banks, reads = 2 * len(shape.kept), at + shape.latency + 2
    for row in range(ROWS):
        for bank in range(kept_banks):
            drive.put("read_address", reads + row * kept_banks + bank, row)
            drive.put("read_bank", reads + row * kept_banks + bank, bank)
    made = drive.run(block)
    assert np.flatnonzero(made["ends"]).tolist() == ends
    assert np.flatnonzero(made["filled"]).tolist() == filled
    after = {name: np.zeros((ROWS, 4), np.uint32) for name in shape.kept}
    raw = {}
    for command in commands:
        rows = slice(command.taken, command.taken + command.ticks)
        there = np.ones((command.ticks, 4), bool)
        there[-command.rows :, command.columns :] = False
        new = updated(
            shape.lane,
            {name: np.where(there, field[rows], 0).astype(np.uint32) for name, field in fields.items()},
            told,
        )
        for name in shape.kept:
            after[name][command.kept : command.kept + command.ticks] = new[name]
        padded = -(-command.rows // 4) * 4
        for number, word in enumerate(new["operand"].astype(np.uint16).view(np.uint64)[:, 0]):
            block_, row = divmod(number, command.rows)
            raw[command.raw + block_ * padded + row] = int(word)
    ports = made["raw"].reshape(len(made["raw"]), -1)
    whole = ports[:, 0].astype(object) + (ports[:, 1].astype(object) << 64)
    seen = {int(port >> 1 & 255): int(port >> 9) for port in whole if port & 1}
    assert seen == raw
    for row in range(ROWS):
        for bank in range(kept_banks):
            right = after[shape.kept[bank // 2]].view(np.uint64)[row, bank % 2]
            assert made["word"][reads + row * kept_banks + bank + 1] == right, (row, bank)


def test_what_is_beyond_the_memories_is_refused() -> None:
    shape = shape_of("momentum")
    for wrong in ({"taken": 60}, {"kept": 60}, {"raw": 252}, {"rows": 0}):
        with pytest.raises(UserError, match="is beyond an update engine of 64 rows"):
            replace(Updating(0, 0, 0, rows=5, blocks=1), **wrong).bits(shape)
