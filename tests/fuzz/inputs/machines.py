"""Machine files, settings and patterns: small products on machines that are not what they should be."""

import io
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from ruamel.yaml import YAML

import simulator.machines
from tests.fuzz.kinds import Draw, Input, case, kind
from tests.fuzz.spoil import (
    as_word,
    mostly,
    odd_numbers,
    odd_texts,
    odd_values,
    one_of_these,
    spoiled,
    spoiled_node,
    words,
)

SHIPPED = ("sat", "dense", "s4", "t4", "a100", "h100", "piuma")
WORK = {
    "piuma": ("--matrix", "rmat:4:4"),
    "s4": ("--gemm", "64x64x64", "--pattern", "4:64", "--mode", "inference"),
}
OTHERS = ("--gemm", "64x64x64", "--pattern", "2:4")
OUT = ("--out", "r")


@cache
def shipped(name: str) -> bytes:
    return (Path(simulator.machines.__path__[0]) / f"{name}.yaml").read_bytes()


@cache
def tree(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(shipped(name))


def fields(name: str) -> list[str]:
    """The numbers of a machine by dotted path."""

    def inside(node: Any, path: str) -> list[str]:
        if not isinstance(node, dict) or "provenance" in node:
            return [path]
        return [found for key, each in node.items() for found in inside(each, f"{path}.{key}" if path else str(key))]

    return inside(tree(name), "")


def work_of(name: str) -> tuple[str, ...]:
    return WORK.get(name, OTHERS)


def as_yaml(node: Any) -> bytes:
    """A tree as YAML, which is JSON where YAML cannot write it."""
    out = io.BytesIO()
    try:
        YAML(typ="safe", pure=True).dump(node, out)
    except Exception:  # half a surrogate pair, for one
        return repr(node).encode("utf-8", "replace")
    return out.getvalue()


@kind("machine file", share=450)
def machine_file(draw: Draw, folder: Path) -> Input:
    name = draw(st.sampled_from(SHIPPED))
    if draw(st.booleans()):
        content = spoiled(draw, shipped(name))
    elif draw(st.booleans()):
        content = as_yaml(spoiled_node(draw, tree(name)))
    else:
        path = draw(st.sampled_from(fields(name))).split(".")
        node: Any = {
            "value": draw(odd_values()),
            "provenance": draw(st.sampled_from(["assumed", "x", 1])),
            "source": "me",
        }
        for key in reversed(path):
            node = {key: node}
        content = as_yaml({"extends": draw(st.sampled_from([name, name, name, "m.yaml", "nowhere", 3])), **node})
    (folder / "m.yaml").write_bytes(content)
    return Input(("--arch", "m.yaml", *work_of(name), *OUT))


@kind("settings", share=500)
def settings(draw: Draw, folder: Path) -> Input:
    del folder
    name = draw(st.sampled_from(SHIPPED))
    line: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        path = mostly(draw, st.sampled_from(fields(name)), words(odd_texts()))
        odd = words(st.one_of(odd_numbers(), odd_values(), one_of_these(TRICKS)))
        value = mostly(draw, st.sampled_from(USUAL), odd, one_in=2)
        line += [
            "--set",
            f"{path}{mostly(draw, st.just('='), st.sampled_from(['', '==']), one_in=30)}{value}"[:100_000],
        ]
    if draw(st.integers(0, 9)) == 0:
        return Input(("show", name, *line))
    return Input(("--arch", name, *work_of(name), *line, *OUT))


@kind("patterns", share=400)
def patterns(draw: Draw, folder: Path) -> Input:
    del folder
    grouped = st.tuples(st.integers(0, 5), st.sampled_from([2, 4, 7, 8, 16, 64])).map(
        lambda pair: f"{pair[0]}:{pair[1]}"
    )
    odd = st.one_of(
        st.tuples(odd_numbers(), odd_numbers()).map(lambda pair: f"{pair[0]}:{pair[1]}"),
        grouped.map(lambda text: f"bank {text}"), odd_numbers().map(lambda most: f"fan-in {most}"), st.just("dense"),
        st.floats(-0.5, 1.5).map(lambda share: f"density {share}"), words(),
    )  # fmt: skip
    globs = st.sampled_from(["gemm0", "gemm*", "*", "*0"])
    odd_globs = st.one_of(st.sampled_from(["[", "[!a-", "layer1.*", "nothing", "**"]), words(odd_texts()))
    line: list[str] = []
    for _ in range(draw(st.integers(1, 2))):
        text = mostly(draw, grouped, odd, one_in=3)
        line += ["--pattern", as_word(f"{mostly(draw, globs, odd_globs)}={text}" if draw(st.booleans()) else text)]
    machine = draw(st.sampled_from(["sat", "sat", "dense", "s4", "a100"]))
    if machine == "s4":
        line += ["--mode", "inference"]
    if draw(st.integers(0, 5)) == 0:
        line += [
            "--method",
            draw(st.sampled_from(["dense", "ste", "sdgp", "bimask", "srigl", "bank", "adams", "torch24"])),
        ]
    sizes = draw(st.sampled_from(["64x64x64", "8x8x8", "1x1x1", "37x5x11"]))
    return Input(("--arch", machine, "--gemm", sizes, *line, *OUT))


USUAL = ("1", "2", "3", "4", "8", "16", "64", "100", "0.5", "0.9", "1000", "true", "false", "4096", "null")
TRICKS = (
    "[" * 500, "{" * 300, "!!bool maybe", "!!binary x", "!!python/object:os.system x", "&a [*a]", "*a", "1\n2", "? x",
    "- 1", "|",
    "{value: 3}", "{value: 3, provenance: assumed, source: x}", "'", '"', "!!int x", "!!float x", "!!null x",
    "!!set {1}",
    "!!timestamp x", "2001-01-01", "0x7f", "1e3", "+.inf", ".nan", "1:30", "08", "%YAML 9.9", "--- 1\n--- 2", "!<x> 1",
)  # fmt: skip


def _file(content: bytes) -> Any:
    def make(folder: Path) -> Input:
        (folder / "m.yaml").write_bytes(content)
        return Input(("--arch", "m.yaml", *OTHERS, *OUT))

    return make


def _line(*line: str) -> Any:
    return lambda _: Input((*line, *OUT))


DOUBLING = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31))
BOMB = "extends: sat\n" + DOUBLING
SETTING = "extends: sat\narray: {{rows: {{value: {0}, provenance: assumed, source: x}}}}\n"

