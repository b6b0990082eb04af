"""Topologies, recorded workloads, their samples, and sparse matrices."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from safetensors.numpy import load, save

from tests.fuzz.base import GEMMS, MATRIX, TOPOLOGY, good, write_workload
from tests.fuzz.kinds import Draw, Input, case, kind
from tests.fuzz.spoil import as_json, as_word, odd_numbers, odd_texts, spoiled, spoiled_node, words
from workloads.samples import read_sample, sampled_layers, update_settings

OUT = ("--out", "r")
STEP = ("--pattern", "2:4", *OUT)
PRODUCT = ("--arch", "piuma", *OUT)


@kind("topology", share=500)
def topology(draw: Draw, folder: Path) -> Input:
    if draw(st.booleans()):
        content = spoiled(draw, draw(st.sampled_from([TOPOLOGY, GEMMS])).encode())
    else:
        small = st.one_of(st.integers(1, 12), st.integers(1, 12), odd_numbers())
        rows = draw(st.lists(st.tuples(words(odd_texts()), *[small] * 7), min_size=1, max_size=3))
        lines = [TOPOLOGY.split("\n")[0], *(", ".join(map(str, (row[0][:99], *row[1:], ""))) for row in rows)]
        content = "\n".join(lines).encode("utf-8", "surrogatepass")
    (folder / "t.csv").write_bytes(content)
    return Input(("--topology", "t.csv", *STEP))


@kind("workload", share=500)
def workload(draw: Draw, folder: Path) -> Input:
    node = json.loads(good("recorded.json"))
    content = as_json(draw, spoiled_node(draw, node)) if draw(st.booleans()) else as_json(draw, _op_spoiled(draw, node))
    write_workload(folder / "w.json", content)
    more = draw(st.sampled_from([(), (), ("--batch", "4"), ("--optimizer", "adam"), ("--mode", "inference")]))
    return Input(
        ("--workload", "w.json", "--batch", "2", *STEP) if not more else ("--workload", "w.json", *more, *STEP)
    )


def _op_spoiled(draw: Draw, node: Any) -> Any:
    """One of its ops has something wrong."""
    at = draw(st.integers(0, len(node["ops"]) - 1))
    node["ops"][at] = spoiled_node(draw, node["ops"][at])
    return node


@kind("samples", share=300)
def samples(draw: Draw, folder: Path) -> Input:
    content = good("recorded.safetensors")
    length = int.from_bytes(content[:8], "little")
    match draw(st.sampled_from(["bytes", "tensors", "tensors", "head"])):
        case "tensors":
            content = _other_tensors(draw, content)
        case "head":
            text = json.dumps(spoiled_node(draw, json.loads(content[8 : 8 + length]))).encode()
            size = draw(st.sampled_from([len(text), len(text), len(text), 0, 7, 2**40, 2**64 - 1]))
            content = size.to_bytes(8, "little") + text + content[8 + length :]
        case "bytes":
            content = spoiled(draw, content)
    (folder / "w.safetensors").write_bytes(content)
    return Input(call=lambda: _read_samples(Path("w.safetensors")))


def _other_tensors(draw: Draw, content: bytes) -> bytes:
    """A whole file whose tensors have other names, types or shapes, or that says other things of itself."""
    tensors = dict(load(content))
    length = int.from_bytes(content[:8], "little")
    settings = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["settings"])
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(tensors)))
        match draw(st.sampled_from(["gone", "named", "type", "shape", "values"])):
            case "gone" if len(tensors) > 1:
                del tensors[name]
            case "named":
                odd = as_word(draw(odd_texts()))[:500].encode("utf-8", "replace").decode()
                tensors[
                    draw(st.sampled_from([odd, f"{odd}/weight", f"layer1.conv/{odd}", f"layer1.conv/state.{odd}"]))
                ] = tensors[name]
            case "type":
                tensors[name] = tensors[name].astype(draw(st.sampled_from(["f8", "i8", "u1", "?", "f2"])))
            case "shape":
                tensors[name] = draw(st.sampled_from([tensors[name].ravel(), tensors[name][:0], tensors[name][None]]))
            case _:
                tensors[name] = np.full_like(tensors[name], draw(st.sampled_from([np.nan, np.inf, 0])))
    said = draw(
        st.sampled_from(
            [
                {"settings": json.dumps(spoiled_node(draw, settings))},
                {"settings": json.dumps(settings)},
                {"settings": "x"},
                {},
            ]
        )
    )
    return bytes(save(tensors, said))


def _read_samples(path: Path) -> int:
    """Everything that the program reads of samples."""
    update_settings(path)
    for layer in sampled_layers(path):
        read_sample(path, layer)
    return 0


@kind("matrix", share=350)
def matrix(draw: Draw, folder: Path) -> Input:
    if draw(st.integers(0, 2)) == 0:
        return Input(("--matrix", draw(_made()), *PRODUCT))
    content = MATRIX.replace("general", draw(st.sampled_from(["general", "symmetric", "skew-symmetric", "x"])))
    content = content.replace("real", draw(st.sampled_from(["real", "real", "integer", "pattern", "complex"])))
    data = spoiled(draw, content.replace("coordinate", draw(st.sampled_from(["coordinate"] * 3 + ["array"]))).encode())
    name = draw(st.sampled_from(["a.mtx", "a.mtx", "a.mtx", "a.mtx.gz", "a.gz"]))
    if name.endswith("gz") and draw(st.booleans()):
        data = spoiled(draw, gzip.compress(data, mtime=0))
    (folder / name).write_bytes(data)
    return Input(("--matrix", name, *PRODUCT))


def _made() -> st.SearchStrategy[str]:
    """Texts that name a matrix to be made."""
    number = st.one_of(st.integers(1, 6), st.integers(1, 6), odd_numbers(), words(odd_texts()))
    share = st.one_of(st.floats(0, 1), odd_numbers())
    return st.one_of(
        st.tuples(number, number).map(lambda n: f"rmat:{n[0]}:{n[1]}"),
        st.tuples(number, number, share).map(lambda n: f"uniform:{n[0]}x{n[1]}:{n[2]}"),
        st.tuples(number, number).map(lambda n: f"banded:{n[0]}:{n[1]}"),
        st.tuples(number, number, share).map(lambda n: f"block:{n[0]}:{n[1]}:{n[2]}"),
        words(odd_texts()),
    ).map(lambda text: text.replace("\0", "")[:5_000])


def _written(name: str, content: bytes, *line: str) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        (folder / name).write_bytes(content)
        return Input(line)

    return make


def _line(*line: str) -> Callable[[Path], Input]:
    return lambda _: Input(line)


HEADER = TOPOLOGY.split("\n")[0] + "\n"
for said, text in {
    "stride 5,000": "conv,5001,5001,3,3,3,8,5000,\n",
    "stride 5,000 and a filter as large": "conv,10000,10000,5000,5000,3,8,5000,\n",
    "stride 5,000 of one channel": "conv,20000,20000,7,7,1,1,5000,\n",
    "a thin filter of 2e9": "conv,2000000000,1,2000000000,1,1,1,1,\n",
    "a thin stride of 1e9": "conv,2000000000,1,1000000000,1,1,1,1000000000,\n",
    "a filter of 2e9": "conv,2000000000,2000000000,2000000000,2000000000,3,8,1,\n",
    "an input of 2e9": "conv,2000000000,2000000000,3,3,3,8,1,\n",
    "2e9 channels": "conv,9,9,3,3,2000000000,2000000000,1,\n",
    "a filter of 5,000": "conv,5001,5001,5000,5000,3,8,1,\n",
    "a million commas": "conv,9,9,3,3,3,8,1" + "," * 1_000_000 + "\n",
    "a million layers": "".join(f"c{n},9,9,3,3,3,8,1,\n" for n in range(300_000)),
    "a quote that never ends": 'conv,"9,9,3,3,3,8,1,\n' * 3_000,
    "a name of a million letters": "c" * 1_000_000 + ",9,9,3,3,3,8,1,\n",
    "an escape sequence": "\x1b[2Jconv,9,9,3,3,3,0,1,\n",
}.items():
    case("topology", f"topology: {said}", _written("t.csv", (HEADER + text).encode(), "--topology", "t.csv", *STEP))
case("topology", "topology: /dev/zero", _line("--topology", "/dev/zero", *STEP))
case("topology", "topology: products near 2e9", _line("--gemm", "2147483647x2147483647x2147483647", *STEP))
case("topology", "topology: a thousand products", _line(*("--gemm", "64x64x64") * 1_000, *STEP))

NAMED = '{{"schema_version": 1, "model": "m", "ops": [{{"layer": "{0}"}}]}}'
for said, text in {
    "nested": "[" * 100_000,
    "half a surrogate pair": NAMED.format("\\ud800"),
    "a number of 5,000 digits": '{"schema_version": ' + "9" * 5_000 + "}",
    "NaN": '{"schema_version": NaN}',
    "30 million zeros": "[" + "0," * 15_000_000 + "0]",
}.items():
    case("workload", f"workload: {said}", _written("w.json", text.encode(), "--workload", "w.json", *STEP))
case("workload", "workload: /dev/zero", _line("--workload", "/dev/zero", *STEP))
case("workload", "workload: a folder", _line("--workload", ".", *STEP))


def _recorded(change: Callable[[Any], None], *more: str) -> Callable[[Path], Input]:
    def make(folder: Path) -> Input:
        node = json.loads(good("recorded.json"))
        change(node)
        write_workload(folder / "w.json", json.dumps(node).encode())
        return Input(("--workload", "w.json", *more, *STEP))

    return make


def _renamed(node: Any) -> None:
    for op in node["ops"]:
        op["layer"] = "\ud800" + op["layer"]


case("workload", "workload: half a surrogate pair as a layer's name", _recorded(_renamed))
case(
    "workload",
    "workload: an escape sequence as a layer's name",
    _recorded(lambda n: n["ops"][0].update(layer="\x1b[2J")),
)
case("workload", "workload: 20,000 ops", _recorded(lambda n: n.update(ops=n["ops"] * 3_000), "--batch", "2"))
case("workload", "workload: a batch of 320 digits", _recorded(lambda _: None, "--batch", "9" * 320))
case("workload", "workload: a batch of 1e18", _recorded(lambda _: None, "--batch", str(10**18)))
case("workload", "workload: 1e18 rows", _recorded(lambda n: n["ops"][0].update(rows=10**18)))

MARKET = "%%MatrixMarket matrix coordinate real general\n"
for said, text in {
    "1e8 x 1e8 with one element": f"{MARKET}100000000 100000000 1\n1 1 1\n",
    "a head that claims 2e9 entries": f"{MARKET}5 5 2000000000\n1 1 1\n",
    "a dense one of 1e5 x 1e5": "%%MatrixMarket matrix array real general\n100000 100000\n1\n",
    "sizes of 40 digits": f"{MARKET}{'9' * 40} 5 1\n1 1 1\n",
    "an element of row 0": f"{MARKET}5 5 1\n0 1 1\n",
    "a million comments": MARKET + "%\n" * 1_000_000 + "1 1 1\n1 1 1\n",
    "a row that is full": f"{MARKET}3000 3000 6000\n" + "".join(f"1 {n} 1\n{n} 1 1\n" for n in range(1, 3_001)),
}.items():
    case("matrix", f"matrix: {said}", _written("a.mtx", text.encode(), "--matrix", "a.mtx", *PRODUCT))
case("matrix", "matrix: /dev/zero", _line("--matrix", "/dev/zero", *PRODUCT))
case(
    "matrix",
    "matrix: zeros, packed",
    _written("a.mtx.gz", gzip.compress(bytes(200_000_000), 9), "--matrix", "a.mtx.gz", *PRODUCT),
)
for text in ("rmat:24:16", "rmat:60:1", "rmat:10:1000000", "uniform:1000000000x1000000000:1e-18",
"uniform:100000x100000:1",
             "banded:1000000000:3", "banded:100000:100000",
             "block:1000000:1000:0.5", f"rmat:{'9' * 400}:1",
             "uniform:100000x100000:0.00007", "rmat:16:6", "banded:100000:1"):  # fmt: skip
    case("matrix", f"matrix: {text[:40]}", _line("--matrix", text, *PRODUCT))
