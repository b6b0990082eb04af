"""A few kills, full disks and poor places; `make crash` has them all."""

from pathlib import Path

from tests.crash.disks import full_streams, strangers
from tests.crash.places import places


def wrong(tried: object) -> list[tuple[str, list[str]]]:
    return [each for each in tried if each[1]]  # type: ignore[attr-defined]


def test_every_command_is_known_to_write_or_not_to() -> None:
    assert strangers() == set()


def test_a_full_standard_output_is_one_sentence(tmp_path: Path) -> None:
    assert wrong(full_streams(tmp_path, ("list",))) == []


def test_poor_places_are_borne(tmp_path: Path) -> None:
    assert wrong(places(tmp_path, short=True)) == []
