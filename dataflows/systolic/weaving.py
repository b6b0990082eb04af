"""Vector work behind the array: its rounds of load, work and store among those of a product's program.

Two kinds of vector work can be there. Behind a product that writes nothing it reads, all of it: in the backward pass
activations and normalisations of the layer below need the input's gradient, which is there before the product of the
weight's gradient begins. Behind the product that makes its input, what reads each result once: residual sums, and a
normalisation's pass for its statistics, each part after the store of what it reads.

The rounds are spread over the program's loops as evenly as whole rounds allow, and within a loop over those inside it
where several fall to each round. Example: 100 rounds of vector work and a loop of 30 make 30 rounds with 3 among each,
and 10 at the end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from dataflows.systolic.elementwise import vector_program
from dataflows.systolic.target import Target, repeat
from simulator.program import Loop, Node, Program
from workloads.op import VectorKind, VectorOp

LAG = 2  # rounds of the product whose results may not be stored yet
READS_ONCE = (VectorKind.ELEMENTWISE, VectorKind.ACTIVATION)


@dataclass(frozen=True)
class Split:
    """Vector work in two parts: what may be behind the product before it, and what comes after; either may be none."""

    behind: Program | None
    after: Program | None


def split(target: Target, op: VectorOp, reads_product: bool) -> Split:
    """The parts of vector work; `reads_product`: whether it reads what the product before it makes."""
    alike = replace(op, layer="")
    if not reads_product or op.kind in READS_ONCE:
        return Split(vector_program(target, alike), None)
    if op.kind is not VectorKind.NORMALISATION or op.reads <= op.elements:
        return Split(None, vector_program(target, alike))
    first = replace(alike, reads=op.elements, writes=0)
    return Split(vector_program(target, first), vector_program(target, replace(alike, reads=op.reads - op.elements)))


def woven(product: Program, work: Sequence[Program], reads_product: bool) -> Program | None:
    """The product's program with vector work among its rounds; None where it has no loop."""
    place = _longest(product.body, product.lead)
    if place is None:
        return None
    buffers, rounds = list(product.buffers), list[Rounds]()
    for number, each in enumerate(work):
        names = {buffer.name: f"vector{number}.{buffer.name}" for buffer in each.buffers}
        buffers += [buffer._replace(name=names[buffer.name]) for buffer in each.buffers]
        for node in _renamed(each.body, names):
            rounds.append(Rounds(node.body, node.count) if isinstance(node, Loop) else Rounds((node,), 1))
    if not reads_product:
        return Program(product.lead, tuple(buffers), _spread(product.body, rounds, product.lead))
    main = product.body[place]
    assert isinstance(main, Loop)
    chunk = -(-main.count // max(1, sum(each.times for each in rounds)))  # rounds of the product to one of the work
    lag = min(main.count, LAG + chunk)
    early, late = _parted(rounds, main.count - lag, main.count)
    among = (*repeat(lag, main.body), *_among(main.body, main.count - lag, early, product.lead))
    rest = tuple(node for each in late for node in repeat(each.times, each.nodes))
    body = (*product.body[:place], *among, *product.body[place + 1 :], *rest)
    return Program(product.lead, tuple(buffers), body)


class Rounds(NamedTuple):
    """Nodes of vector work, `times` one after the other."""

    nodes: tuple[Node, ...]
    times: int


def _parted(rounds: Sequence[Rounds], part: int, whole: int) -> tuple[list[Rounds], list[Rounds]]:
    """The first part / whole of the rounds, and the rest."""
    early, late = list[Rounds](), list[Rounds]()
    left = sum(each.times for each in rounds) * part // whole
    for each in rounds:
        taken = min(left, each.times)
        left -= taken
        early += [Rounds(each.nodes, taken)] if taken else []
        late += [Rounds(each.nodes, each.times - taken)] if taken < each.times else []
    return early, late


def _spread(body: Sequence[Node], rounds: Sequence[Rounds], lead: str) -> tuple[Node, ...]:
    """Nodes with the rounds in their order, each loop with a share of them as large as its share of the lead's work."""
    work = [_ticks(node, lead) if isinstance(node, Loop) else 0 for node in body]
    out, left, ahead = list[Node](), list(rounds), sum(work)
    for node, ticks in zip(body, work, strict=True):
        if not isinstance(node, Loop) or not ticks:
            out.append(node)
            continue
        taken, left = _parted(left, ticks, ahead)
        ahead -= ticks
        out += _among(node.body, node.count, taken, lead)
    return tuple(out)


def _among(body: tuple[Node, ...], count: int, rounds: Sequence[Rounds], lead: str) -> tuple[Node, ...]:
    """A loop's body `count` times, with the rounds in their order, each spread over its share of these.

    Rounds of the loop that no whole share is left for come first, so that none of the others is early.
    """
    total = sum(each.times for each in rounds)
    shares = [each.times * count // total for each in rounds]
    out = [*repeat(count - sum(shares), body)]
    for each, share in zip(rounds, shares, strict=True):
        if share == 0:
            out += repeat(each.times, each.nodes)
        elif share >= each.times:
            out += repeat(share % each.times, body)
            out += repeat(each.times, (*repeat(share // each.times, body), *each.nodes))
        else:
            several = Rounds(each.nodes, each.times // share)
            nested = _longest(body, lead) is not None
            within = _spread(body, [several], lead) if nested else (*body, *repeat(several.times, several.nodes))
            out += repeat(share, within)
            out += repeat(each.times % share, each.nodes)
    return tuple(out)


def _longest(body: Sequence[Node], lead: str) -> int | None:
    """Where the loop stands in which an engine is busy longest."""
    loops = [(_ticks(node, lead), number) for number, node in enumerate(body) if isinstance(node, Loop)]
    return max(loops)[1] if loops else None


def _renamed(body: Sequence[Node], names: Mapping[str, str]) -> Iterator[Node]:
    """The same commands on buffers of other names."""
    for node in body:
        if isinstance(node, Loop):
            yield Loop(node.count, tuple(_renamed(node.body, names)))
        else:
            takes, frees, fills = (tuple(names[each] for each in used) for used in (node.takes, node.frees, node.fills))
            yield node._replace(takes=takes, frees=frees, fills=fills)


def _ticks(node: Node, engine: str) -> int:
    if isinstance(node, Loop):
        return node.count * sum(_ticks(each, engine) for each in node.body)
    return node.ticks if node.engine == engine else 0
