"""The page: what it holds, that it needs nobody else, and that it works in a real browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from simulator import Job, Result, UserError, load_result, run_job
from simulator.job import Source
from tests.command import Run, without
from workloads.files.limits import LIMITS
from workloads.work import Work

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
in_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium")
SECTIONS = [
    "Result",
    "Figures",
    "Layers",
    "Energy",
    "Assumptions and their sensitivity",
    "Provenance of every number",
    "What is not modelled",
    "Hardware in the loop",
    "Run card",
]


class Structure(HTMLParser):
    """Ids, links, headings, tables and figures of a page; every element that is opened is closed."""

    VOID = frozenset({"meta", "input", "link", "br", "img", "use", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.figures = 0
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.addresses += [value for name, value in found.items() if name in ("src", "href", "xlink:href", "action")]
        self.figures += tag == "figure"
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def result() -> Result:
    job = Job(Source("sat"), Work(model="resnet9", batch=8), ("2:8",))
    return run_job(job, command=["simulate", "--model", "resnet9"])


@pytest.fixture
def folder(result: Result, tmp_path: Path) -> Path:
    result.save(tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture
def page(simulate: Run, folder: Path) -> Path:
    assert simulate("report", "r", "--no-sensitivity")[0] == 0
    return folder.with_suffix(".html")


def test_the_page_holds_every_section_and_asks_nobody(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = Structure(text)
    assert found.headings == SECTIONS
    assert len(text.encode()) < 3_000_000
    assert len(found.ids) == len(set(found.ids))
    assert all(address.startswith("#") for address in found.addresses)
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert found.figures == 8
    assert not re.search(r"""url\((?!["']?#)|@import|fetch\(|XMLHttp""", text)


def test_the_page_says_what_was_run_and_where_every_number_comes_from(page: Path, result: Result) -> None:
    text = page.read_text(encoding="utf-8")
    assert "simulate --model resnet9" in text
    assert f"{result.cycles:,} cycles at 200 MHz" in text
    for path, number in result.card.numbers.items():
        assert f">{path}<" in text
        assert number.source.partition("'")[0].partition('"')[0] in text, path
    for point in result.card.not_modelled:
        assert point.partition("'")[0] in text
    assert "No tile of this run was checked on hardware or RTL." in text


def test_names_are_escaped(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--gemm", "64x64x64", "--set", "title=<script>alert(1)</script>", "--out", "r")[0] == 0
    assert simulate("report", "r", "--no-sensitivity")[0] == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_several_results_are_compared(simulate: Run, folder: Path) -> None:
    assert simulate("--model", "resnet9", "--batch", "8", "--pattern", "2:4", "--out", "s")[0] == 0
    wide = ("--set", "array.rows=64", "--out", "t")
    assert simulate("--model", "resnet9", "--batch", "8", "--pattern", "2:4", *wide)[0] == 0
    code, out, _ = simulate("report", "r", "s", "t", "--figures", "f")
    assert (code, out.startswith("page: comparison.html")) == (0, True)
    text = (folder.parent / "comparison.html").read_text(encoding="utf-8")
    found = Structure(text)
    assert found.headings[:3] == ["Side by side", "Figures", "What differs"]
    assert ">array.rows<" in text
    assert (folder.parent / "f" / "compared.png").exists()


@pytest.mark.slow
def test_sensitivity_is_in_the_page(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--gemm", "300x64x64", "--pattern", "2:8", "--out", "r")[0] == 0
    assert simulate("report", "r")[0] == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="table-sensitivity"' in text and "array.rows and array.cols" in text
    assert "What each optimisation takes off the step" in text


def test_a_step_that_cannot_be_run_again_says_why(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("Layer, M, N, K, Sparsity,\nfc,64,64,64,2:8,\n")
    assert simulate("--topology", "l.csv", "--out", "r")[0] == 0
    (tmp_path / "l.csv").unlink()
    assert simulate("report", "r")[0] == 0
    assert "could not be run again" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_card_raises_no_limit(simulate: Run, tmp_path: Path) -> None:
    assert simulate("--gemm", "64x64x64", "--pattern", "2:8", "--out", "r")[0] == 0
    card = json.loads((tmp_path / "r" / "card.json").read_text(encoding="utf-8"))
    card["job"]["work"] = {"gemms": ["8x8x8"] * 2_000, "limits": {"ops": 10**9}}
    (tmp_path / "r" / "card.json").write_text(json.dumps(card), encoding="utf-8")
    assert load_result(tmp_path / "r").card.job.work.limits == LIMITS
    assert simulate("report", "r")[0] == 0
    said = "a step of so many --gemm has 8,000 ops, and 6,000 are taken; --limit ops=N raises that."
    assert f"could not be run again: {said}" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "--limit ops=0: write ops=N with a whole number" in simulate("report", "r", "--limit", "ops=0", "--force")[2]


def test_a_result_writes_its_own_page(page: Path, result: Result, tmp_path: Path) -> None:
    result.page(tmp_path / "own.html")
    assert (tmp_path / "own.html").read_text() == page.read_text()
    with pytest.raises(UserError, match="is there already"):
        result.page(tmp_path / "own.html")
    load_result(tmp_path / "r").page(tmp_path / "own.html", force=True)
    assert (tmp_path / "own.html").read_text() == page.read_text()
    with pytest.raises(UserError, match="there is no folder"):
        result.page(tmp_path / "nowhere" / "own.html")


MISTAKES = [
    (("report", "nowhere"), "nowhere: there is no such result folder"),
    (("report", "r/card.json"), "r/card.json: is a file; a result is a folder; did you mean 'r'?"),
    (("report", "r", "--out", "x/y.html"), "--out x/y.html: there is no folder 'x'"),
    (("report", "r", "--out", "r"), "--out r: is a folder; name a file"),
    (("report",), "Missing argument"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_mistakes(simulate: Run, folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    code, out, err = simulate(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert [path.name for path in folder.parent.iterdir()] == ["r"]


def test_a_loop_of_links_is_a_sentence(simulate: Run, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for folders in (("loop",), ("loop", "loop")):
        assert simulate("report", *folders) == (2, "", "simulate: loop: there is no such result folder\n")


def test_a_page_is_never_overwritten_unasked(simulate: Run, page: Path) -> None:
    before = page.read_bytes()
    code, _, err = simulate("report", "r", "--no-sensitivity")
    assert code == 2 and "is there already; choose another name or add --force" in err
    assert simulate("report", "r", "--no-sensitivity", "--force")[0] == 0
    assert page.read_bytes() == before


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_a_package_the_sentence_says_how_to_get_it(folder: Path, package: str) -> None:
    done = without(package, folder.parent, "report", "r", "--no-sensitivity")
    assert done.returncode == 2
    assert f"needs the package '{package}', which is missing: pip install" in done.stderr


PROBE = """<script>
const log = [];
addEventListener("error", (event) => log.push("error: " + event.message));
addEventListener("load", () => {
  const table = document.getElementById("table-layers"), body = table.tBodies[0];
  const head = [...table.tHead.rows[0].cells].find((each) => each.textContent.trim() === "cycles");
  const column = head.cellIndex, values = () => [...body.rows].map((row) => Number(row.cells[column].dataset.value));
  const button = head.querySelector("button");
  button.focus();
  const focused = document.activeElement === button;
  button.click();
  const up = values();
  button.click();
  const down = values();
  const field = document.querySelector('input[data-table="table-layers"]');
  field.value = "wu conv";
  field.dispatchEvent(new Event("input"));
  const shown = [...body.rows].filter((row) => !row.hidden);
  const style = (query) => getComputedStyle(document.body).getPropertyValue(query);
  const unreachable = [...document.querySelectorAll("button, a, input, summary")].filter((each) => each.tabIndex < 0);
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const overlaps = [...document.querySelectorAll("figure")].filter((each) => each.getBoundingClientRect().height < 100);
  document.body.innerHTML = "";
  document.body.append("<<" + JSON.stringify({ log, focused, up, down, shown: shown.map((row) => row.textContent),
    paper: style("background-color"), unreachable: unreachable.length, wide, flat: overlaps.length,
    direction: head.getAttribute("aria-sort") }) + ">>");
});
</script>"""


def browse(page: Path, *options: str) -> dict[str, object]:
    """What the page says of itself in a headless Chromium, opened from the file system; its console stays empty."""
    probed = page.with_name("probed.html")
    text = page.read_text(encoding="utf-8").replace("script-src 'unsafe-inline'", "script-src 'unsafe-inline'")
    probed.write_text(text.replace("<script>", PROBE + "<script>", 1), encoding="utf-8")
    common = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--v=0",
        "--window-size=1200,900",
    ]
    command = [CHROMIUM, *common, f"--user-data-dir={page.parent / 'profile'}", *options, "--dump-dom", probed.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    (found,) = re.findall(r"&lt;&lt;(.*)&gt;&gt;", done.stdout, re.S)
    node: dict[str, object] = json.loads(found.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    return node


@in_browser
def test_the_page_in_a_browser(page: Path) -> None:
    seen = browse(page)
    assert seen["log"] == []
    assert seen["focused"] is True and seen["unreachable"] == 0
    assert seen["up"] == sorted(seen["up"])  # type: ignore[call-overload]
    assert seen["down"] == sorted(seen["up"], reverse=True)  # type: ignore[call-overload]
    assert seen["direction"] == "descending"
    shown = seen["shown"]
    assert isinstance(shown, list) and shown and all("WU" in row and "conv" in row for row in shown)
    assert (seen["wide"], seen["flat"]) == (False, 0)


@in_browser
def test_the_page_reads_in_dark_and_light(page: Path) -> None:
    papers = [browse(page, f"--blink-settings=preferredColorScheme={scheme}")["paper"] for scheme in (0, 1)]
    assert papers == ["rgb(22, 25, 28)", "rgb(255, 255, 255)"]


@in_browser
def test_the_page_prints(page: Path) -> None:
    out = page.with_suffix(".pdf")
    common = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
    command = [CHROMIUM, *common, "--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri()]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    pages = len(re.findall(rb"/Type\s*/Page\b", out.read_bytes()))
    assert 3 <= pages <= 40
