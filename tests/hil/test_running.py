"""Tiles of a real step on the compiled array: they agree, and whatever is wrong is reported as exactly that."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rtl.hardware import Answer, Hardware, Unconfirmed
from simulator.hil.chains import chain_of
from simulator.hil.journal import Journal
from simulator.hil.outcome import CONFIRMED, DIFFERS, UNCONFIRMED, Outcome
from simulator.hil.running import LOST, classes_of, confirmed_share, run_tiles, summary_of, table_of
from simulator.hil.strata import drawn
from tests.hil.small import Erring, compiled, step
from workloads.errors import UserError

TILES = 12


def outcomes(path: Path, hardware: Hardware, tiles: int = TILES) -> list[Outcome]:
    with Journal(path / "journal.jsonl") as journal:
        return run_tiles(drawn(step().strata, tiles, 1), step().donors, hardware, journal, lambda _: None)


def test_hardware_confirms_the_models(tmp_path: Path) -> None:
    found = outcomes(tmp_path, compiled())
    assert {each.status for each in found} == {CONFIRMED}
    assert all(each.bits and each.hardware_cycles == each.model_cycles and not each.waiting_cycles for each in found)
    assert {each.dataflow for each in found} == {"output-stationary", "weight-stationary"}
    assert {each.phase for each in found} == {"FF", "BP", "WU"}
    assert any(each.inner < each.step_inner for each in found) and any(each.pieces > 1 for each in found)
    assert all(0 < each.nonzero_operands <= each.operands for each in found)
    assert list(table_of(found)["tile"]) == list(range(TILES))


def test_pieces_fit_a_boards_queues() -> None:
    p = step().parameters
    for draw in drawn(step().strata, 30, 2):
        chain = chain_of(draw, step().donors.for_layer(draw.stratum.op.layer), p)
        assert all(tile.fits for tile in chain.tiles)
        assert sum(each.cycles for each in chain.expected) == chain.cycles


def bit(answers: list[Answer]) -> list[Answer]:
    product = answers[-1].product.copy()
    product[1, 0] ^= 1 << 9
    return [*answers[:-1], replace(answers[-1], product=product)]


def cycle(answers: list[Answer]) -> list[Answer]:
    first = answers[0]
    return [replace(first, counters={**first.counters, "cycles": first.counters["cycles"] + 1}), *answers[1:]]


@pytest.mark.parametrize(
    ("fault", "wrong_bits", "words"), [(bit, 1, "1 wrong bits in row 1, column 0: "), (cycle, 0, " cycles, model ")]
)
def test_a_planted_fault_is_reported_as_just_that(
    tmp_path: Path, fault: Callable[[list[Answer]], list[Answer]], wrong_bits: int, words: str
) -> None:
    found = outcomes(tmp_path, Erring(lambda at, answers: fault(answers) if at == 3 else answers))
    assert [each.status for each in found].count(DIFFERS) == 1 and found[3].status == DIFFERS
    assert found[3].wrong_bits == wrong_bits and words in found[3].difference
    assert found[3].hardware_cycles - found[3].model_cycles == int(fault is cycle)
    said = summary_of(step().strata, found)
    assert (said["differing_tiles"], said["wrong_bits"]) == (1, wrong_bits)
    assert said["tiles_with_other_cycles"] == int(fault is cycle)
    assert said["first_difference"].startswith(f"{found[3].layer} {found[3].phase}, tile 3: ")


def test_a_class_with_a_differing_tile_is_not_confirmed(tmp_path: Path) -> None:
    strata = step().strata
    good = outcomes(tmp_path / "a", compiled(), len(strata))
    classes = classes_of(strata, good)
    assert sum(each["array_cycles"] for each in classes) == sum(each.part.array_cycles for each in strata)
    assert confirmed_share(classes) == dict.fromkeys(("step", "FF", "WU", "BP"), 1)
    for status in (DIFFERS, UNCONFIRMED):
        bad = replace(good[5], status=status)
        found = classes_of(strata, [*good[:5], bad, *good[6:]])
        assert [each["layer"] for each in found if each["status"] == status] == [bad.layer]
        assert 0.5 < confirmed_share(found)["step"] < 1
    assert confirmed_share(classes_of(strata, []))["step"] == 0


def lose(*chains: int) -> Callable[[int, list[Answer]], list[Answer]]:
    def change(at: int, answers: list[Answer]) -> list[Answer]:
        if at in chains:
            raise Unconfirmed("the board was reset")
        return answers

    return change


def test_a_lost_tile_is_not_confirmed_and_is_run_again(tmp_path: Path) -> None:
    hardware = Erring(lose(2))
    found = outcomes(tmp_path, hardware)
    assert [each.tile for each in found if each.status == UNCONFIRMED] == [2]
    assert (found[2].difference, found[2].bits) == ("the board was reset", 0)
    again = Erring(lose())
    assert {each.status for each in outcomes(tmp_path, again)} == {CONFIRMED}
    assert again.chains == 1


def test_hardware_that_stays_silent_is_given_up(tmp_path: Path) -> None:
    hardware = Erring(lose(*range(4, 100)))
    found = outcomes(tmp_path, hardware)
    assert [each.status for each in found] == [CONFIRMED] * 4 + [UNCONFIRMED] * (TILES - 4)
    assert hardware.chains == 4 + LOST


class Killed(BaseException):
    """As sudden as a kill."""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    def kill(at: int, answers: list[Answer]) -> list[Answer]:
        if at == 5:
            raise Killed
        return answers

    with pytest.raises(Killed):
        outcomes(tmp_path, Erring(kill))
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"tile": 5, "op"')  # cut in the middle of a line
    again = Erring(lose())
    assert outcomes(tmp_path, again) == outcomes(tmp_path / "other", compiled())
    assert again.chains == TILES - 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{damaged\n{line}\n", r"journal\.jsonl:1: this line is damaged; take the file away"),
        ('{"tile": 5}\n', r"journal\.jsonl:1: op: .*; take the file away"),
        ("{typed}\n", r"journal\.jsonl:1: tile: input should be a valid integer.*; take the file away"),
        ("{other}\n", r"journal\.jsonl:1: status: 'fine' is none of confirmed, differs, not confirmed"),
        ("{more}\n", r"journal\.jsonl:1: colour: .*; take the file away"),
    ],
)
def test_a_damaged_journal_is_said_and_left_as_it_is(tmp_path: Path, text: str, said: str) -> None:
    (row,) = [each.row() for each in outcomes(tmp_path, compiled(), 1)]
    for name, line in (
        ("line", row),
        ("typed", {**row, "tile": "one"}),
        ("other", {**row, "status": "fine"}),
        ("more", {**row, "colour": 1}),
    ):
        text = text.replace(f"{{{name}}}", json.dumps(line))
    path = tmp_path / "journal.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        Journal(path)
    assert path.read_text() == text


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path), pytest.raises(UserError, match="another process is at this very run"), Journal(path):
        pass
    assert not list(tmp_path.iterdir())
