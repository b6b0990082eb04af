"""`python -m tests.crash [--seed N] [--part kills|disks|places|builds] [--share 1.0]`."""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.crash.builds import builds
from tests.crash.disks import full_disks, full_streams, strangers
from tests.crash.kills import run, scenarios
from tests.crash.places import places

PARTS = ("kills", "disks", "places", "builds")
SEED = 1


def main() -> int:
    """Run the parts that are asked for; 1 where anything went otherwise than it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="Kills, full disks and poor places.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--share", type=float, default=1.0, help="Of the kills.")
    asked = parser.parse_args()
    # A shell lets what it starts in the background ignore Ctrl-C, and whoever it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="crash-") as name:
        os.environ.setdefault("NUMBA_CACHE_DIR", f"{name}/numba")
        for part in asked.part or PARTS:
            place = Path(name) / part
            place.mkdir()
            tried = wrong = 0
            for said, found in _tried(part, place, asked.seed, asked.share):
                tried += 1
                wrong += bool(found)
                print(f"{'wrong' if found else 'right'}  {said}", flush=True)
                for line in found:
                    print(f"    {line}", flush=True)
            print(f"{part}: {tried} tried, {wrong} wrong\n", flush=True)
            failed += wrong
    print(f"seed {asked.seed}; {time.monotonic() - began:.0f} s")
    return int(failed > 0)


def _tried(part: str, place: Path, seed: int, share: float) -> Iterator[tuple[str, list[str]]]:
    match part:
        case "kills":
            luck = random.Random(seed)
            for each in scenarios(place, share):
                yield f"{each.kills} kills of: {each.name}", list(run(each, luck, place))
        case "disks":
            yield "every command is said to write, or not to", sorted(strangers())
            yield from full_disks(place)
            yield from full_streams(place)
        case "places":
            yield from places(place)
        case "builds":
            yield from builds(place)


if __name__ == "__main__":
    sys.exit(main())
