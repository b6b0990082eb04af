"""Statistics of a study of accuracy, against hand-made figures."""

from math import isnan

import pandas as pd
import pytest

from reports.accuracy import Run, accuracy_table, beyond_noise, runs_frame, spread, verdict
from reports.figures.accuracy import accuracy_figure


def study(**hits: list[int]) -> pd.DataFrame:
    """Runs of "method_n_m" (or "dense") by seed, of 1,000 test examples each."""
    runs = []
    for name, values in hits.items():
        method, _, pattern = name.partition("_")
        runs += [
            Run(method, pattern.replace("_", ":") or "dense", seed, right, 1000, 10, 60.0)
            for seed, right in enumerate(values)
        ]
    return runs_frame(runs)


def test_an_interval_is_students() -> None:
    found = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.mean == 3.0 and found.half == pytest.approx(2.7764451 * (2.5 / 5) ** 0.5)  # t of 4 degrees at 97.5 %
    assert isnan(spread([1.0]).half)


def test_gaps_are_taken_seed_by_seed() -> None:
    table = accuracy_table(study(dense=[900, 800, 850], bdwp_2_8=[890, 790, 840])).set_index("method")
    assert table.loc["bdwp", "gap"] == pytest.approx(-1.0) and table.loc["bdwp", "gap_ci95"] == pytest.approx(
        0, abs=1e-9
    )
    assert table.loc["bdwp", "accuracy_ci95"] == pytest.approx(4.3026527 * 5.0 / 3**0.5)  # the runs themselves spread
    assert isnan(table.loc["dense", "gap"])


def test_a_seed_that_one_of_two_lacks_is_left_out_of_their_gap() -> None:
    table = accuracy_table(study(dense=[900, 800], bdwp_2_8=[890, 790, 100])).set_index("method")
    assert table.loc["bdwp", "gap"] == pytest.approx(-1.0) and table.loc["bdwp", "runs"] == 3


def test_published_gaps_stand_beside_ours() -> None:
    table = accuracy_table(study(dense=[9, 9], bdwp_2_8=[8, 8], sdgp_2_4=[8, 8], bdwp_2_4=[7, 8])).set_index(
        ["method", "pattern"]
    )
    assert table.loc[("bdwp", "2:8"), "published_gap"] == "-0.56"
    assert table.loc[("sdgp", "2:4"), "published_gap"] == "-0.10; -0.40"
    assert table.loc[("sdgp", "2:4"), "published_on"] == "a CIFAR network, CIFAR-10; ResNet-50, ImageNet"
    assert table.loc[("bdwp", "2:4"), "published_gap"] == ""


def test_methods_are_ranked_only_beyond_the_noise() -> None:
    clear = study(dense=[900, 901, 902], srste_2_8=[880, 882, 881], bdwp_2_8=[850, 852, 851])
    assert beyond_noise(clear) == ["2:8: srste above bdwp by 3.00 +- 0.00 points"]
    close = study(dense=[900, 901, 902], srste_2_8=[880, 882, 881], bdwp_2_8=[879, 883, 881])
    assert beyond_noise(close) == []
    assert verdict([]).endswith("so they are not ranked")


def test_more_pairs_widen_every_interval() -> None:
    two = study(a_2_8=[880, 884, 889], b_2_8=[860, 860, 860])
    assert len(beyond_noise(two)) == 1
    many = study(a_2_8=[880, 884, 889], b_2_8=[860, 860, 860], c_2_8=[860, 860, 860], d_2_8=[860, 860, 860])
    assert not [text for text in beyond_noise(many) if "a above b" in text]


def test_the_picture_has_a_line_a_method_and_a_tick_a_pattern() -> None:
    table = accuracy_table(study(dense=[900, 905], bdwp_2_4=[890, 891], bdwp_1_8=[870, 871], srste_2_4=[880, 890]))
    (axes,) = accuracy_figure(table, "title").axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2:4", "1:8"]
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["dense", "bdwp", "srste"]
