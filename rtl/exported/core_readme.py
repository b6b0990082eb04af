"""README of an exported core, for somebody who has nothing else."""

from collections.abc import Iterable
from pathlib import Path
from string import Template

from rtl.core.core import ENGINES
from rtl.core.engine import WORD_BITS
from rtl.core.program import CoreDesign
from rtl.core.pushing import writes
from rtl.core.registers import WAITS, WINDOWS, CoreMap
from rtl.exported.around import CLOCK_MHZ
from rtl.exported.manifest import Json
from rtl.exported.naming import release
from rtl.exported.readme import FIELDS
from rtl.run import ITSELF

TEMPLATE = Path(__file__).parent / "templates" / "CORE.md.in"
SHOWN = 6  # words of the example
LOOP = "loops."


def core_readme(design: CoreDesign, where: CoreMap, facts: Json, names: list[str], command: str) -> str:
    """Its text. names: of the ports."""
    shape, p, first = where.layout.shape, where.layout.shape.array, design.programs[0]
    last = where.wait(len(ENGINES) - 1, where.layout.control.buffers - 1)
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=f"Core, {p.title}",
        rows=p.rows,
        cols=p.cols,
        operand=p.format.upper(),
        m=p.m,
        weights=p.weights,
        command=command,
        release=release(),
        programs=len(design.programs),
        top=facts["modules"]["top"],
        constraints="constraints/sparse_core_axi.sdc",
        clock=CLOCK_MHZ,
        engines=", ".join(ENGINES),
        depth=where.depth,
        buffers=where.layout.control.buffers,
        west=shape.west,
        north=shape.north,
        output=shape.output,
        raw=shape.raw,
        link=p.west_link,
        sparse=WORD_BITS // p.weight_bits,
        weight_bits=p.weight_bits,
        operand_top=p.operand.bits - 1,
        stride=where.stride,
        wait_first=f"0x{WAITS:03x}",
        wait_last=f"0x{last:03x}",
        queue_first=f"0x{WINDOWS:03x}",
        faults=_rows((each["number"], each["text"]) for each in facts["faults"]),
        errors=_rows((each["number"], each["text"]) for each in facts["errors"]),
        registers=_rows((f"0x{each.address:03x}", each.name, each.access, each.text) for each in where.registers),
        queues=_rows(
            (f"`{each['name']}`", each["number"], each["bits"], each["parts"], f"0x{each['address']:03x}", each["text"])
            for each in facts["queues"]
        ),
        fields="\n\n".join(_fields(queue) for queue in _different(facts["queues"])),
        example_title=first.title,
        example=_rows(
            (f"`{each.queue}`", f"`{each.word:x}`", _decoded(facts["queues"], each.queue, each.word))
            for each in first.pushes[:SHOWN]
        ),
        writes=_rows((f"0x{at:03x}", f"0x{value:08x}") for at, value in writes(where, first.pushes[1:2])),
        instance="\n".join(_instance(facts["modules"]["top"], names)),
    )


def _rows(rows: Iterable[tuple[object, ...]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def _different(queues: list[Json]) -> list[Json]:
    """Queues whose words are unlike those before them; the others are named beside these."""
    found = dict[str, Json]()
    for queue in queues:
        known = found.setdefault(
            repr([(each["name"], each["bits"]) for each in queue["fields"]]), {**queue, "like": []}
        )
        known["like"].append(queue["name"])
    return list(found.values())


def _fields(queue: Json) -> str:
    """A table; of loops and buffers that are alike only the first."""
    head = f"{', '.join(f'`{name}`' for name in queue['like'])}:\n\n| bits | field | what |\n|---|---|---|\n"
    lines = []
    for each in queue["fields"]:
        name, lowest = each["name"], each["lowest"]
        if name.startswith((LOOP, "slots.")) and name.split(".")[1] != "0":
            continue
        text = each["text"]
        if name.startswith("does.run."):
            field = name.removeprefix("does.run.")
            output, weight = FIELDS.get(field, ("", ""))
            text = output if output == weight else f"output stationary: {output}; weight stationary: {weight}"
            text += "" if field in ITSELF else " (less one)"
        elif name.startswith((LOOP, "slots.")):
            text = f"{text or 'slots of buffer 0'}; of the next one the bits above"
        high = lowest + each["bits"] - 1
        lines.append((f"{high}:{lowest}" if each["bits"] > 1 else lowest, f"`{name}`", text))
    return head + _rows(lines)


def _decoded(queues: list[Json], name: str, word: int) -> str:
    fields = next(each["fields"] for each in queues if each["name"] == name)
    values = {each["name"]: word >> each["lowest"] & (1 << each["bits"]) - 1 for each in fields}
    return ", ".join(f"{name} = {value:#x}" for name, value in values.items() if value)


def _instance(top: str, names: list[str]) -> list[str]:
    return [f"{top} core (", *(f"    .{name}({name})," for name in names[:-1]), f"    .{names[-1]}({names[-1]})", ");"]
