"""Sweeps: their files and options, expressions in them, and folders that hold other things than a sweep's."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import strategies as st

from simulator.expression import value_of
from tests.fuzz.base import SPEC, SWEEP, copied
from tests.fuzz.inputs.machines import DOUBLING
from tests.fuzz.kinds import Draw, Input, case, kind
from tests.fuzz.spoil import as_word, mostly, odd_numbers, odd_texts, spoiled, words

HOW = ("--jobs", "1", "--out", "s")
WORK = ("--model", "resnet9", "--pattern", "2:4", "--batch", "2")
MAKES = ("s",)
FIELDS = {"array.rows": 32, "array.cols": 16, "dram.channels": 4, "batch": 8, "model": "resnet9", "array.drains": True}
AXES = {
    "array.rows": ("8", "16", "8..16:8"), "array.cols": ("8", "16", "1..9:4"), "clock_mhz": ("100", "200"),
    "dram.channels": ("1", "4"), "pattern": ("2:4", "dense", "1:8;layer1.*=2:4"), "batch": ("1", "2"),
    "mode": ("training", "inference"),
    "arch": ("sat", "dense"), "method": ("bdwp", "sdgp"), "dataflow": ("weight-stationary",), "sequence": ("1",),
}  # fmt: skip


@kind("sweep file", share=250)
def sweep_file(draw: Draw, folder: Path) -> Input:
    (folder / "s.yaml").write_bytes(spoiled(draw, SPEC.encode()))
    return Input(("sweep", "s.yaml", *HOW), makes=MAKES)


@kind("sweep line", share=250)
def sweep_line(draw: Draw, folder: Path) -> Input:
    del folder
    line: list[str] = []
    for axis in draw(st.lists(st.sampled_from(sorted(AXES)), max_size=2, unique=True)):
        values = [mostly(draw, st.sampled_from(AXES[axis]), words()) for _ in range(draw(st.integers(1, 2)))]
        line += ["--grid", as_word(f"{mostly(draw, st.just(axis), words(odd_texts()), 20)}={','.join(values)}")]
    for option in ("--where", "--tie"):
        if draw(st.integers(0, 2)) == 0:
            name = (
                ""
                if option == "--where"
                else draw(st.sampled_from(["sore.lanes=", "dram.capacity_gib=", "dram.capacity_gib=", "x="]))
            )
            usual = st.sampled_from(["2 * 8", "batch * 4 > 1", "array.rows", "array.cols <= 64 and batch > 0"])
            line += [option, as_word(name + mostly(draw, usual, _expressions(), 2))]
    return Input(("sweep", *line, *_work(line), *HOW), makes=MAKES)


def _work(line: Sequence[str]) -> list[str]:
    """What is swept, but what an axis says already."""
    given = {text.partition("=")[0] for text in line}
    return [
        word
        for name, value in zip(WORK[::2], WORK[1::2], strict=True)
        if name[2:] not in given
        for word in (name, value)
    ]


@kind("expression", share=400)
def expression(draw: Draw, folder: Path) -> Input:
    del folder
    text = draw(_expressions())
    if draw(st.integers(0, 4)) == 0:
        text = spoiled(draw, text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")

    def work_out() -> int:
        print(ascii(value_of(text, FIELDS)))
        return 0

    return Input(call=work_out)


TERMS = (
    *FIELDS, "array", "nothing", "f(1)", "[1]", "'a'", "x.y.z", "None", "...", "1j", "b'a'", "2", "3.5", "'resnet9'",
)  # fmt: skip
OPERATORS = (
    "+", "-", "*", "/", "//", "%", "==", "<", "<=", "!=", "and", "or", "**", "<<", "is", "in", "if", ":=", "@",
)  # fmt: skip


def _expressions() -> st.SearchStrategy[str]:
    """Arithmetic over the fields of a point, and what is none."""
    odd = st.one_of(odd_numbers().map(str), odd_texts().map(repr))
    term = st.one_of(st.sampled_from(TERMS), st.sampled_from(TERMS[: len(FIELDS)]), odd)
    shape = st.sampled_from(["{}", "{}", "{}", "({})", "-{}", "not {}", "({} + 1)"])
    part = st.tuples(shape, term, st.sampled_from(OPERATORS)).map(lambda three: (three[0].format(three[1]), three[2]))
    return st.lists(part, min_size=1, max_size=5).map(
        lambda parts: " ".join(word for pair in parts for word in pair).rpartition(" ")[0]
    )


@kind("sweep folder", share=150)
def sweep_folder(draw: Draw, folder: Path) -> Input:
    copied("sweep", folder / "s")
    files = sorted(path for path in (folder / "s").rglob("*") if path.is_file() and path.stat().st_size)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(files))
        if path.is_file() and not path.is_symlink():
            _harm(draw, path)
    report = draw(st.integers(0, 9)) == 0
    return Input(("sweep", "--report", "--out", "s") if report else (*SWEEP, "--out", "s"), makes=MAKES, keeps=MAKES)


def _harm(draw: Draw, path: Path) -> None:
    match draw(st.sampled_from(["bytes", "bytes", "bytes", "gone", "folder", "other", "empty", "link"])):
        case "bytes":
            path.write_bytes(spoiled(draw, path.read_bytes()))
        case "gone":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "link":
            path.unlink()
            path.symlink_to(draw(st.sampled_from(["nowhere", path.name, "/dev/zero"])))
        case "other":
            name = as_word(draw(odd_texts())).replace("/", "_")[:60] or "x"
            target = path.parent / f"{name}{draw(st.sampled_from(['', path.suffix]))}"
            if name not in (".", "..") and not target.exists():
                target.write_bytes(spoiled(draw, path.read_bytes()))


def _line(*line: str) -> Callable[[Path], Input]:
    return lambda _: Input(("sweep", *line, *WORK, *HOW), makes=MAKES)


def _file(text: str) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        (folder / "s.yaml").write_bytes(text.encode())
        return Input(("sweep", "s.yaml", *WORK, *HOW), makes=MAKES)

    return make


AXES_OF_1000 = tuple(
    word for axis in ("array.rows", "array.cols", "clock_mhz") for word in ("--grid", f"{axis}=1..1000:1")
)
case("sweep line", "sweep: a range of 1e11", _line("--grid", "array.rows=1..100000000000:1"))
case(
    "sweep line", "sweep: a product of 1e9 points with a condition", _line(*AXES_OF_1000, "--where", "array.rows == 1")
)
case("sweep line", "sweep: a product of 1e9 points", _line(*AXES_OF_1000))
case("sweep line", "sweep: a range of 300 digits", _line("--grid", f"array.rows=1..{'9' * 300}:1"))
case("sweep line", "sweep: a range of 5,000 digits", _line("--grid", f"array.rows=1..{'9' * 5000}:1"))
case("sweep line", "sweep: a batch of 320 digits", lambda _: Input(
    ("sweep", "--model", "resnet9", "--pattern", "2:4", "--batch", "9" * 320, *HOW), makes=MAKES))  # fmt: skip
for said, text in {
    "a text a trillion times": "'a'*999999999999 == 'b'",
    "a number of many digits": "*".join(["9" * 39] * 200) + " > 1",
    "900 terms": "+".join(["array.rows"] * 900) + " > 1",
    "900 brackets": "(" * 900 + "1" + ")" * 900,
    "900 minus signs": "-" * 900 + "1 < 2",
    "900 comparisons": "<".join(["1"] * 900),
    "a text of many texts": "'%s' % array.rows == '8'",
    "a text with a wide field": "'%999999999d' % 5 == ''",
    "a NUL": "1 \0 < 2",
    "half a surrogate pair": "'\udcff' == 'a'",
    "a power": "9 ** 9 ** 9 ** 9 > 1",
    "a shift": "1 << 10 ** 12 > 1",
    "a lambda": "(lambda: 1)() == 1",
    "a float too large": "1e308 * 10 // 1 == 1",
}.items():
    case("expression", f"where: {said}", _line("--where", text.replace("\0", " ")))
    case("expression", f"tie: {said}", _line("--tie", f"array.rows={text}".replace("\0", " ")))
for said, text in {
    "aliases that double": DOUBLING + "set: {array.rows: *a30}\n",
    "aliases that double, as a condition": DOUBLING + "where: *a30\n",
    "aliases that double, as a tie": DOUBLING + "tie: {array.rows: *a30}\n",
    "aliases that double, as points": DOUBLING + "points: *a30\n",
    "aliases in a condition's list": "where: [&a [x], *a]\n",
    "a condition that doubles": "".join(f"x{n}: &x{n} [{f'*x{n - 1}, *x{n - 1}' if n else 'a'}]\n" for n in range(30)),
    "a condition of lists that double": "where:\n- &a0 [x]\n"
    + "".join(f"- &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31)),
    "a tie of lists that double": "tie:\n  a0: &a0 [x]\n"
    + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31)),
    "points of lists that double": "points:\n- a0: &a0 [x]\n"
    + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31)),
    "a NUL": "set: {array.rows: 8}\0\n",
    "nested": "set: " + "[" * 3_000,
    "!!bool maybe": "set: {array.drains: !!bool maybe}\n",
    "!!binary": "set: {array.rows: !!binary '%%%'}\n",
    "a range of 1e11": "set: {array.rows: 1..100000000000:1}\n",
    "100,000 points": "points:\n" + "- {array.rows: 8}\n" * 100_000,
    "a list that is the file": "- 1\n",
}.items():
    case("sweep file", f"sweep file: {said}", _file(text))
case("sweep file", "sweep file: /dev/zero", lambda _: Input(("sweep", "/dev/zero", *WORK, *HOW), makes=MAKES))


def _beside(put: Callable[[Path], object], *line: str) -> Callable[[Path], Input]:
    """A sweep's folder with something in it that is none of a sweep's."""

    def make(folder: Path) -> Input:
        put(copied("sweep", folder / "s"))
        return Input((*(line or SWEEP), "--out", "s"), makes=MAKES, keeps=MAKES)

    return make


REPORT = ("sweep", "--report")
for said, put in {
    "an error that is no JSON": lambda s: (s / "errors" / "a.json").write_text("{"),
    "an error that is a list": lambda s: (s / "errors" / "a.json").write_text("[]"),
    "an error of another shape": lambda s: (s / "errors" / "a.json").write_text("{}"),
    "an error that is a folder": lambda s: (s / "errors" / "a.json").mkdir(),
    "a bucket that is a text": lambda s: (s / "points" / "zzz.parquet").write_text("x"),
    "a bucket that is a folder": lambda s: (s / "points" / "zzz.parquet").mkdir(),
    "a bucket with an odd name": lambda s: shutil.copy(next((s / "points").iterdir()), s / "points" / "\udcff.parquet"),
    "points that are a file": lambda s: (shutil.rmtree(s / "points"), (s / "points").write_text("x")),
    "locks that are a file": lambda s: (shutil.rmtree(s / "locks", ignore_errors=True), (s / "locks").write_text("x")),
    "a description that is null": lambda s: (s / "sweep.json").write_text("null"),
    "a description that is a list": lambda s: (s / "sweep.json").write_text("[1]"),
    "a description that is a folder": lambda s: ((s / "sweep.json").unlink(), (s / "sweep.json").mkdir()),
}.items():
    case("sweep folder", f"sweep folder: {said}", _beside(put))
    case("sweep folder", f"sweep folder: {said}, reported", _beside(put, *REPORT))
