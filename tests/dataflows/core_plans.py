"""Random products on random small cores, bound in all the ways that their plans allow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator

from dataflows.systolic.lowering import Product, Window
from dataflows.systolic.mapping import Plan
from dataflows.systolic.output_stationary import OutputStationary
from dataflows.systolic.target import Target
from dataflows.systolic.weight_stationary import WeightStationary
from rtl.core.content import Matrices
from rtl.formats import Bits, groups_of, operand_format, pack
from rtl.timing import Reduction
from simulator.arch.machine import load_machine
from simulator.machines.systolic import SystolicArch
from tests.rtl.cases import operands
from workloads.pattern import Pattern, parse_pattern


@dataclass(frozen=True)
class Case:
    """A plan of a product on a core, and the operands of each of its `count` products."""

    arch: SystolicArch
    target: Target
    plan: Plan
    lowered: Product
    operands: tuple[Matrices, ...]


@cache
def core(*settings: str) -> SystolicArch:
    """A core with settings such as "array.rows=4"."""
    spec = load_machine("core", list(settings)).spec
    assert isinstance(spec, SystolicArch)
    return spec


def random_core(rng: Generator) -> SystolicArch:
    rows, cols = int(rng.choice([4, 8])), int(rng.choice([4, 6, 8]))
    memory = float(rng.choice([1, 2, 4, 16]))
    return core(
        f"array.rows={rows}",
        f"array.cols={cols}",
        f"memory.west_kib={memory}",
        f"memory.north_kib={memory / 2}",
        f"memory.output_kib={float(rng.choice([1, 2, 8]))}",
        f"core.raw_kib={float(rng.choice([0.5, 2, 8]))}",
        f"dram.channel_bandwidth_gb_s={float(rng.choice([0.5, 1.25, 2]))}",
    )


PATTERNS = ("2:8", "2:4", "1:4", "4:8", "3:5", "dense")


def random_product(rng: Generator) -> Product:
    """FF, BP or WU of a small layer, with tails and several kernel positions."""
    pattern: Pattern = parse_pattern(str(rng.choice(PATTERNS)))
    rows, cols = int(rng.integers(1, 50)), int(rng.integers(1, 30))
    transposed = pattern.is_dense and bool(rng.integers(2))
    segments, length = (
        (1, int(rng.integers(1, 80))) if rng.random() < 0.5 else (int(rng.integers(1, 5)), int(rng.integers(1, 30)))
    )
    n, m = (pattern.n, pattern.m) if pattern.is_grouped else (1, 1)
    reduction = Reduction(1, segments * length, 1, 1) if pattern.is_dense else Reduction(segments, length, n, m)
    inner = segments * length
    positions = inner if transposed else rows
    return Product(
        rows=rows,
        cols=cols,
        count=int(rng.integers(1, 3)),
        reduction=reduction,
        pattern=pattern,
        window=Window((1, positions), (1, positions)),
        channels=rows if transposed else inner,
        positions_inner=transposed,
        transposed=transposed,
        across_outputs=False,
        left="activation",
        right="gradient" if transposed else "weight",
        output="weight-gradient" if transposed else "activation",
        final_bytes=4 if transposed else 2,
    )


def plans_of(target: Target, product: Product, inline: bool) -> Iterator[Plan]:
    """Every plan of both dataflows."""
    for flow in (OutputStationary(), WeightStationary()):
        for draft in flow.drafts(target, product):
            for family in draft.families(inline):
                yield from family.plans()


def random_cases(rng: Generator, count: int, each: int = 4, of: Sequence[SystolicArch] = ()) -> Iterator[Case]:
    """So many cases, at most `each` of one product. of: the cores that they are for, any small ones unless given."""
    made = 0
    while made < count:
        arch = of[int(rng.integers(len(of)))] if of else random_core(rng)
        product = random_product(rng)
        target = Target.of(arch)
        inline = product.pattern.is_grouped and bool(rng.integers(2))
        kinds: dict[tuple[str, str], list[Plan]] = {}  # few plans spill their sums: every kind is drawn alike
        for plan in plans_of(target, product, inline):
            kinds.setdefault((type(plan).__name__, plan.mapping().resident), []).append(plan)
        chosen = [plans[int(rng.integers(len(plans)))] for plans in kinds.values()]
        for at in rng.permutation(len(chosen))[:each]:
            lowered = chosen[at].operands.product
            tensors = tuple(random_operands(rng, lowered) for _ in range(product.count))
            yield Case(arch, target, chosen[at], lowered, tensors)
            made += 1
            if made == count:
                return


def random_operands(rng: Generator, product: Product) -> Matrices:
    """Operands with infinities and zeros among them; the mask is SORE's."""
    form, work = operand_format("fp16"), product.reduction
    left, right = (
        operands(form, shape, rng) for shape in ((product.rows, product.inner), (product.inner, product.cols))
    )
    packed = pack(right, mask_of(right, work), work)
    starts = np.concatenate([np.full(group.kept, group.start) for group in groups_of(work)])
    return Matrices(left, right, packed, starts)


def mask_of(right: Bits, work: Reduction) -> np.ndarray:
    """What SORE keeps of every column."""
    magnitude = (right & 0x7FFF).astype(np.int64)
    mask = np.zeros(right.shape, bool)
    for group in groups_of(work):
        part = magnitude[group.start : group.start + group.size]
        order = np.argsort(-part, axis=0, kind="stable")[: group.kept]
        np.put_along_axis(mask[group.start : group.start + group.size], order, True, axis=0)
    return mask
