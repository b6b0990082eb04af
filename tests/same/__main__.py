"""Sets today's tree beside another commit: `python -m tests.same COMMIT`, or `make same BASE=COMMIT`.

Both trees are installed into folders of their own, so that each finds its own entry points. A commit's record is kept
in `.same/`, since a commit does not change. Exit code 1 where anything differs.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".same"
DROPPED = {"cost", "link", "key"}
PARTS = 2
MOST_LINES = 8  # differences shown of a case


def main(base: str) -> int:
    """Record what is missing, compare, and print every difference."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", f"{base}^{{commit}}"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    if not commit:
        print(f"same: BASE={base}: there is no such commit", file=sys.stderr)
        return 2
    asked = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("cases.py", "record.py"))
    before = KEPT / f"{commit}-{sha256(asked).hexdigest()[:8]}.json"  # other cases make another record
    with tempfile.TemporaryDirectory(prefix="trees-") as folder:
        tree = _checkout(commit, Path(folder) / "base")
        if not before.exists():
            KEPT.mkdir(exist_ok=True)
            before.write_text(json.dumps(_recorded(tree, tree / "README.md")), encoding="utf-8")
        now = _recorded(_copy(Path(folder) / "now"), tree / "README.md")
    (KEPT / "now.json").write_text(json.dumps(now), encoding="utf-8")
    return compare(json.loads(before.read_text(encoding="utf-8")), now)


def compare(before: dict[str, object], now: dict[str, object]) -> int:
    """Print what differs, case by case. Returns 1 where anything does."""
    differing = 0
    for name in [*before, *(name for name in now if name not in before)]:
        lines = list(differences(before.get(name), now.get(name), ""))
        if lines:
            differing += 1
            print(f"\n{name}: {len(lines)} differences")
            print("\n".join(f"  {line}" for line in lines[:MOST_LINES]))
    print(f"\n{len(before)} cases, {differing} differ")
    return 1 if differing else 0


def differences(old: object, new: object, place: str) -> Iterator[str]:
    """Every value that differs, with where it stands; wall times are passed over."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in DROPPED:
                yield from differences(old.get(key, "nothing"), new.get(key, "nothing"), f"{place}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif isinstance(old, list) and isinstance(new, list):
        gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
        yield f"{place}: {len(old)} entries, now {len(new)}; gone {_short(gone)}; new {_short(come)}"
    elif old != new:
        yield f"{place}: {_short(old)}, now {_short(new)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 220 else f"{text[:200]}... ({len(text)} letters)"


def _checkout(commit: str, folder: Path) -> Path:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def _copy(folder: Path) -> Path:
    """Today's files, those git does not know yet among them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def _recorded(tree: Path, readme: Path) -> dict[str, object]:
    """What a tree gives: installed beside its files, and run in as many processes as there are parts."""
    place = tree.parent / f"{tree.name}-installed"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*install, str(place), str(tree)], check=True)
    outs = [tree.parent / f"{tree.name}-{part}.json" for part in range(PARTS)]
    script = str(Path(__file__).with_name("record.py"))
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0"}
    lines = [
        [sys.executable, script, str(place), str(readme), str(part), str(PARTS), str(out)]
        for part, out in enumerate(outs)
    ]
    running = [subprocess.Popen(line, env=environment) for line in lines]
    codes = [process.wait() for process in running]  # both are waited for
    if any(codes):
        raise SystemExit(f"same: the cases of {tree.name} did not come to their end")
    return {name: each for out in outs for name, each in json.loads(out.read_text(encoding="utf-8")).items()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("same: say which commit: make same BASE=<commit>")
    sys.exit(main(sys.argv[1]))
