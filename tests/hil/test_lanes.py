"""Masks and updates in the loop: the golden models give what training recorded, and a fault is reported as such."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest

from reports.hil import hil_sentences
from rtl.formats import Bits
from rtl.golden.units import packed, updated
from rtl.hardware import Answer, Hardware, LinkFigures, Unconfirmed
from rtl.lanes import Lanes, UpdateParameters
from rtl.parameters import make_parameters
from rtl.tiles import Tile
from simulator.hil.lanes import LaneOutcome, lanes_checked, optimizer_lane
from simulator.hil.outcome import CONFIRMED, DIFFERS, UNCONFIRMED
from tests.hil.small import step
from workloads.pattern import parse_pattern
from workloads.samples import update_settings
from workloads.shipped import shipped_path

Kept = tuple[Bits, np.ndarray]


class Golden(Hardware):
    """Lanes by their golden models; `change` is put on what SORE keeps, `fault` on the weights of WUVE."""

    def __init__(
        self, change: Callable[[Kept], Kept] = lambda kept: kept, fault: Callable[[Bits], Bits] = lambda bits: bits
    ) -> None:
        self.parameters = make_parameters(parse_pattern("2:8"), 2, 2)
        self._change, self._fault = change, fault

    def top_n(self, values: Bits, n: int, m: int) -> Kept:
        return self._change(packed(values, self.parameters.operand, n, m)[:2])

    def updated(
        self, lane: UpdateParameters, fields: Mapping[str, Bits], constants: Mapping[str, int]
    ) -> dict[str, Bits]:
        made = updated(lane, fields, constants)
        return {**made, "weight": self._fault(made["weight"])}

    def run(self, chain: Sequence[Tile]) -> list[Answer]:
        raise Unconfirmed("no array here")

    def fits(self, tile: Tile) -> bool:
        return False

    def figures(self) -> LinkFigures:
        return LinkFigures()

    def close(self) -> None:
        """Nothing to let go of."""


def checked(model: str, hardware: Hardware, pattern: str = "2:8") -> list[LaneOutcome]:
    settings = update_settings(shipped_path(model).with_suffix(".safetensors"))
    there = step(model, pattern)
    return lanes_checked(there.donors, settings, there.strata, hardware, Lanes(True, optimizer_lane(settings)))


@pytest.mark.parametrize(("model", "optimizer"), [("resnet18", "momentum"), ("vit-s", "adamw")])
def test_masks_and_updates_are_trainings(model: str, optimizer: str) -> None:
    found = checked(model, Golden())
    assert {each.status for each in found} == {CONFIRMED} and all(each.bits for each in found)
    masks = [each for each in found if each.lane == "SORE"]
    assert {each.what for each in masks} == {"FF 2:8", "BP 2:8"} and sum(each.ties for each in masks) > 0
    assert {each.what for each in found if each.lane == "WUVE"} == {optimizer}


def test_groups_do_not_go_on_in_the_next_line() -> None:
    """Channels that are no multiple of m end in a shorter group, each line by itself."""
    there = step()
    short = {name: replace(each, weight=each.weight[:30, :30]) for name, each in there.donors.samples.items()}
    found = lanes_checked(replace(there.donors, samples=short), {}, there.strata, Golden(), Lanes(True, ""))
    assert len(found) == 2 * len(short) and {each.status for each in found} == {CONFIRMED}


def wrong_bit(bits: Bits) -> Bits:
    return np.where(np.arange(len(bits)) == 7, bits ^ np.uint32(1), bits)


def test_a_wrong_bit_is_one_wrong_bit() -> None:
    found = checked("resnet18", Golden(fault=wrong_bit))
    for each in (each for each in found if each.lane == "WUVE"):
        assert (each.status, each.wrong_bits) == (DIFFERS, 1)
        assert each.difference.startswith("value 7: ")
    assert {each.status for each in found if each.lane == "SORE"} == {CONFIRMED}
    card = {"lanes": [asdict(each) for each in found]}
    tiles = dict.fromkeys(("tiles", "confirmed_tiles", "bits", "wrong_bits", "tiles_with_other_cycles"), 1)
    rest = dict.fromkeys(("hardware_cycles", "operands", "nonzero_operands", "own_values_tiles"), 1)
    empty = dict.fromkeys(("resumed_tiles", "unconfirmed_tiles", "first_difference"), 0)
    link = {"sent": 0, "received": 0}
    shares = {"confirmed_share_of_array_cycles": {"step": 1.0}, "hardware": "sim", "array": "", "link": link}
    said = " ".join(hil_sentences({**card, **tiles, **rest, **empty, **shares}))
    assert "WUVE: 0 of 4 updates" in said and "momentum: value 7: " in said and "SORE: 8 of 8 masks" in said


def test_a_lost_value_and_a_lost_lane() -> None:
    found = checked("resnet18", Golden(change=lambda kept: (kept[0][:-1], kept[1][:-1])))
    assert {each.status for each in found if each.lane == "SORE"} == {DIFFERS}
    assert all("values came out, wanted" in each.difference for each in found if each.lane == "SORE")

    def silent(bits: Bits) -> Bits:
        raise Unconfirmed("nothing answers")

    found = checked("resnet18", Golden(fault=silent))
    assert {(each.status, each.difference) for each in found if each.lane == "WUVE"} == {
        (UNCONFIRMED, "nothing answers")
    }
