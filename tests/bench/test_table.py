"""The table of `make bench`: what it marks, from small files. Nothing is timed here."""

import json
from pathlib import Path

import pytest

from tests.bench.table import COLUMNS, committed, in_words, main, measured, show, taken_over

MACHINE = {"cpu": {"count": 2, "brand_raw": "a CPU"}, "machine": "x86_64", "python_version": "3.11.7"}
ROW = "{},{},10.0,,5,0.5,,an older CPU\n"  # benchmark and milliseconds, on a machine whose yardstick takes 10 ms


def run(folder: Path, **milliseconds: float) -> Path:
    """A run as pytest-benchmark writes it, on a machine whose yardstick takes 20 ms."""
    more = {"yardstick": 0.02, "load": 3.04}
    found = [
        {"name": f"test_{name}", "stats": {"median": each / 1000, "rounds": 5}, "extra_info": more}
        for name, each in milliseconds.items()
    ]
    path = folder / "now.json"
    path.write_text(json.dumps({"machine_info": MACHINE, "benchmarks": found}))
    return path


def rows(folder: Path, **milliseconds: float) -> Path:
    """Committed rows."""
    path = folder / "bench.csv"
    lines = (ROW.format(name, each) for name, each in milliseconds.items())
    path.write_text(",".join(("benchmark", *COLUMNS)) + "\n" + "".join(lines))
    return path


def said(capsys: pytest.CaptureFixture[str], now: Path, before: Path) -> list[str]:
    show(measured(now), committed(before))
    return capsys.readouterr().out.splitlines()


def line_of(name: str, lines: list[str]) -> list[str]:
    return next(line.split() for line in lines if line.startswith(name))


def test_more_than_a_quarter_slower_by_the_yardstick_is_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The machine is half as fast as the one before, so twice the time is none lost."""
    now = run(tmp_path, alike=200, slow=252, faster=120)
    lines = said(capsys, now, rows(tmp_path, alike=100, slow=100, faster=100))
    assert line_of("alike", lines) == ["alike", "200", "100", "1.00"]
    assert line_of("slow", lines) == ["slow", "252", "100", "1.26", "SLOWER"]
    assert line_of("faster", lines) == ["faster", "120", "100", "0.60"]
    assert lines[-1] == "1 of 3 slower by more than a quarter"


def test_the_yardstick_is_the_mean_of_the_whole_run(tmp_path: Path) -> None:
    path = run(tmp_path, one=1, two=2)
    whole = json.loads(path.read_text())
    whole["benchmarks"][0]["extra_info"]["yardstick"] = 0.03
    path.write_text(json.dumps(whole))
    assert measured(path).yardstick_ms.tolist() == [25, 25]


def test_a_benchmark_without_a_committed_row_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, run(tmp_path, known=200, fresh=99.5), rows(tmp_path, known=100))
    assert line_of("fresh", lines) == ["fresh", "99.5", "new"]
    assert lines[-1] == "0 of 2 slower by more than a quarter"


def test_nothing_is_committed_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, run(tmp_path, fresh=200), tmp_path / "bench.csv")
    assert line_of("committed", lines) == ["committed:", "nothing"]
    assert line_of("fresh", lines) == ["fresh", "200", "new"]


def test_what_was_committed_and_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, run(tmp_path, known=200), rows(tmp_path, known=100, gone=7, lost=8))
    assert "committed, but not measured now: gone; lost" in lines


def test_the_heading_says_how_ratios_are_made_and_on_which_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, run(tmp_path, known=200), rows(tmp_path, known=100))
    assert "(now / its yardstick) / (committed / its yardstick)" in lines[0]
    heading = [" ".join(line.split()) for line in lines]
    assert "now: 2 x a CPU, Python 3.11.7; load 3.0; yardstick 20.0 ms" in heading
    assert "committed: an older CPU; load 0.5; yardstick 10.0 ms" in heading


def test_committing_takes_what_was_measured_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, before = run(tmp_path, fresh=200, known=200), rows(tmp_path, other=300, known=100)
    monkeypatch.setattr("sys.argv", ["table", "--measured", str(now), "--committed", str(before), "--commit"])
    main()
    assert before.read_text() == (
        "benchmark,cpu_ms,yardstick_ms,peak_mib,rounds,load,note,machine\n"
        "other,300.0,10.0,,5,0.5,,an older CPU\n"
        'known,200.0,20.0,,5,3.0,,"2 x a CPU, Python 3.11.7"\n'
        'fresh,200.0,20.0,,5,3.0,,"2 x a CPU, Python 3.11.7"\n'
    )
    assert taken_over(measured(now), committed(before)) == before.read_text()


@pytest.mark.parametrize(
    ("test", "words"),
    [("test_recording[llama-7b]", "recording: llama-7b"), ("test_x_of[a[1], b]", "x of: a[1], b"), ("test_one", "one")],
)
def test_names_of_tests_are_words(test: str, words: str) -> None:
    assert in_words(test) == words
