"""`--hil` from the command line: a small array, its table, its sentences, and wrong calls."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reports.page.build import result_page
from rtl.link.virtual import started
from rtl.parameters import make_parameters
from simulator import load_result
from simulator.hil.loop import key
from simulator.hil.outcome import COLUMNS
from simulator.job import Job, Source
from tests.command import Run
from tests.hil.small import SMALL, step
from tests.reports.test_schema import described
from workloads.pattern import parse_pattern
from workloads.shipped import shipped_path
from workloads.work import Work

SETTINGS = tuple(part for each in SMALL for part in ("--set", each))
STEP = ("--arch", "sat", "--pattern", "2:8", "--model", "resnet18", "--batch", "4", *SETTINGS)


def test_tiles_are_in_the_result_and_on_the_page(simulate: Run, tmp_path: Path) -> None:
    code, out, err = simulate(*STEP, "--hil", "link", "--hil-tiles", "10", "--out", "r")
    assert code == 0
    assert "10 of 10 tiles agree with the models on a virtual board (2:8 int8 2x2)" in " ".join(out.split())
    assert "hil: tile 10 of 10: 10 agree, 0 differ" in err and "kB/s" in err
    result = load_result(tmp_path / "r")
    assert result.hil is not None and tuple(result.hil.columns) == COLUMNS
    assert set(COLUMNS) == described("hil.parquet")
    card = result.card.hil
    assert card is not None
    assert set(card) | set(card["link"]) == described("The card's part on hardware") - {"hil"}
    assert (card["confirmed_tiles"], card["wrong_bits"], card["tiles_with_other_cycles"]) == (10, 0, 0)
    assert card["link"]["payload"] > 0 and card["link"]["sessions"] == 1 and card["parameters"]["rows"] == 2
    page = result_page(result, None)
    assert "10 of 10 tiles agree" in page and "never DRAM" in page
    assert not list(tmp_path.glob(".hil-*"))


def test_the_array_alone_says_the_same_without_a_link(simulate: Run, tmp_path: Path) -> None:
    for target in ("sim", "link"):
        code, out, err = simulate(*STEP, "--hil", target, "--hil-tiles", "5", "--out", target)
        assert code == 0 and ("kB/s" in err) is (target == "link")
        where = "the compiled RTL" if target == "sim" else "a virtual board"
        assert f"5 of 5 tiles agree with the models on {where} (2:8 int8 2x2)" in " ".join(out.split())
    sim, link = (load_result(tmp_path / target) for target in ("sim", "link"))
    assert sim.hil is not None and link.hil is not None and sim.card.hil is not None
    alike = [name for name in COLUMNS if name not in ("pieces", "waiting_cycles")]
    assert sim.hil[alike].equals(link.hil[alike])
    assert set(sim.card.hil["link"].values()) == {0}


def test_options_change_the_tiles(simulate: Run, tmp_path: Path) -> None:
    for name, options in (("a", ("3", "1")), ("b", ("3", "2")), ("c", ("3", "1"))):
        more = ("--hil", "sim", "--hil-tiles", options[0], "--hil-seed", options[1], "--json", "--out", name)
        code, out, _ = simulate(*STEP, *more)
        assert code == 0
        assert len(json.loads(out)["hil"]["tile_rows"]) == 3
    a, b, c = (load_result(tmp_path / name).hil for name in "abc")
    assert a is not None and b is not None and c is not None
    assert a.equals(c) and not a.equals(b)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((*STEP, "--hil-tiles", "3"), "--hil-tiles: says what --hil does; give that too"),
        ((*STEP, "--hil", "sim", "--hil-tiles", "0"), "--hil-tiles 0: must be at least 1"),
        (("--arch", "dense", "--model", "resnet18", "--hil", "sim"), "--hil: this machine is an idealisation"),
        (("--arch", "t4", "--model", "resnet50", "--hil", "sim", "--mode", "inference"), "--arch sat has"),
        (("--arch", "piuma", "--model", "resnet50", "--pattern", "2:8", "--hil", "sim"), "piuma has no array in RTL"),
        (("--gemm", "8x8x8", "--pattern", "2:8", "--hil", "sim"), "--hil: tiles need real tensors"),
        ((*STEP, "--hil", "lnik"), "--hil: unknown hardware 'lnik'; did you mean 'link'?"),
        (("--matrix", "rmat:4:4", "--hil", "sim"), "--matrix: machine 'sat' multiplies the layers of a step"),
        (("--model", "resnet18", "--pattern", "2:64", "--hil", "sim"), "groups of 64 are too wide for fp16"),
    ],
)
def test_mistakes_are_a_sentence(simulate: Run, tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate(*options)
    assert (code, out) == (2, "")
    assert sentence in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_step_without_products_is_a_sentence(simulate: Run, tmp_path: Path) -> None:
    shipped = shipped_path("resnet18")
    step = json.loads(shipped.read_text(encoding="utf-8"))
    step["ops"] = [op for op in step["ops"] if "kind" in op]
    (tmp_path / "v.json").write_text(json.dumps(step), encoding="utf-8")
    shutil.copy(shipped.with_suffix(".safetensors"), tmp_path / "v.safetensors")
    code, out, err = simulate("--arch", "sat", "--workload", "v.json", "--hil", "sim")
    assert (code, out) == (2, "")
    assert "--hil: this step multiplies nothing" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.json", "v.safetensors"]


def test_a_board_is_taken_as_it_is_if_it_can_do_the_work(simulate: Run, tmp_path: Path) -> None:
    """Fewer accumulators: tiles interleave less, and are timed so."""
    with started(make_parameters(parse_pattern("2:8"), 2, 2, "int8", accumulators=2)) as url:
        code, out, _ = simulate(*STEP, "--hil", url, "--hil-tiles", "6", "--out", "r")
    assert code == 0
    assert f"6 of 6 tiles agree with the models on {url} (2:8 int8 2x2)" in " ".join(out.split())
    assert load_result(tmp_path / "r").card.hil["parameters"]["accumulators"] == 2


def test_another_gateware_is_refused(simulate: Run) -> None:
    with started(make_parameters(parse_pattern("2:4"), 2, 1, "int8")) as url:
        began = time.monotonic()
        code, _, err = simulate(*STEP, "--hil", url)
        took = time.monotonic() - began
    assert code == 2
    assert "cols is 1, wanted 2; m is 4, at least 8 is needed; weights is 4, at least 8 is needed" in err
    print(f"refused after {took:.1f} s")


def test_a_port_where_nothing_answers_is_a_sentence(simulate: Run, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    for url, sentence in (
        (os.ttyname(theirs), "nothing that talks this protocol has answered for 3 s"),
        (str(tmp_path / "ttyUSB9"), "cannot be opened: "),
        ("socket://127.0.0.1:1", "cannot be opened: "),
        ("nonsense://x", "cannot be opened: "),
    ):
        code, out, err = simulate(*STEP, "--hil", url)
        assert (code, out) == (2, "")
        assert url in err and sentence in err and len(err.strip().splitlines()) == 1
        assert not list(tmp_path.iterdir())
    os.close(ours)
    os.close(theirs)


def test_a_changed_array_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles that another RTL, or another board, confirmed are not believed again."""
    there, draw = step(), (64, 1)
    job = Job(Source("sat"), Work(model="resnet18"), ("2:8",))
    name = key(job, "sim", draw, there.parameters, there.strata)
    assert name == key(job, "sim", draw, there.parameters, there.strata)
    assert name != key(job, "sim", draw, replace(there.parameters, accumulators=2), there.strata)
    assert name != key(job, "/dev/ttyUSB0", draw, there.parameters, there.strata)
    assert name != key(replace(job, patterns=("2:4",)), "sim", draw, there.parameters, there.strata)
    monkeypatch.setattr("simulator.hil.loop.fingerprint", lambda _: "another PE")
    assert name != key(job, "sim", draw, there.parameters, there.strata)
