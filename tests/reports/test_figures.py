"""Figures repeat to the byte, their parts sum to what they split, and their ink is the same everywhere."""

import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from reports.again import ladder_of
from reports.energy import energy_card, energy_total
from reports.energy_tables import energy_by, entry_table
from reports.figures.energy import energy_figure
from reports.figures.step import causes_figure, roofline_figure
from reports.figures.style import inline_svg
from reports.layers import layer_table, roofline_points, roofs
from reports.loss_tables import cause_table, loss_table
from reports.page.gallery import step_pictures
from simulator import Job, Result, UserError, load_result, run_job
from simulator.frames import phase_table
from simulator.job import Source
from tests.command import Run
from workloads.work import Work

NAMES = {"phases", "causes", "layers", "utilisation", "roofline", "energy", "tensors", "entries"}
AGAIN = """
import sys
sys.argv = ["simulate", "report", "r", "--no-sensitivity", "--out", sys.argv[1] + ".html", "--figures", sys.argv[1]]
from simulator.command.main import main
main()
"""


@pytest.fixture(scope="module")
def result() -> Result:
    job = Job(Source("sat"), Work(model="resnet9", batch=8), ("2:8",))
    return run_job(job, command=["simulate", "--model", "resnet9"])


def test_figures_tables_and_page_are_the_same_bytes_in_two_processes(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "r")
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", AGAIN, name], cwd=tmp_path, check=True, capture_output=True)
    seen = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((tmp_path / name).iterdir())}
        for name in ("a", "b")
    ]
    assert {name.partition(".")[0] for name in seen[0] if name.endswith((".svg", ".png"))} == NAMES
    assert {name for name in seen[0] if name.endswith(".csv")} >= {"phases.csv", "layers.csv", "energy-tensor.csv"}
    assert seen[0] == seen[1]
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_inline_figures_have_ids_of_their_own_and_no_fixed_ink(result: Result) -> None:
    texts = [inline_svg(each.figure, f"f-{each.name}") for each in step_pictures(result)]
    ids = [part.partition('"')[0] for text in texts for part in text.split('id="')[1:]]
    assert len(ids) == len(set(ids))
    for text in texts:
        assert "currentColor" in text and "#222222" not in text and "<metadata" not in text
        assert text.startswith("<svg ") and 'viewBox="' in text


def test_a_result_draws_one_figure_by_its_name(result: Result) -> None:
    assert {each.name for each in step_pictures(result)} == NAMES
    assert inline_svg(result.figure("causes"), "f") == inline_svg(causes_figure(result), "f")
    with pytest.raises(UserError, match="unknown figure 'cuases'; did you mean 'causes'"):
        result.figure("cuases")


def test_the_last_step_of_the_ladder_is_the_machine_as_it_is(result: Result) -> None:
    ladder = ladder_of(result.card.job)
    assert ladder.iloc[-1].tolist() == [result.baseline.cycles, result.cycles]
    assert ladder.iloc[0]["sparse_cycles"] > result.cycles
    assert "waterfall" in {each.name for each in step_pictures(result, None, ladder)}


def test_every_split_sums_to_its_total(result: Result) -> None:
    for each in (result, result.baseline):
        causes = cause_table(each)
        cycles = each.ops.groupby("phase")["cycles"].sum()
        pd.testing.assert_series_equal(
            causes.sum(axis=1), cycles.reindex(causes.index).astype(float), check_names=False, rtol=1e-12
        )
        total = energy_total(each)
        for by in (["component"], ["phase"], ["tensor"], ["phase", "component"], ["layer"]):
            split = energy_by(each, by)
            assert split["mj"].sum() / 1e3 == pytest.approx(total.joules)
            assert split["low_mj"].sum() / 1e3 == pytest.approx(total.low)
            assert split["high_mj"].sum() / 1e3 == pytest.approx(total.high)
            assert split["share"].sum() == pytest.approx(1)
        assert entry_table(each)["mj"].sum() / 1e3 == pytest.approx(total.joules)
    assert loss_table(result)["cycles"].sum() == result.cycles
    phases = phase_table(result)
    assert phases["cycles"].drop("step").sum() == phases["cycles"]["step"]
    layers = layer_table(result)
    assert layers["cycles"].sum() == result.cycles
    assert layers["energy_j"].sum() == pytest.approx(energy_total(result).joules)


def test_assumed_share_and_energy_delay(result: Result) -> None:
    total = energy_total(result)
    assumed = [name for name, entry in energy_card(result).entries.items() if entry.provenance == "assumed"]
    mine = energy_by(result, ["entry"])["mj"]
    assert total.assumed_share == pytest.approx(mine[mine.index.isin(assumed)].sum() / mine.sum())
    assert total.energy_delay == pytest.approx(total.joules * result.cycles / 200e6)


def test_no_product_is_above_its_roofs(result: Result) -> None:
    for each in (result, result.baseline):
        limits, points = roofs(each), roofline_points(each)
        assert limits is not None
        assert (points["macs_per_second"] <= limits.macs_per_second * (1 + 1e-9)).all()
        assert (points["macs_per_second"] <= points["macs_per_byte"] * limits.bytes_per_second * (1 + 1e-9)).all()


def test_texts_of_a_figure_do_not_overlap(result: Result) -> None:
    for picture in step_pictures(result):
        picture.figure.canvas.draw()
        texts = [text for axes in picture.figure.axes for text in axes.texts if text.get_text().strip()]
        boxes = [text.get_window_extent() for text in texts]
        whole = picture.figure.bbox
        for number, box in enumerate(boxes):
            inside = (
                whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1 and whole.y0 - 1 <= box.y0 <= box.y1 <= whole.y1 + 1
            )
            assert inside, f"{picture.name}: '{texts[number].get_text()}' leaves the figure"
            for other in boxes[number + 1 :]:
                assert not box.shrunk(0.8, 0.8).overlaps(other.shrunk(0.8, 0.8)), f"{picture.name}: {texts[number]}"


def test_a_machine_without_dram_has_no_roofline(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--arch", "dense", "--gemm", "64x64x64", "--out", "r")[0] == 0
    assert simulate("report", "r", "--figures", "f")[0] == 0
    assert {path.stem for path in (tmp_path / "f").glob("*.png")} == NAMES - {"roofline", "layers"}


def test_a_product_of_matrices_has_figures_of_its_own(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--arch", "piuma", "--kernel", "smash-v2", "--matrix", "rmat:6:4", "--out", "r")[0] == 0
    assert simulate("report", "r", "--figures", "f")[0] == 0
    drawn = {path.stem for path in (tmp_path / "f").glob("*.png")}
    assert drawn == {"threads", "load", "causes", "energy", "tensors", "entries"}
    result = load_result(tmp_path / "r")
    for figure in (causes_figure(result), energy_figure(result)):
        (bars,) = figure.axes
        assert max(bar.get_x() + bar.get_width() for bar in bars.patches) > 0
        assert len({bar.get_facecolor() for bar in bars.patches}) == len(bars.patches)


def test_marks_of_a_wide_roofline_do_not_overlap(simulate: Run, tmp_path: Path) -> None:
    """On S4 attention hardly touches DRAM: its products are decades to the right of all others."""
    options = ("--arch", "s4", "--pattern", "4:64", "--model", "bert-base", "--mode", "inference")
    assert simulate(*options, "--out", "r")[0] == 0
    result = load_result(tmp_path / "r")
    limits = roofs(result)
    assert limits is not None
    figure = roofline_figure(result, limits)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert len(boxes) > 4
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