for said, text in {
    "aliases that double": BOMB,
    "mappings that double": BOMB.replace("[*", "{p: *").replace(", *", ", q: *").replace("]", "}"),
    "an alias of itself": "&a [*a]\n",
    "a field that is its own": "extends: sat\narray: &a {rows: *a}\n",
    "a NUL": "extends: sat\narray:\0 {}\n",
    "!!bool maybe": SETTING.format("!!bool maybe"),
    "!!binary": SETTING.format("!!binary '%%%'"),
    "!!int x": SETTING.format("!!int x"),
    "!!timestamp": SETTING.format("!!timestamp nine"),
    "a number of 5,000 digits": SETTING.format("9" * 5_000),
    "nested 3,000 deep": "extends: sat\nx: " + "[" * 3_000 + "]" * 3_000,
    "a mapping as a field's name": "extends: sat\n? {a: b}\n: c\n",
    "two documents": "extends: sat\n---\nextends: dense\n",
    "a YAML directive": "%YAML 7.3\n---\nextends: sat\n",
    "it extends itself": "extends: m.yaml\n",
    "half a surrogate pair": 'extends: sat\ntitle: "\\ud800"\n',
    "a million lines": "extends: sat\n" + "# nothing\n" * 1_000_000,
    "a wide mapping": "extends: sat\n" + "".join(f"k{n}: 1\n" for n in range(30_000)),
}.items():
    case("machine file", f"machine file: {said}", _file(text.encode()))
case("machine file", "machine file: /dev/zero", _line("--arch", "/dev/zero", *OTHERS))
case("machine file", "machine file: a folder", _line("--arch", "./", *OTHERS))
for said, text in {
    "nested": f"array.rows={'[' * 5_000}",
    "nested mappings": f"array.rows={'{a: ' * 900}",
    "a number of 5,000 digits": f"array.rows={'9' * 5_000}",
    "rows beyond 64 bits": f"array.rows={2**70}",
    "clock near nothing": "clock_mhz=1e-300",
    "a path of 900 parts": f"{'.'.join('a' * 900)}=1",
    "!!bool maybe": "array.drains=!!bool maybe",
    "!!binary": "array.rows=!!binary aGk=",
}.items():
    case("settings", f"settings: {said}", _line(*OTHERS, "--set", text))
for said, text in {
    "a glob of many stars": f"{'*a' * 40}*=2:4",
    "a long group": f"{'9' * 300}:{'9' * 300}",
    "a thousand letters": "q" * 1_000,
    "an escape sequence": "\x1b[2J=2:4",
}.items():
    case("patterns", f"patterns: {said}", _line("--gemm", "64x64x64", "--pattern", text))
