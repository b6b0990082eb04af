"""The bench of GPUs where there is none: it says so; and its rows, made on a CPU with tiny shapes."""

import ast
import csv
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from reports.checks.base import published_rows
from reports.checks.gpu_measured import _modelled
from reports.checks.gpu_steps import STEPS
from tests.bench import gpu as bench
from tests.bench.gpu import (
    COLUMNS,
    OWN,
    PUBLISHED,
    WORKS,
    Case,
    Device,
    Pruned,
    as_csv,
    main,
    measured,
    published_cases,
)

TINY = {"product": (16, 8, 4), "pruning": (8, 0, 12), "linear": (16, 8, 4), "mlp": (16, 8, 4), "block": (16, 64, 8)}


def masked(weight: torch.Tensor) -> torch.Tensor:
    """Every other element, which is 2:4 in both directions of a tile."""
    places = torch.arange(weight.shape[0])[:, None] + torch.arange(weight.shape[1])
    return weight * (places % 2 == 0)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


def cpu(prune: Callable[[torch.Tensor], torch.Tensor] = masked) -> Device:
    return Device("cpu", "a CPU", "a test", seconds, masked, prune)


def rows_of(device: Device) -> list[dict[str, object]]:
    said: list[str] = []
    rows = list(measured([Case(kind, *sizes) for kind, sizes in TINY.items()], device, 60, said.append))
    assert len(said) == len(rows) == len(WORKS) and said[0].startswith("1/5 one product (16, 8, 4): dense ")
    return rows


def test_rows_are_those_of_the_published_table() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(rows_of(cpu())))))
    assert PUBLISHED.read_text(encoding="utf-8").partition("\n")[0] == ",".join(COLUMNS) == ",".join(rows[0])
    for row in rows:
        assert (row["card"], row["precision"], row["provenance"], row["source"]) == (
            "a CPU",
            "fp16",
            "measured",
            "a test",
        )
        assert float(row["sparse_ms"]) > 0 and bool(row["ratio"]) == bool(row["dense_ms"]) == (row["kind"] != "pruning")
        ours, fitted, note = _modelled({**row, "card": "A100"})
        assert ours[0]["sparse_ms"] > 0 and (fitted, note) == ("", "nothing fitted to it")


def test_what_a_card_cannot_do_is_left_empty_with_the_reason() -> None:
    def refuse(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("needs compute capability 8\nand more lines")

    for row in rows_of(cpu(refuse)):
        if row["kind"] != "product":
            assert row["sparse_ms"] == row["ratio"] == ""
            assert row["source"] == "a test; no sparse time: needs compute capability 8"
        assert bool(row["dense_ms"]) == (row["kind"] != "pruning")


def test_nothing_begins_when_the_time_is_over() -> None:
    said: list[str] = []
    assert list(measured([Case("product", 4, 4, 4)] * 3, cpu(), -1, said.append)) == []
    assert said == ["3 of 3 left out: -1 s are over"]


def test_published_shapes_are_measured_under_the_same_names() -> None:
    cases, published = published_cases(), [row for row in published_rows("gpu_measured") if row["kind"] in WORKS]
    assert len(cases) == len(published) == 11 and set(WORKS) == set(STEPS) - {"encoder"}
    assert all(row["what"].startswith(case.what) for case, row in zip(cases, published, strict=True))
    assert {kind for kind, *_ in OWN} | {case.kind for case in cases} == set(WORKS)


def test_a_pruned_layer_multiplies_its_pruned_weight_both_ways_and_gives_the_whole_gradient() -> None:
    given, weight = torch.randn(6, 8, requires_grad=True), torch.randn(4, 8, requires_grad=True)
    bias, gradient = torch.randn(4, requires_grad=True), torch.randn(6, 4)
    made = Pruned.apply(given, weight, bias, masked)
    found = torch.autograd.grad(made, (given, weight, bias), gradient)
    whole = masked(weight.detach())
    torch.testing.assert_close(made, given @ whole.t() + bias)
    for ours, theirs in zip(found, (gradient @ whole, gradient.t() @ given, gradient.sum(0)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_a_gpu_it_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", "never.csv"])
    assert main() == 2 and not Path("never.csv").exists()
    assert capsys.readouterr().err == f"No GPU: torch {torch.__version__} sees none here, so nothing was measured.\n"


def test_with_a_gpu_the_table_is_written_and_a_wrong_file_is_said_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(bench, "on_gpu", cpu)
    monkeypatch.setattr(bench, "OWN", [("product", *TINY["product"])])
    monkeypatch.setattr(bench, "published_cases", lambda: [Case("linear", *TINY["linear"])])
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path / "no/folder.csv")])
    assert main() == 2
    assert capsys.readouterr().err == f"--out {tmp_path / 'no/folder.csv'}: No such file or directory\n"
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path / "rows.csv")])
    assert main() == 0 and capsys.readouterr().err.startswith("1/2 linear layer (16, 8, 4), forward + backward")
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        assert [row["kind"] for row in csv.DictReader(file)] == ["linear", "product"]


def test_it_needs_nothing_but_torch() -> None:
    nodes = list(ast.walk(ast.parse(Path(bench.__file__).read_text(encoding="utf-8"))))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in named} - set(sys.stdlib_module_names) == {"torch"}
