"""What the program has written itself, and reads again: results, checkpoints, journals of hardware in the loop."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from rtl.hardware import Answer, Hardware, LinkFigures, Unconfirmed
from simulator import load_result
from simulator.hil.journal import Journal
from simulator.hil.loop import summary_of, table_of
from simulator.hil.outcome import CONFIRMED, Outcome
from simulator.hil.running import run_tiles
from simulator.hil.strata import drawn
from tests.fuzz.base import copied
from tests.fuzz.kinds import Draw, Input, case, kind
from tests.fuzz.spoil import as_json, odd_values, spoiled, spoiled_node
from tests.hil.small import Step, step

BARE = ("--no-sensitivity",)  # with it a page takes seconds for good reason
RESULTS = ("step", "step", "step", "product", "dense", "s4", "a100")


@kind("result", share=350)
def result(draw: Draw, folder: Path) -> Input:
    name = draw(st.sampled_from(RESULTS))
    copied(name, folder / "r")
    card = folder / "r" / "card.json"
    if draw(st.booleans()):
        node = json.loads(card.read_bytes())
        if draw(st.booleans()):
            node = spoiled_node(draw, node)
        else:
            part = draw(st.sampled_from(sorted(node)))
            node[part] = spoiled_node(draw, node[part]) if draw(st.booleans()) else draw(odd_values())
        card.write_bytes(as_json(draw, node))
    else:
        path = draw(st.sampled_from(sorted((folder / "r").iterdir())))
        content = spoiled(draw, path.read_bytes())
        path.unlink()
        if draw(st.integers(0, 9)):
            path.write_bytes(content)
    if draw(st.integers(0, 3)):
        return Input(call=_read_result)
    more = draw(st.sampled_from([BARE, BARE, (*BARE, "--figures", "f")]))
    return Input(("report", "r", "--out", "p.html", *more), makes=("p.html", "f"))


def _read_result() -> int:
    """A result as a notebook takes it."""
    found = load_result("r")
    for frame in (found.ops, found.actions, found.phases, found.assumed):
        len(frame)
    print(found.speedup if found.dense else found.cycles, found.seconds, found.energy_j)
    return 0


def _put(name: str, content: bytes | Callable[[bytes], bytes], *line: str) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        path = copied("step", folder / "r") / name
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)
        return Input(line, makes=("p.html",)) if line else Input(call=_read_result)

    return make


def _without(field: str) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({k: v for k, v in json.loads(content).items() if k != field}).encode()


def _with(**fields: object) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **fields}).encode()


REPORT = ("report", "r", "--out", "p.html", "--no-sensitivity")
CARDS: dict[str, bytes | Callable[[bytes], bytes]] = {
    "null": b"null", "{}": b"{}", "a list": b"[]", "schema 0": _with(schema=0), "schema 99": _with(schema=99),
    "no schema": _without("schema"), "nested": b"[" * 100_000, "a clock of 0": _with(clock_mhz=0),
    "a clock of NaN": _with(clock_mhz=float("nan")), "an endless name": _with(model="m" * 1_000_000),
    "an escape sequence as its model": _with(model="\x1b[2J"), "half a surrogate pair": _with(model="\ud800"),
    "a script as its model": _with(model="</script><script>alert(1)</script>"), "no numbers": _with(numbers={}),
    "a million numbers": lambda _: b"{" + b'"a": 1, ' * 1_000_000 + b'"b": 2}',
}  # fmt: skip
for said, changed in CARDS.items():
    case("result", f"card: {said}", _put("card.json", changed))
    case("result", f"card: {said}, reported", _put("card.json", changed, *REPORT))
for said, line in {
    "a file": ("report", "r/card.json"),
    "nowhere": ("report", "no"),
    "/dev/zero": ("report", "/dev/zero"),
}.items():
    case("result", f"report: {said}", _put("card.json", bytes, *line))


@kind("checkpoint", share=120, torch=True)
def checkpoint(draw: Draw, folder: Path) -> Input:
    run = copied("run", folder / "run")
    files = [
        path
        for path in sorted(run.iterdir())
        if path.suffix in (".json", ".csv", ".safetensors") and "step" not in path.name
    ]
    path = draw(st.sampled_from(files))
    if path.suffix == ".json" and draw(st.booleans()):
        path.write_bytes(as_json(draw, spoiled_node(draw, json.loads(path.read_bytes()))))
    else:
        path.write_bytes(spoiled(draw, path.read_bytes()))
    return Input(("train", "--resume", "run"), makes=("run",))


def _resumed(name: str, content: bytes | Callable[[bytes], bytes]) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        path = copied("run", folder / "run") / name
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)
        return Input(("train", "--resume", "run"), makes=("run",))

    return make


def _set(**fields: object) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        node = json.loads(content)
        node["settings"] |= fields
        return json.dumps(node).encode()

    return change


RUNS: dict[str, tuple[str, bytes | Callable[[bytes], bytes]]] = {
    "null": ("run.json", b"null"), "schema 99": ("run.json", _with(schema=99)), "a list": ("run.json", b"[]"),
    "nested": ("run.json", b"[" * 100_000), "a width of 1e9": ("run.json", _set(width=1e9)),
    "a batch of 1e9": ("run.json", _set(batch=10**9)), "steps that are a text": ("run.json", _set(steps="many")),
    "a data set of its own": ("run.json", _set(data_folder="/dev")), "an image of 1e6": ("run.json", _set(image=10**6)),
    "checkpoint null": ("checkpoint.json", b"null"), "checkpoint {}": ("checkpoint.json", b"{}"),
    "checkpoint schema 99": ("checkpoint.json", _with(schema=99)),
    "tensors elsewhere": ("checkpoint.json", _with(tensors="../x")),
    "tensors of a device": ("checkpoint.json", _with(tensors="/dev/zero")),
    "step 1e30": ("checkpoint.json", _with(step=10**30)),
    "step -1": ("checkpoint.json", _with(step=-1)), "no loss scale": ("checkpoint.json", _with(loss_scale={})),
    "a log that is cut": ("log.csv", b"step"), "a log of bytes": ("log.csv", bytes(range(256)) * 10),
    "an empty log": ("log.csv", b""),
}  # fmt: skip
for said, (name, changed) in RUNS.items():
    case("checkpoint", f"checkpoint: {said}", _resumed(name, changed), torch=True)


class Silent(Hardware):
    """Hardware that never answers: what the journal does not hold is not confirmed."""

    def __init__(self) -> None:
        self.parameters = _step().parameters

    def run(self, chain: Sequence[object]) -> list[Answer]:
        del chain
        raise Unconfirmed("nobody is there")

    def fits(self, tile: object) -> bool:
        del tile
        return True

    def top_n(self, *_: object) -> None:  # type: ignore[override]
        raise Unconfirmed("no lane here")

    def updated(self, *_: object) -> None:  # type: ignore[override]
        raise Unconfirmed("no lane here")

    def figures(self) -> LinkFigures:
        return LinkFigures()

    def close(self) -> None:
        """Nothing to let go of."""


@cache
def _step() -> Step:
    return step(model="resnet9")


@cache
def _line(number: int) -> dict[str, object]:
    """A tile of the step as a journal keeps it."""
    drawn_tile = drawn(_step().strata, 4, 1)[number]
    op = drawn_tile.stratum.op
    where = {
        "layer": op.layer,
        "phase": str(op.phase),
        "dataflow": "output-stationary",
        "pattern": "2:8",
        "values_from": op.layer,
    }
    sizes = dict.fromkeys(
        ("rows", "cols", "inner", "step_rows", "step_cols", "step_inner", "pieces", "operands", "nonzero_operands"), 4
    )
    return Outcome(tile=number, op=0, status=CONFIRMED, **where, **sizes).row()  # type: ignore[arg-type]


@kind("journal", share=250)
def journal(draw: Draw, folder: Path) -> Input:
    nodes = [_line(number) for number in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        nodes = [spoiled_node(draw, node, most=1) for node in nodes]
    content = b"".join(json.dumps(node).encode() + b"\n" for node in nodes)
    (folder / "j.jsonl").write_bytes(spoiled(draw, content, most=2))
    return Input(call=_go_on, makes=("j.jsonl", "j.lock"))


def _go_on() -> int:
    """A run that goes on from its journal, to the table and the summary of its result."""
    made = _step()
    with Journal(Path("j.jsonl")) as kept:
        outcomes = run_tiles(drawn(made.strata, 4, 1), made.donors, Silent(), kept, lambda _: None)
    print(json.dumps([table_of(outcomes), summary_of(made.strata, outcomes)]))
    return 0


def _journal(content: bytes) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        (folder / "j.jsonl").write_bytes(content)
        return Input(call=_go_on, makes=("j.jsonl", "j.lock"))

    return make


for said, content in {
    "null": b"null\n", "a list": b"[1]\n", "nested": b"[" * 100_000 + b"\n",
    "a number of 5,000 digits": b"9" * 5_000 + b"\n",
    "a million lines": b"{}\n" * 1_000_000, "one long line": b'{"a": "' + b"x" * 50_000_000 + b'"}\n',
    "bytes": bytes(range(256)),
}.items():  # fmt: skip
    case("journal", f"journal: {said}", _journal(content))
case("journal", "journal: a folder", lambda folder: ((folder / "j.jsonl").mkdir(), Input(call=_go_on))[1])
