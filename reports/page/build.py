"""Building a page: sections of texts, figures and tables, poured into one template."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.bands import known_band
from reports.figures.style import inline_svg
from reports.hil import hil_sentences, meaning
from reports.page import content
from reports.page.gallery import Picture, comparison_pictures, step_pictures
from reports.page.tables import PageTable
from reports.sensitivity import band_sentences
from simulator.card import Card
from simulator.result import Result

WIDE = 8  # inches; wider figures take a row of the page
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Drawn:
    caption: str
    svg: str
    whole: bool  # as wide as the page


@dataclass(frozen=True)
class Section:
    title: str
    texts: Sequence[str] = ()
    points: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    commands: Sequence[str] = ()
    pictures: Sequence[Drawn] = ()
    tables: Sequence[PageTable] = ()

    @property
    def anchor(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    title: str
    summary: Sequence[str]
    sections: Sequence[Section] = field(default_factory=list)


def result_page(
    result: Result, sensitivity: pd.DataFrame | None = None, ladder: pd.DataFrame | None = None, said: str = ""
) -> str:
    """The page of one result. `said` explains a missing sensitivity; `ladder`: the step as optimisations are added."""
    card = result.card
    sections = [
        Section("Result", content.result_texts(result), tables=content.step_tables(result)),
        Section("Figures", pictures=_drawn(step_pictures(result, sensitivity, ladder), "figure")),
        Section("Layers", tables=[content.layer_page_table(result)]),
        _energy(result),
        _assumptions(result, sensitivity, said),
        Section("Provenance of every number", texts=_provenance(card), tables=[content.number_table(card)]),
        Section("What is not modelled", points=card.not_modelled),
        _hardware(result),
        _run_card(card),
    ]
    return rendered(Page(content.title_of(card), _texts(result), sections))


def comparison_page(results: Sequence[Result], labels: Sequence[str]) -> str:
    """The page of several results side by side."""
    sections = [
        Section("Side by side", tables=[content.compared_table(results, labels)]),
        Section("Figures", pictures=_drawn(comparison_pictures(results, labels), "figure")),
        _differences(results, labels),
    ]
    for number, (label, result) in enumerate(zip(labels, results, strict=True), 1):
        points = [f"not modelled: {point}" for point in result.card.not_modelled]
        sections.append(Section(f"{number}. {label}", _texts(result), points, commands=_commands(result.card)))
    models = {result.card.model for result in results}
    about = f"{len(results)} results on {', '.join(sorted(models))}"
    seconds = [each.seconds for each in results]
    label = labels[seconds.index(min(seconds))]
    alike = len(models) == 1 and len({result.card.batch for result in results}) == 1
    said = f"The fastest is {label}." if alike else "They run different work: compare speed-ups, not times."
    return rendered(Page(f"Comparison of {about}", [said], sections))


def _texts(result: Result) -> list[str]:
    return [content.summary(result), f"The machine: {result.card.arch_title}."]


def _differences(results: Sequence[Result], labels: Sequence[str]) -> Section:
    table = content.differences_table(results, labels)
    texts = [] if table.rows else ["The machines are the same in every number."]
    return Section("What differs", texts, tables=[table] if table.rows else [])


def _drawn(pictures: Sequence[Picture], prefix: str) -> list[Drawn]:
    return [
        Drawn(each.caption, inline_svg(each.figure, f"{prefix}-{each.name}"), each.figure.get_figwidth() > WIDE)
        for each in pictures
    ]


def _energy(result: Result) -> Section:
    energy = result.card.energy
    if energy is None:
        return Section("Energy", ["The machine file has no energy section: energy is unknown."])
    texts = [
        f"Table '{energy.table}': {energy.technology}. Scaling: {energy.scaling}.",
        "Energy is every counted action times its entry, and static power times the time an op takes. Low and high are "
        "an envelope, all entries at that end of their ranges at once. The range of the ratio to dense is no envelope: "
        "both sides are priced by the same entries, each wherever in its range the ratio is least or most.",
        *([f"{energy.note}."] if energy.note else []),
    ]
    return Section("Energy", texts, tables=content.energy_tables(result))


def _assumptions(result: Result, sensitivity: pd.DataFrame | None, said: str) -> Section:
    card, band = result.card, known_band(result)
    assumed = [f"{path} = {card.numbers[path].value}: {card.numbers[path].source}" for path in card.assumed]
    texts = [f"{len(assumed)} numbers of the machine are assumed. {said}".strip()]
    texts += band_sentences(band) if band is not None else []
    tables = [] if sensitivity is None else [content.sensitivity_page_table(sensitivity)]
    return Section("Assumptions and their sensitivity", texts, assumed, tables=tables)


def _provenance(card: Card) -> list[str]:
    capture = card.capture
    loss = "" if capture.loss is None else f", loss {capture.loss:.4g}"
    work = f"The work: {capture.source}; shapes: {capture.shapes}; step {capture.step}{loss}; "
    work += f"masks: {capture.masks}."
    said = (
        "Cycles, bytes, multiply-accumulates and energy are worked out from the numbers below, assumed ones among them."
    )
    return [work, said]


def _hardware(result: Result) -> Section:
    found = result.card.hil
    if found is None:
        return Section("Hardware in the loop", ["No tile of this run was checked on hardware or RTL."])
    facts = [(name.replace("_", " "), str(value)) for name, value in found["parameters"].items()]
    return Section(
        "Hardware in the loop",
        [*hil_sentences(found), meaning(found)],
        facts=facts if found["hardware"] == "core" else [("seed of the tiles", str(found["seed"])), *facts],
        tables=content.hil_tables(result),
    )


def _run_card(card: Card) -> Section:
    facts = [("machine", f"{card.arch}: {card.arch_title}"), ("hash of its numbers", card.arch_hash)]
    facts += [("dataflow", card.dataflow), ("exact", str(card.exact).lower())]
    facts += [(f"version of {name}", version) for name, version in card.versions.items()]
    facts += [(f"{part} of", owner) for part, owner in card.outside.items()]
    facts += [(name.replace("_", " "), f"{value:,.4g}") for name, value in vars(card.cost).items()]
    said = ["The command that gives this result again:"] if card.again else []
    return Section("Run card", said, facts=facts, commands=_commands(card))


def _commands(card: Card) -> list[str]:
    return [card.again] if card.again else []


def rendered(page: Page) -> str:
    """A page as HTML that needs no other file."""
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    css, js = (Markup((HERE / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return environment.get_template("page.html.j2").render(page=page, css=css, js=js) + "\n"
